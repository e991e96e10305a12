"""Turn the directives of a page into plain Markdown, the one text that every renderer is fed.

Embeds become fences with the code itself, `[[m:scenario/key]]` becomes the recorded number, and
`[[snippet:name]]`, `[[summary]]`, `[[sql]]`, `[[drills]]`, `[[questions]]`, `[[related]]`,
`[[counts]]` what they stand for.
"""

import html
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import markdown
from pymdownx.snippets import (  # type: ignore[import-untyped] # it has no types
    SnippetExtension,
    SnippetMissingError,
)

from catalog import chart, d2, figure, sql
from catalog.counts import SERVERS, Counts, counts_table
from catalog.drills import Drill, read_drills
from catalog.exercise import Exercise, folded, read_exercise, served
from catalog.markdown import Document, Fence, fences, without_code
from catalog.model import Catalog, Question, Scenario
from catalog.pages.sheet import Sheet
from catalog.problem import Problem
from catalog.results import (
    Result,
    Results,
    Verified,
    format_value,
    read_results,
    read_verified,
)
from catalog.run.bundle import PACKAGES, Bundle, own_tests, wanted
from catalog.simulation import Simulation, block, read_simulation
from catalog.simulation import served as served_simulation
from catalog.snippets import Snippet, read_snippets
from catalog.source import nearest

EMBED = re.compile(r'^[ \t]*-{2,}8<-{2,}[ \t]+"(?P<target>[^"]+)"[ \t]*$')
_MEASURED = re.compile(r"\[\[m:(?P<key>[^\]|\s]*)(?P<bare>\|bare)?\]\]")
_DIRECTIVE = re.compile(r"^(?P<indent>[ \t]*)\[\[(?P<name>[^\]\[]+)\]\][ \t]*$")
_LEFTOVER = re.compile(r"\[\[(?P<name>[^\]\[]*)\]\]")
_PYTHON = {"python", "python3", "py", "pycon"}
_BLOCKS = ("summary", "sql", "drills", "questions", "related", "counts")


@dataclass(frozen=True, slots=True)
class Context:
    """What directives can refer to.

    Attributes:
        root: root of the repository.
        catalog: scenarios and questions.
        snippets: by path.
        drills: of every scenario.
        results: what was measured.
        verified: what the last test run verified.
        tests: by path of the snippet, the test files that run in the page.
        exercises: by id of the scenario.
        sqls: the SQL that runs in the page, by id of the scenario.
        simulations: by id of the scenario.
        site_url: address of the published site, ending in `/`, or empty.
        repo_url: address of the repository, without a trailing `/`, or empty.
        counts: what the whole stage holds; all 0 until every page is expanded.
    """

    root: Path
    catalog: Catalog
    snippets: Mapping[str, Snippet]
    drills: tuple[Drill, ...]
    results: Results
    verified: Verified
    tests: Mapping[str, Bundle] = field(default_factory=dict)
    exercises: Mapping[str, Exercise] = field(default_factory=dict)
    sqls: Mapping[str, sql.Sql] = field(default_factory=dict)
    simulations: Mapping[str, Simulation] = field(default_factory=dict)
    site_url: str = ""
    repo_url: str = ""
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Listing:
    """A Python fence of a staged page.

    Attributes:
        page: staged path.
        line: line of its opening fence on the staged page, counted from 1.
        kind: embedded (from tested code), executed (by the tests) or exempt (with a reason).
        origin: file it comes from: the snippet, or the source of the page.
        section: its named part of the snippet; empty for the whole file.
        reason: why it is exempt.
    """

    page: str
    line: int
    kind: str
    origin: str
    section: str = ""
    reason: str = ""


@dataclass(slots=True)
class Expanded:
    """A page with its directives expanded.

    Attributes:
        text: plain Markdown, without front matter.
        problems: what could not be expanded.
        listings: its Python fences; lines count from the first line of text.
        embeds: (snippet path, section) of every excerpt; the section is empty for the whole file.
        cards: names of the snippets whose card it shows.
        values: keys of the recorded numbers it uses.
        charts: keys of the recorded charts it uses.
        sqls: how often it shows its scenario's SQL.
        counts: whether it shows what the whole stage holds.
        runs: whether code of it runs in the page.
    """

    text: str = ""
    problems: list[Problem] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    embeds: list[tuple[str, str]] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    values: set[str] = field(default_factory=set)
    charts: set[str] = field(default_factory=set)
    sqls: int = 0
    counts: bool = False
    runs: bool = False


def read_context(root: Path, catalog: Catalog) -> Context:
    """Read what directives refer to; what is wrong with it, `load` has reported."""
    snippets, _ = read_snippets(root)
    drills, _ = read_drills(root)
    results, _ = read_results(root)
    verified, _ = read_verified(root)
    return Context(
        root=root,
        catalog=catalog,
        snippets={snippet.path: snippet for snippet in snippets},
        drills=drills,
        results=results,
        verified=verified,
        tests=_tests(root, snippets),
        exercises=_exercises(root, catalog),
        sqls=_sqls(root, catalog),
        simulations=_simulations(root, catalog),
        site_url=catalog.site.url,
        repo_url=catalog.site.repo,
    )


def _tests(root: Path, snippets: Iterable[Snippet]) -> dict[str, Bundle]:
    """Give the test files that run in the page: those of runnable snippets that lack nothing."""
    found = {}
    for snippet in snippets:
        if snippet.browser:
            bundle = own_tests(root, snippet.scenario.replace("-", "_"), snippet.name)
            if bundle is not None and not bundle.missing:
                found[snippet.path] = bundle
    return found


def _exercises(root: Path, catalog: Catalog) -> dict[str, Exercise]:
    found = ((one.id, read_exercise(root, one.python_name)) for one in catalog.scenarios)
    return {name: exercise for name, exercise in found if exercise is not None}


def _sqls(root: Path, catalog: Catalog) -> dict[str, sql.Sql]:
    found = ((one.id, sql.read_sql(root, one.python_name)) for one in catalog.scenarios)
    return {name: one for name, one in found if one is not None}


def _simulations(root: Path, catalog: Catalog) -> dict[str, Simulation]:
    """Run the simulation of each page that there is."""
    shown = (one for one in catalog.scenarios if catalog.has_page(one))
    found = ((one.id, read_simulation(root, one.python_name)) for one in shown)
    return {name: simulation for name, simulation in found if simulation is not None}


def source_pages(root: Path, catalog: Catalog) -> Iterator[str]:
    """Give the Markdown files below docs/ that have a page in this build, by path."""
    hidden = {
        f"docs/{folder}/{item.id}.md"
        for folder, items in (("scenarios", catalog.scenarios), ("questions", catalog.questions))
        for item in items
        if not catalog.has_page(item)
    }
    for file in sorted((root / "docs").rglob("*.md")):
        path = file.relative_to(root).as_posix()
        if path not in hidden:
            yield path


def relative(target: str, page: str) -> str:
    """Give the link from a staged page to another staged file."""
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def measured(text: str, results: Results) -> tuple[str, set[str], list[tuple[int, str]]]:
    """Replace `[[m:scenario/key]]` in a text.

    Returns:
        The text, the keys used, and (offset, key) of each key that was never recorded.
    """
    used: set[str] = set()
    unknown: list[tuple[int, str]] = []

    def number(found: re.Match[str]) -> str:
        value = results.value(found["key"])
        if value is None:
            unknown.append((found.start(), found["key"]))
            return found[0]
        used.add(found["key"])
        return format_value(value, bare=found["bare"] is not None)

    return _MEASURED.sub(number, text), used, unknown


def expand(document: Document, staged: str, context: Context) -> Expanded:
    """Expand the directives of one document.

    Args:
        document: the page as written.
        staged: its path below `build/docs`.
        context: what its directives refer to.
    """
    return _Page(document, staged, context).expand()


class _Page:
    """The expansion of one document; lines are appended in order."""

    def __init__(self, document: Document, staged: str, context: Context) -> None:
        self.document = document
        self.staged = staged
        self.context = context
        self.result = Expanded()
        self.out: list[str] = []
        self.line = document.body_line
        folder, _, name = staged.removesuffix(".md").partition("/")
        self.scenario = self._scenario(name) if folder == "scenarios" else None
        self.question = self._question(name) if folder == "questions" else None
        self.snippet_reader = _reader(context.root)
        self.told_in_section: set[str] = set()

    def _practise(self, question: Question) -> str:
        """Give a link to a mock interview with this question."""
        address = Sheet(self.context.catalog, self.staged).address("mock.md")
        return f'<p><a class="md-button" href="{address}?ask={question.id}">Practise this</a></p>'

    def _scenario(self, name: str) -> Scenario | None:
        return next((s for s in self.context.catalog.scenarios if s.id == name), None)

    def _question(self, name: str) -> Question | None:
        return next((q for q in self.context.catalog.questions if q.id == name), None)

    def expand(self) -> Expanded:
        body = self.document.body
        blocks = {fence.line: fence for fence in fences(body, self.document.body_line)}
        visible = without_code(body).split("\n")
        if self.scenario:
            self.add(f"# {self.scenario.title}", "")
        if self.question:
            links = ", ".join(self._link(name) for name in self.question.scenarios)
            head = _question_head(self.question, links, self._practise(self.question))
            self.add(*(self._front(line, "spoken_answer") for line in head))
        lines = body.split("\n")
        problem_open = False
        while self.line < self.document.body_line + len(lines):
            index = self.line - self.document.body_line
            if fence := blocks.get(self.line):
                self.fence(fence)
                self.line = fence.end + 1
                continue
            if self.scenario and lines[index].startswith("## "):
                self.told_in_section.clear()
                if problem_open:
                    self.add(*_error_messages(self.scenario, lines))
                problem_open = lines[index].strip() == "## Problem"
                self._before(lines[index].strip(), self.scenario)
            self.text(lines[index], visible[index])
            self.line += 1
        if self.question:
            steps = {
                one.id: f"{one.number}. {one.name.capitalize()}"
                for one in self.context.catalog.template.steps
            }
            tail = _question_tail(self.question, self.staged, steps)
            self.add(*(self._front(line, "follow_ups") for line in tail))
        if self.result.runs:
            script = Sheet(self.context.catalog, self.staged).address("assets/run/start.js")
            self.add("", f'<script defer src="{script}"></script>')
        self.result.text = "\n".join(self.out).rstrip("\n") + "\n"
        return self.result

    def add(self, *lines: str) -> None:
        self.out += lines

    def problem(self, what: str, mend: str, line: int = 0) -> None:
        self.result.problems.append(Problem(self.document.path, line or self.line, what, mend))

    # prose ----------------------------------------------------------------------------------

    def text(self, line: str, visible: str) -> None:
        if EMBED.match(line):
            mend = "put it alone into a fence: ```python, the line, ```"
            self.problem("an embed stands outside a fence", mend)
            return
        directive = _DIRECTIVE.match(visible)
        if directive and not directive["name"].startswith("m:"):
            self.directive(directive["name"], directive["indent"])
            return
        text, used, unknown = measured(line, self.context.results)
        self.result.values |= used
        for _, key in unknown:
            if f"[[m:{key}" in visible:
                self.problem(f"nothing was recorded as {key!r}", self._known_value(key))
        for found in _LEFTOVER.finditer(visible):
            if not found["name"].startswith("m:"):
                mend = "write it alone on its line" if found["name"] in _BLOCKS else "remove it"
                self.problem(f"[[{found['name']}]] is not a directive here", mend)
        self.add(text if used else line)

    def _known_value(self, key: str) -> str:
        scenario = key.partition("/")[0]
        if scenario not in self.context.results.by_scenario:
            return f"record it: make evidence SCENARIO={scenario}"
        return nearest(key, self.context.results.value_keys())

    def directive(self, name: str, indent: str) -> None:
        blocks: dict[str, Callable[[Scenario], Iterable[str]]] = {
            "summary": self._summary,
            "sql": self._sql,
            "drills": self._drills,
            "questions": self._questions,
            "related": self._related,
        }
        if indent:
            self.problem(f"[[{name}]] is indented", "start it in the first column")
        elif name.startswith("snippet:"):
            self._card(name.removeprefix("snippet:"))
        elif name == "counts":
            self._counts()
        elif name not in blocks:
            known = [*_BLOCKS, "snippet:<name>", "m:<scenario>/<key>"]
            self.problem(f"[[{name}]] is not a known directive", nearest(name, known))
        elif self.scenario is None:
            self.problem(f"[[{name}]] belongs on a scenario's page", "remove it")
        else:
            self.add(*blocks[name](self.scenario))

    def _counts(self) -> None:
        context = self.context
        self.result.counts = True
        self.add(*counts_table(context.counts, context.catalog, context.results, context.verified))

    # fences ---------------------------------------------------------------------------------

    def fence(self, fence: Fence) -> None:
        if not fence.closed:
            self.problem("this fence is never closed", f"add a line {fence.mark} after it")
            return
        body = fence.body.rstrip("\n").split("\n")
        embed = next((line for line in body if EMBED.match(line)), None)
        if embed is not None:
            self._embed(fence, body)
        elif fence.language == "d2":
            self._diagram(fence)
        elif fence.language == "chart":
            self._chart(fence)
        else:
            if fence.language in _PYTHON:
                self._own_python(fence)
            self._source(fence)

    def _source(self, fence: Fence) -> None:
        """Add a fence as it is written."""
        start = fence.line - self.document.body_line
        end = fence.end - self.document.body_line + 1
        self.add(*self.document.body.split("\n")[start:end])

    def _own_python(self, fence: Fence) -> None:
        attributes = figure.attributes(fence.info)
        words = re.sub(r'[\w-]+="[^"]*"', "", fence.info).strip("{} ").split()[1:]
        line = len(self.out) + 1
        unknown = [
            word
            for word in words
            if word not in {"notest", "continuation"} and not word.startswith("fixture:")
        ]
        if not fence.info.startswith("{") and words:
            mend = f"write it as {fence.mark}{{.{fence.info.strip()}}}"
            self.problem(f"the fence {fence.info!r} would be shown as text", mend)
        elif unknown:
            mend = "use notest, continuation or fixture:<name>"
            self.problem(f"the fence has the unknown option {unknown[0]!r}", mend)
        elif "notest" in words:
            reason = attributes.get("data-reason", "")
            if len(reason) < 10:
                mend = 'say why: {.python notest data-reason="..."}, or let it be executed'
                self.problem("a Python fence is exempt without a reason", mend)
            self.result.listings.append(
                Listing(self.staged, line, "exempt", self.document.path, reason=reason)
            )
        elif fence.language == "pycon":
            self.problem("a pycon fence is not executed", "write it as a python fence with assert")
        else:
            self.result.listings.append(Listing(self.staged, line, "executed", self.document.path))

    def _embed(self, fence: Fence, body: list[str]) -> None:
        match = EMBED.match(body[0])
        if len(body) != 1 or match is None:
            what = "an embed shares its fence with other lines"
            self.problem(what, "give each embed a fence of its own", fence.line + 1)
            return
        path, _, section = match["target"].partition(":")
        try:
            code = self.snippet_reader(f'--8<-- "{match["target"]}"')
        except SnippetMissingError:
            self._missing(path, section, fence.line + 1)
            return
        snippet = self.context.snippets.get(path)
        if snippet is None:
            self._missing(path, section, fence.line + 1)
            return
        if fence.info != "python":
            mend = f"open it with {fence.mark}python"
            self.problem(f"an embed's fence is {fence.info!r}", mend, fence.line)
        while code and not code[-1].strip():
            code.pop()
        self.result.embeds.append((path, section))
        self._listing(
            [f"{fence.indent}{line}".rstrip() for line in code], fence.indent, path, section
        )

    def _listing(self, code: list[str], indent: str, path: str, section: str) -> None:
        line = len(self.out) + 1
        self.result.listings.append(Listing(self.staged, line, "embedded", path, section))
        mark = "`" * 3
        while any(mark in row for row in code):
            mark += "`"
        title = f'{self._verdict(path)}title="{posixpath.basename(path)}"'
        self.add(f"{indent}{mark}{{.python {title}}}", *code, f"{indent}{mark}")

    def _verdict(self, path: str) -> str:
        """Give the class of a listing: the naive code, or code that its drill puts beside it."""
        name = posixpath.basename(path).removesuffix(".py")
        if name.startswith("naive_"):
            return ".fd-naive "
        scenario = posixpath.basename(posixpath.dirname(path))
        drill = self.context.root / "tests" / "scenarios" / scenario / "test_drill.py"
        if not drill.is_file():
            return ""
        named = re.search(rf"\b{re.escape(name)}\b", drill.read_text("utf-8"))
        return ".fd-good " if named else ""

    def _missing(self, path: str, section: str, line: int) -> None:
        snippet = self.context.snippets.get(path)
        if snippet is None:
            mend = nearest(path, self.context.snippets)
            self.problem(f"there is no snippet {path!r}", mend, line)
            return
        mend = nearest(section, [one.name for one in snippet.sections])
        self.problem(f"{path} has no section {section!r}", mend, line)

    def _figure_attributes(self, fence: Fence) -> bool:
        found = figure.attributes(fence.info)
        kind = fence.language
        missing = [name for name in ("title", "alt") if not found.get(name, "").strip()]
        unknown = sorted(found.keys() - {"title", "alt"})
        example = f'write {fence.mark}{{.{kind} title="..." alt="..."}}'
        if not fence.info.startswith("{") or missing or unknown:
            what = f"has no {' and no '.join(missing)}" if missing else "is not written in braces"
            if unknown:
                what = f"has the unknown attribute {unknown[0]!r}"
            self.problem(f"this {kind} fence {what}", example, fence.line)
            return False
        return True

    def _diagram(self, fence: Fence) -> None:
        if self._figure_attributes(fence):
            try:
                picture = d2.compile_diagram(self.context.root, fence.body)
                if (boxes := d2.boxes(picture)) > d2.MOST_BOXES:
                    what = f"this diagram has {boxes} boxes (at most {d2.MOST_BOXES})"
                    self.problem(what, "split it, or leave out what makes no point", fence.line)
                self._caption(fence)
            except d2.DiagramError as error:
                for line, what in error.findings:
                    mend = "see https://d2lang.com/tour/intro"
                    self.problem(f"d2: {what}", mend, fence.line + line)
        self._source(fence)

    def _caption(self, fence: Fence) -> None:
        after = self.document.body.split("\n")[fence.end - self.document.body_line + 1 :]
        line = next((row.strip() for row in after if row.strip()), "")
        if not re.fullmatch(r"([*_])(?![*_]).+(?<![*_])\1", line):
            mend = "say its point under it on a line of its own: *...*"
            self.problem("this diagram has no caption", mend, fence.end)

    def _chart(self, fence: Fence) -> None:
        key = fence.body.strip()
        recorded = self.context.results.chart(key)
        if not self._figure_attributes(fence):
            return
        if recorded is None:
            scenario = key.partition("/")[0]
            known = self.context.results.chart_keys()
            mend = nearest(key, known) if known else f"record it: make evidence SCENARIO={scenario}"
            self.problem(f"no chart was recorded as {key!r}", mend, fence.line + 1)
            return
        self.result.charts.add(key)
        try:
            chart.draw(self.context.root, recorded)
        except chart.ChartError as error:
            scenario, _, name = key.partition("/")
            mend = f"mend the chart {name!r} in evidence/{scenario.replace('-', '_')}.py"
            self.problem(f"chart {key}: {error}", mend, fence.line + 1)
        self._source(fence)
        rows = chart.table(recorded)
        result = self.context.results.by_scenario[key.partition("/")[0]]
        told = self._measured_on(result)
        if told not in self.told_in_section:  # once a section, not under each chart
            self.told_in_section.add(told)
            self.add("", f"{fence.indent}<small>{html.escape(told)}</small>")
        if rows:
            self.add("", f'{fence.indent}??? note "The numbers behind the chart"', "")
            self.add(*(f"{fence.indent}    {row}" for row in rows), "")

    def _measured_on(self, result: Result) -> str:
        """Say in one line when, on which machine and with which versions it was measured."""
        place = result.environment
        cores = place.get("cores")
        machine = [str(place[name]) for name in ("cpu", "system") if place.get(name)]
        machine += [f"{cores} core{'' if cores == 1 else 's'}"] if cores else []
        servers = place.get("servers")
        versions = {str(k): str(v) for k, v in servers.items()} if isinstance(servers, dict) else {}
        used = (self.context.snippets.get(path) for path in result.uses)
        needs = sorted({need for snippet in used if snippet for need in snippet.needs})
        software = [f"Python {place['python']}"] if place.get("python") else []
        software += filter(None, (server_version(need, versions) for need in needs))
        software += [
            f"{name} {version}"
            for name, version in sorted(result.packages.items())
            if name != "altair"  # it draws what was measured
        ]
        told = [f"on {', '.join(machine)}"] if machine else []
        told += [f"with {', '.join(software)}"] if software else []
        return f"Measured {' '.join([result.measured, *told])}."

    # blocks ---------------------------------------------------------------------------------

    def _summary(self, scenario: Scenario) -> list[str]:
        return [self._front(scenario.summary.strip(), "summary")]

    def _front(self, text: str, key: str) -> str:
        """Give a text of the front matter with its numbers."""
        text, used, unknown = measured(text, self.context.results)
        self.result.values |= used
        for _, name in unknown:
            what = f"nothing was recorded as {name!r}"
            self.problem(what, self._known_value(name), self.document.line(key))
        return text

    def _drills(self, scenario: Scenario) -> list[str]:
        drills = [drill for drill in self.context.drills if drill.scenario == scenario.id]
        if not drills:
            mend = f"write tests/scenarios/{scenario.python_name}/test_drill.py"
            self.problem(f"{scenario.id} has no drill", mend)
        lines = []
        for drill in drills:
            name = f"`{drill.name}`"
            if self.context.repo_url:
                place = f"{self.context.repo_url}/blob/main/{drill.path}#L{drill.line}"
                name = f"[{name}]({place})"
            lines.append(f"- {name}: {drill.failure}")
        run = f"make drill SCENARIO={scenario.id}"
        return [*lines, "", f"See them fail and hold on your machine: `{run}`."]

    def _questions(self, scenario: Scenario) -> Iterator[str]:
        for question in self.context.catalog.questions:
            if scenario.id not in question.scenarios:
                continue
            if not self.context.catalog.has_page(question):
                yield f"- {question.question} (planned)"
                continue
            address = relative(f"questions/{question.id}.md", self.staged)
            yield f"- [{question.question}]({address})"
            for follow_up in question.follow_ups:
                yield f"    - [{follow_up.q}]({address}#{follow_up.id})"

    def _related(self, scenario: Scenario) -> Iterator[str]:
        for other in scenario.prerequisites:
            yield f"- Read first: {self._link(other)}"
        for confusion in scenario.confused_with:
            yield f"- Not to be confused with {self._link(confusion.id)}: {confusion.difference}"
        for row in self.context.catalog.related:
            if scenario.id not in row.scenarios:
                continue
            for target in row.targets:
                if target.scenario == scenario.id:
                    continue
                if target.scenario is not None:
                    yield f"- {self._link(target.scenario)}"
                else:
                    source = f"[{target.source_title}]({target.source})"
                    yield f"- {target.label}: {target.python} {source}"

    def _link(self, scenario_id: str) -> str:
        scenario = self._scenario(scenario_id)
        if scenario is None:  # the checker names the key that holds it
            return scenario_id
        if not self.context.catalog.has_page(scenario):
            return f"{scenario.title} (planned)"
        return f"[{scenario.title}]({relative(f'scenarios/{scenario.id}.md', self.staged)})"

    def _before(self, heading: str, scenario: Scenario) -> None:
        """Close the section before a heading with what a scenario's own files add to it."""
        if heading == "## Measured":
            self._simulation(scenario)
        if heading == "## Interview questions":
            self._exercise(scenario)

    # the exercise -----------------------------------------------------------------------------

    def _exercise(self, scenario: Scenario) -> None:
        """Close the self-check with what the reader is to break."""
        exercise = self.context.exercises.get(scenario.id)
        if exercise is None:
            return
        faults = [f"lacks {name}" for name in exercise.missing]
        if exercise.bundle is not None:
            gone = sorted(exercise.bundle.missing)
            faults += [f"imports {name}, which a page lacks" for name in gone]
            faults += [] if exercise.task else ["has no task before its hints"]
            faults += [] if len(exercise.hints) > 1 else ["gives fewer than two hints"]
        for fault in faults:
            mend = f"see tests/scenarios/rate_limiting/break_it, and mend {exercise.folder}"
            self.result.problems.append(Problem(f"{exercise.folder}/task.md", 1, fault, mend))
        if faults:
            return
        self.result.runs = True
        self.add("### Break it", "", *exercise.task.split("\n"), "")
        place = f"{exercise.folder}/start.py"
        self._listing(exercise.start.rstrip("\n").split("\n"), "", place, "")
        address = Sheet(self.context.catalog, self.staged).address(served(scenario.id))
        self.add("", f'<div class="fd-run" data-fd-run="start.py" data-exercise="{address}"></div>')
        self.add("", *folded(exercise.hints))

    # the SQL ----------------------------------------------------------------------------------

    def _sql(self, scenario: Scenario) -> Iterator[str]:
        """Show the SQL that runs in the page."""
        found = self.context.sqls.get(scenario.id)
        if found is None:
            mend = f"add tests/scenarios/{scenario.python_name}/sql/setup.sql and 1_what.sql"
            self.problem(f"{scenario.id} has no SQL for its page", mend)
            return
        self.result.sqls += 1
        self.result.problems += found.problems
        if not found.problems:
            self.result.runs = True
            sheet = Sheet(self.context.catalog, self.staged)
            yield from sql.section(found, sheet.address(sql.served(scenario.id)))

    # the simulation ---------------------------------------------------------------------------

    def _simulation(self, scenario: Scenario) -> None:
        """Close what fails with what the reader may turn."""
        simulation = self.context.simulations.get(scenario.id)
        if simulation is None:
            return
        if simulation.fault:
            mend = "see tests/scenarios/rate_limiting/simulation.py and catalog/run/sliders.py"
            place = (simulation.path, simulation.line)
            self.result.problems.append(Problem(*place, simulation.fault, mend))
            return
        self.result.runs = True
        address = Sheet(self.context.catalog, self.staged).address(served_simulation(scenario.id))
        self.add(*block(simulation, address))

    # the card of a snippet ------------------------------------------------------------------

    def _card(self, name: str) -> None:
        if self.scenario is None:
            self.problem(f"[[snippet:{name}]] belongs on a scenario's page", "remove it")
            return
        path = f"snippets/{self.scenario.python_name}/{name}.py"
        snippet = self.context.snippets.get(path)
        if snippet is None:
            folder = f"snippets/{self.scenario.python_name}/"
            known = [s.name for s in self.context.snippets.values() if s.path.startswith(folder)]
            self.problem(f"there is no snippet {path!r}", nearest(name, known))
            return
        self.result.cards.append(name)
        code = snippet.stripped.rstrip("\n").split("\n")
        address = f"{self.context.site_url}{snippet.code_path}" if self.context.site_url else ""
        run = f"uv run {address or f'{name}.py'}"
        download = relative(snippet.code_path, self.staged)
        reference = relative(f"reference/{snippet.scenario}.md", self.staged)
        kind = "fails on purpose" if snippet.naive else ""
        title = f"<code>{name}.py</code> {html.escape(snippet.title)}"
        self.add(
            "",
            f'<div class="fd-snippet" id="snippet-{name}" data-search-exclude markdown="1">',
            "",
            f'<p class="fd-snippet__title">{title}</p>',
            "",
            badge(snippet, self.context.verified),
            "",
            *self._buttons(snippet),
            '<details class="fd-snippet__file" markdown="1">',
            f"<summary>Whole file, {len(code)} lines{f', {kind}' if kind else ''}</summary>",
            "",
        )
        self._listing(code, "", path, "")
        self.add(
            "",
            "</details>",
            "",
            f"[Download]({download}){{ download }}",
            f"[Reference]({reference}#{snippet.module})",
            f"`{run}`",
            *_not_in_page(snippet),
            "MIT-0: copy it, no notice needed.",
            "{ .fd-snippet__links }",
            "",
            "</div>",
            "",
        )

    def _buttons(self, snippet: Snippet) -> Iterator[str]:
        """Give the place where a script puts the buttons that run a snippet in the page."""
        if not snippet.browser:
            return
        self.result.runs = True
        sheet = Sheet(self.context.catalog, self.staged)
        carried = {
            "fd-run": f"{snippet.name}.py",
            "code": sheet.address(snippet.code_path),
            "path": snippet.path,
        }
        if packages := wanted(snippet.text):
            carried["packages"] = " ".join(sorted(packages))
        tests = self.context.tests.get(snippet.path)
        if tests is not None:
            carried["tests"] = sheet.address(snippet.tests_path)
            if tests.blocks:
                carried["blocks"] = "1"
        words = "".join(f' data-{key}="{value}"' for key, value in carried.items())
        yield f'<div class="fd-run"{words}></div>'
        yield ""


_SERVERS = {"postgres": "PostgreSQL", "redis": "Redis", "nats": "NATS", "s3": "S3"}


def _not_in_page(snippet: Snippet) -> Iterator[str]:
    """Say why a snippet has no Run button."""
    if snippet.browser:
        return
    named = [re.split(r"[\[<>=]", one)[0] for one in snippet.dependencies]
    packages = [one for one in named if one not in PACKAGES]
    *others, last = [_SERVERS.get(one, one) for one in snippet.needs] or packages or ["threads"]
    yield f"Not in the page: it needs {', '.join(others)}{' and ' if others else ''}{last}."


def badge(snippet: Snippet, verified: Verified) -> str:
    """Say what a snippet was last verified with, in one line of HTML.

    Only a report about these very bytes counts.
    """
    report = verified.files.get(snippet.path)
    if report is None or report.sha256 != snippet.sha256:
        return '<p class="fd-badge fd-badge--none">Not verified in this build</p>'
    with_what = [f"Python {verified.python}"]
    with_what += filter(None, (server_version(need, verified.servers) for need in snippet.needs))
    for requirement in snippet.dependencies:
        package = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
        versions = {name.lower(): version for name, version in verified.packages.items()}
        if version := versions.get(package.lower()):
            with_what.append(f"{package} {version}")
    tests = f"{report.tests} test{'' if report.tests == 1 else 's'}"
    text = f"Verified {verified.date}: {tests} on {', '.join(with_what)}"
    return f'<p class="fd-badge fd-badge--verified">{html.escape(text)}</p>'


def server_version(need: str, servers: Mapping[str, str]) -> str | None:
    """Give name and version of the server that met a need; None when the report names none."""
    for name in (need, *_KINDRED.get(need, ())):
        if name in servers:
            return f"{SERVERS.get(name, name)} {servers[name]}"
    return None


_KINDRED = {"redis": ("valkey",), "s3": ("seaweedfs",)}


def _reader(root: Path) -> Callable[[str], list[str]]:
    """Give pymdownx's snippet preprocessor: an embed line in, the lines of the code out."""
    extension = SnippetExtension()
    extension.setConfigs(
        {
            "base_path": [str(root)],
            "check_paths": True,
            "dedent_subsections": True,
            "restrict_base_path": True,
        }
    )
    md = markdown.Markdown(extensions=[extension])
    preprocessor = md.preprocessors["snippet"]

    def read(line: str) -> list[str]:
        return [str(row) for row in preprocessor.run([line])]

    return read


_EXPLAINED = "### What you see"


def _error_messages(scenario: Scenario, lines: Sequence[str]) -> list[str]:
    """List the messages that lead to a page, and lead on to where the page explains them."""
    if not scenario.error_messages:
        return []
    explained = " ([what each means, what to do](#what-you-see))" if _EXPLAINED in lines else ""
    messages = [f"- {_code(message)}" for message in scenario.error_messages]
    opening = '<div class="fd-errors" markdown="1">'
    return [opening, "", f"Messages that lead here{explained}:", "", *messages, "", "</div>", ""]


def _code(text: str) -> str:
    """Write a text as inline code, whatever backticks it holds."""
    runs = [len(run) for run in re.findall(r"`+", text)]
    mark = "`" * (max(runs, default=0) + 1)
    pad = " " if runs else ""
    return f"{mark}{pad}{text}{pad}{mark}"


def _question_head(question: Question, scenarios: str, practise: str) -> Iterator[str]:
    yield f"# {question.question}"
    yield ""
    yield f"**Short answer:** {question.short_answer}"
    yield ""
    yield f"Scenarios: {scenarios}"
    yield ""
    yield practise
    yield ""
    yield "## Spoken answer: 90 seconds { #spoken-answer }"
    yield ""
    yield question.spoken_answer.strip()
    yield ""


def _question_tail(question: Question, staged: str, steps: dict[str, str]) -> Iterator[str]:
    yield from ("", "## Follow-up questions", "", "Answer aloud, then unfold.", "")
    for follow_up in question.follow_ups:
        yield f"### {follow_up.q} {{ #{follow_up.id} }}"
        yield ""
        yield '<details class="fd-follow-up" markdown="1"><summary>Answer</summary>'
        yield ""
        yield follow_up.a
        yield ""
        target, _, anchor = follow_up.see.strip("/").partition("#")
        page = f"{target.rstrip('/')}.md"
        place = f"{relative(page, staged)}{f'#{anchor}' if anchor else ''}"
        yield f"Probes {follow_up.probes}. [Where it is explained]({place})"
        yield ""
        yield "</details>"
        yield ""
    yield from ("## Red flags", "")
    yield from (f"- {flag}" for flag in question.red_flags)
    yield from ("", "## Rubric", "", "| Step | An answer mentions |", "| --- | --- |")
    yield from (
        f"| {steps.get(line.step, line.step)} | {line.must_mention} |" for line in question.rubric
    )
