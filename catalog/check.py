"""Check every promise of the words: contracts of pages and questions, and how they hang together.

Each finding names file, line and mend. Drafts are not held to the contract; what they still lack
is listed by `open_in_drafts`.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog import cards, contracts, exercise
from catalog.expand import read_context
from catalog.load import load, slug
from catalog.markdown import Document, Heading, anchors, fences, prose, read_document, sections
from catalog.model import Catalog, Change, Question, Scenario, Status
from catalog.pages import generate
from catalog.problem import Problem
from catalog.source import nearest, read_text
from catalog.vocabulary import STEPS

SECTIONS = (
    "Problem",
    "In one minute",
    "Solution approach",
    "Code",
    "When it fails",
    "Measured",
    "Trade-offs",
    "Best practices",
    "At scale",
    "In production",
    "What the popular answer gets wrong",
    "Check yourself",
    "Interview questions",
    "Related",
    "Sources",
)
DERIVED = {
    "In one minute": "[[summary]]",
    "When it fails": "[[drills]]",
    "Interview questions": "[[questions]]",
    "Related": "[[related]]",
}
CHOICE = "Which one do I choose?"  # may head the table before the first section
RUNBOOK = ("First 5 minutes", "Diagnose", "Mitigate", "Fix", "Prevent")
ANSWER = (
    "1. Clarify",
    "2. Identify the challenge",
    "3. Propose a solution",
    "4. Code example",
    "5. Discuss trade-offs",
    "6. Scale considerations",
    "7. Production concerns",
)
BLANK = "FILL:"
SUMMARY_WORDS = (60, 110)
DESCRIPTION_CHARACTERS = (50, 160)
SPOKEN_WORDS = 220
FOLLOW_UPS = 5
ERROR_MESSAGES = 3
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_TABLE = re.compile(r"^\|?[ \t]*:?-{3,}", re.MULTILINE)
_SEE = re.compile(r"^/(?P<page>[^#]*?)/?(?:#(?P<anchor>.*))?$")


def check(catalog: Catalog, root: Path) -> list[Problem]:
    """Give everything that is wrong with what is complete, sorted by place."""
    problems = [
        *_pages(catalog, root, Status.COMPLETE),
        *_across(catalog, root),
        *contracts.check(catalog, root),
    ]
    return sorted(set(problems))


def open_in_drafts(root: Path) -> list[Problem]:
    """Give what each draft still lacks before it can be complete."""
    catalog, _ = load(root, drafts=True)
    context = read_context(root, catalog)
    drafts = [one.id for one in catalog.scenarios if one.status is Status.DRAFT]
    old = [problem for name in drafts for problem in contracts.stale(name, context)]
    return sorted({*_pages(catalog, root, Status.DRAFT), *old})


def _pages(catalog: Catalog, root: Path, status: Status) -> Iterator[Problem]:
    """Check the pages and questions of one status, each by itself."""
    see = _Anchors(catalog, root)
    for scenario in catalog.scenarios:
        if scenario.status is status and scenario.page is not None:
            document, _ = read_document(root, scenario.page)
            if document is not None:
                yield from _scenario(catalog, scenario, document)
                yield from _exercise(root, scenario, document)
                yield from _blanks(root, scenario, document)
    for question in catalog.questions:
        if question.status is status and question.page is not None:
            document, _ = read_document(root, question.page)
            if document is not None:
                yield from _question(question, document, see)
                yield from _lines_with_blank(document.path, root)


# A scenario's page -------------------------------------------------------------------------------


def _scenario(catalog: Catalog, scenario: Scenario, document: Document) -> Iterator[Problem]:
    """Check the page of one scenario."""
    yield from _description(scenario.description, document)
    words = len(scenario.summary.split())
    if not SUMMARY_WORDS[0] <= words <= SUMMARY_WORDS[1]:
        mend = f"write {SUMMARY_WORDS[0]} to {SUMMARY_WORDS[1]}, as you would say it aloud"
        yield Problem(document.path, document.line("summary"), f"summary has {words} words", mend)
    found = len(scenario.error_messages)
    if found < ERROR_MESSAGES:
        what = f"error_messages has {found} of at least {ERROR_MESSAGES}"
        mend = "add the exact strings a reader sees on screen"
        yield Problem(document.path, document.line("error_messages"), what, mend)
    yield from _changes(scenario.changes, document)
    yield from _references(catalog, scenario, document)
    expected = list(SECTIONS)
    if catalog.crisis(scenario):
        expected.insert(expected.index("Trade-offs"), "Runbook")
    yield from _sections(document, expected)
    if "Runbook" in expected:
        yield from _runbook(document)
    yield from _choice(document)
    yield from _techniques(scenario, document)
    folder = f"snippets/{scenario.python_name}"
    if not scenario.snippets:
        what = f"scenario {scenario.id!r} has no snippet"
        yield Problem(document.path, 1, what, f"add {folder}/<name>.py")
    yield from _directives(document)
    yield from _self_checks(scenario, document)


def _self_checks(scenario: Scenario, document: Document) -> Iterator[Problem]:
    """Check that the page asks its readers something, in fold-outs that make good cards."""
    line = next((one.line for one in document.headings() if one.text == "Check yourself"), 1)
    if not scenario.checks:
        what = "'Check yourself' asks nothing that could become a card"
        mend = 'write ??? question "..." and, four spaces in, its answer'
        yield Problem(document.path, line, what, mend)
    for check in scenario.checks:
        words = len(check.a.split())
        if words > cards.MOST_WORDS:
            what = f"the answer to {check.q!r} has {words} words"
            mend = f"cut it to {cards.MOST_WORDS}: it is the back of a card"
            yield Problem(document.path, line, what, mend)


def _exercise(root: Path, scenario: Scenario, document: Document) -> Iterator[Problem]:
    """Check that a page whose code runs in it has something to break."""
    folder = exercise.folder(scenario.python_name)
    runs = next((one.path for one in scenario.snippets if one.browser), None)
    if runs and not (root / folder).is_dir():
        line = next((one.line for one in document.headings() if one.text == "Check yourself"), 1)
        what = f"{runs} runs in the page, and the page has no exercise"
        mend = f"write {folder}/ with {', '.join(exercise.PARTS)}, as CONTRIBUTING.md says"
        yield Problem(document.path, line, what, mend)


def _directives(document: Document) -> Iterator[Problem]:
    """Check that the sections which are derived ask for what is derived."""
    for section in sections(document.body, document.body_line):
        directive = DERIVED.get(section.heading.text)
        if directive is not None and directive not in prose(section.body).split("\n"):
            what = f"section {section.heading.text!r} lacks {directive}"
            mend = f"write {directive} on a line of its own"
            yield Problem(document.path, section.heading.line, what, mend)


def _description(text: str, document: Document) -> Iterator[Problem]:
    low, high = DESCRIPTION_CHARACTERS
    if not low <= len(text) <= high:
        what = f"description has {len(text)} characters"
        mend = f"write {low} to {high}, for search engines and cards"
        yield Problem(document.path, document.line("description"), what, mend)


def _changes(changes: Sequence[Change], document: Document) -> Iterator[Problem]:
    """Check that a page's history is newest first and not in the future."""
    today = dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1)  # the reader's may be ahead
    for index, change in enumerate(changes):
        line = document.line("changes", index)
        if change.date > today:
            what = f"change of {change.date} is in the future"
            yield Problem(document.path, line, what, "write the day on which you changed it")
        if index and change.date > changes[index - 1].date:
            what = f"change of {change.date} stands below an older one"
            yield Problem(document.path, line, what, "order changes newest first")


def _references(catalog: Catalog, scenario: Scenario, document: Document) -> Iterator[Problem]:
    """Check the ids in prerequisites and confused_with."""
    known = {one.id for one in catalog.scenarios} - {scenario.id}
    named = [
        *((("prerequisites", n), one) for n, one in enumerate(scenario.prerequisites)),
        *((("confused_with", n), one.id) for n, one in enumerate(scenario.confused_with)),
    ]
    for place, one in named:
        if one not in known:
            what = f"{place[0]} names {one!r}, which is no other scenario"
            yield Problem(document.path, document.line(*place), what, nearest(one, known))


def _sections(document: Document, expected: Sequence[str]) -> Iterator[Problem]:
    """Check that the second-level headings are the expected ones in order; name the first fault."""
    headings = document.headings()
    for heading in headings:
        if heading.level == 1:
            what = f"heading {heading.text!r} is of the first level"
            yield Problem(document.path, heading.line, what, "remove it; the title is generated")
    found = [heading for heading in headings if heading.level == 2]
    if found and found[0].text == CHOICE and expected[0] == SECTIONS[0]:
        found = found[1:]
    texts = [heading.text for heading in found]
    for heading in found:
        if heading.text not in expected:
            what = f"section {heading.text!r} is not in the contract"
            mend = nearest(heading.text, expected)
        elif texts.count(heading.text) > 1:
            what, mend = f"section {heading.text!r} is written twice", "keep one"
        else:
            continue
        yield Problem(document.path, heading.line, what, mend)
        return
    yield from _order(document, found, expected)


def _order(
    document: Document, found: Sequence[Heading], expected: Sequence[str]
) -> Iterator[Problem]:
    """Name the first section that is missing, or that stands in another's place."""
    texts = [heading.text for heading in found]
    for index, name in enumerate(expected):
        if name not in texts:
            after = [one.line for one in found if one.text in expected[:index]]
            line = max(after, default=document.body_line)
            before = f"after '## {expected[index - 1]}'" if index else "first"
            what = f"section {name!r} is missing"
            yield Problem(document.path, line, what, f"add '## {name}' {before}")
            return
    for heading, name in zip(found, expected, strict=True):
        if heading.text != name:
            what = f"section {heading.text!r} stands where {name!r} should"
            mend = f"order the sections: {' · '.join(expected)}"
            yield Problem(document.path, heading.line, what, mend)
            return


def _runbook(document: Document) -> Iterator[Problem]:
    """Check the five parts of a runbook."""
    for section in sections(document.body, document.body_line):
        if section.heading.text != "Runbook":
            continue
        inner = sections(section.body, section.heading.line + 1, level=3)
        found = tuple(one.heading.text for one in inner)
        if found != RUNBOOK:
            what = f"the runbook has the parts {', '.join(found) or 'none'}"
            mend = f"write '### ' headings: {' · '.join(RUNBOOK)}"
            yield Problem(document.path, section.heading.line, what, mend)


def _choice(document: Document) -> Iterator[Problem]:
    """Check that the page opens with the table that helps to choose."""
    headings = [one for one in document.headings() if one.level == 2 and one.text != CHOICE]
    first = next((one.line for one in headings), None)
    end = None if first is None else first - document.body_line
    opening = "\n".join(prose(document.body).split("\n")[:end])
    if not _TABLE.search(opening):
        what = "no table stands before the first section"
        mend = f"open the page with the table '{CHOICE}'"
        yield Problem(document.path, document.body_line, what, mend)


def _techniques(scenario: Scenario, document: Document) -> Iterator[Problem]:
    """Check that the page treats every technique, as a heading, in bold, or as an anchor."""
    text = prose(document.body)
    marked = [heading.text for heading in document.headings()]
    marked += _BOLD.findall(text)
    folded = [one.casefold() for one in marked]
    ids = document.anchors()
    for technique in scenario.techniques:
        label = technique.label
        if not any(label.casefold() in one for one in folded) and slug(label) not in ids:
            what = f"technique {label!r} is no heading, bold term or anchor of the page"
            mend = f"write it as a heading, as **{label}**, or give its place {{#{slug(label)}}}"
            yield Problem(document.path, document.body_line, what, mend)


def _blanks(root: Path, scenario: Scenario, document: Document) -> Iterator[Problem]:
    """Find what a skeleton left to fill."""
    name = scenario.python_name
    files = [
        *sorted((root / "snippets" / name).glob("*.py")),
        *sorted((root / "tests" / "scenarios" / name).glob("*.py")),
        *(root / exercise.folder(name) / part for part in exercise.PARTS),
        *sorted((root / "evidence").glob(f"{name}.py")),
    ]
    there = (file.relative_to(root).as_posix() for file in files if file.is_file())
    for path in (document.path, *there):
        yield from _lines_with_blank(path, root)


def _lines_with_blank(path: str, root: Path) -> Iterator[Problem]:
    text, _ = read_text(root, path)
    for number, line in enumerate((text or "").split("\n"), 1):
        if BLANK in line:
            blank = line.partition(BLANK)[2].strip(" .\"'}|")
            what = f"a blank is not filled: {blank}"
            yield Problem(path, number, what, f"write it, and remove '{BLANK}'")


# A question --------------------------------------------------------------------------------------


def _question(question: Question, document: Document, see: "_Anchors") -> Iterator[Problem]:
    """Check the answer of one question."""
    yield from _description(question.description, document)
    words = len(question.spoken_answer.split())
    if words > SPOKEN_WORDS:
        what = f"spoken_answer has {words} words"
        mend = f"cut it to {SPOKEN_WORDS}, a minute and a half aloud"
        yield Problem(document.path, document.line("spoken_answer"), what, mend)
    found = len(question.follow_ups)
    if found < FOLLOW_UPS:
        what = f"follow_ups has {found} of at least {FOLLOW_UPS}"
        mend = "add what an interviewer asks next"
        yield Problem(document.path, document.line("follow_ups"), what, mend)
    for index, follow_up in enumerate(question.follow_ups):
        fault = see.fault(follow_up.see)
        if fault is not None:
            line = document.line("follow_ups", index, "see")
            yield Problem(document.path, line, f"{follow_up.see} {fault[0]}", fault[1])
    yield from _rubric(question, document)
    yield from _changes(question.changes, document)
    yield from _sections(document, ANSWER)
    for section in sections(document.body, document.body_line):
        if section.heading.text == ANSWER[3] and not _shows_good_code(section.body):
            what = "step 4 shows no tested snippet that is good to copy"
            mend = 'embed one: a python fence with the line --8<-- "snippets/...:section"'
            yield Problem(document.path, section.heading.line, what, mend)


def _shows_good_code(body: str) -> bool:
    """Say whether a Python fence embeds a snippet that is not the naive one."""
    return any(
        fence.language == "python" and re.match(r'--8<-- "snippets/\w+/(?!naive_)', line)
        for fence in fences(body)
        for line in fence.body.split("\n")
    )


def _rubric(question: Question, document: Document) -> Iterator[Problem]:
    steps = [line.step for line in question.rubric]
    for index, step in enumerate(steps):
        if step not in STEPS:
            line = document.line("rubric", index, "step")
            yield Problem(document.path, line, f"there is no step {step!r}", nearest(step, STEPS))
            return
    missing = [step for step in STEPS if step not in steps]
    if missing:
        what = f"the rubric says nothing of {', '.join(missing)}"
        mend = "say for each step what an answer must mention"
        yield Problem(document.path, document.line("rubric"), what, mend)


@dataclass(slots=True)
class _Anchors:
    """Says whether an address of the site, with its anchor, will exist."""

    catalog: Catalog
    root: Path
    generated: Mapping[str, str] | None = None

    def fault(self, address: str) -> tuple[str, str] | None:
        """Give what is wrong with an address and its mend; None when it is right."""
        match = _SEE.match(address)
        if match is None:
            return "is no address", "write /scenarios/<id>/#anchor"
        page = match["page"]
        ids = self._ids(page)
        if ids is None:
            return "has no page", "name a page that exists in this build"
        anchor = match["anchor"]
        if anchor and anchor not in ids:
            return f"has no anchor {anchor!r}", nearest(anchor, ids)
        return None

    def _ids(self, page: str) -> set[str] | None:
        """Give the anchors of a page; None when it has no page."""
        folder, _, name = page.partition("/")
        if folder == "scenarios" and name:
            page_of = {one.id: one.page for one in self.catalog.scenarios}
            return self._written(page_of.get(name))
        if folder == "questions" and name:
            question = next((one for one in self.catalog.questions if one.id == name), None)
            if question is None or question.page is None:
                return None
            written = self._written(question.page) or set()
            return written | {one.id for one in question.follow_ups}
        if self.generated is None:
            self.generated = generate(self.catalog)
        for staged in (f"{page}.md", f"{page}/index.md" if page else "index.md"):
            if staged in self.generated:
                return anchors(self.generated[staged])
            if (self.root / "docs" / staged).is_file():
                return self._written(f"docs/{staged}")
        return None

    def _written(self, path: str | None) -> set[str] | None:
        if path is None:
            return None
        document, _ = read_document(self.root, path)
        return set() if document is None else document.anchors()


# How they hang together --------------------------------------------------------------------------


def _across(catalog: Catalog, root: Path) -> Iterator[Problem]:
    """Check what two complete pages may not both say, and what one asks of another."""
    done = [one for one in catalog.scenarios if one.status is Status.COMPLETE]
    places: dict[str, Document] = {}
    pages = [(one.id, one.page, one.status) for one in done]
    pages += [(one.id, one.page, one.status) for one in catalog.questions]
    for name, page, status in pages:
        if status is Status.COMPLETE and page is not None:
            document, _ = read_document(root, page)
            if document is not None:
                places[name] = document
    messages = (
        (message, places[one.id], ("error_messages", n))
        for one in done
        if one.id in places
        for n, message in enumerate(one.error_messages)
    )
    yield from _unique("error message", messages, str.casefold)
    follow_ups = (
        (follow_up.id, places[one.id], ("follow_ups", n))
        for one in catalog.questions
        if one.id in places
        for n, follow_up in enumerate(one.follow_ups)
    )
    yield from _unique("follow-up", follow_ups, str)
    for scenario in done:
        for question_id in scenario.questions:
            question = catalog.question(question_id)
            if not catalog.has_page(question) and scenario.page is not None:
                what = (
                    f"{scenario.id!r} is complete, but its question {question_id!r} has no answer"
                )
                yield Problem(scenario.page, 1, what, f"finish docs/questions/{question_id}.md")
        if not scenario.questions and scenario.page is not None:
            mend = f"write docs/questions/q-{scenario.id}.md with a 'row'"
            yield Problem(scenario.page, 1, f"no interview question asks {scenario.id!r}", mend)
    yield from _circles(done, places)
    yield from _card_ids(catalog)


def _card_ids(catalog: Catalog) -> Iterator[Problem]:
    """Find two cards with one id: readers' progress on them would be mixed up."""
    seen: set[str] = set()
    for card in cards.cards(catalog):
        if card.id in seen and card.kind != "follow-up":  # of those, `_unique` has spoken
            what = f"the card {card.id!r} ({card.front!r}) is made twice"
            mend = "ask in other words, or give the symptom or follow-up another id"
            yield Problem(f"docs/scenarios/{card.scenario}.md", 1, what, mend)
        seen.add(card.id)


def _unique(
    kind: str,
    found: Iterator[tuple[str, Document, tuple[str, int]]],
    fold: Callable[[str], str],
) -> Iterator[Problem]:
    """Complain of what comes a second time."""
    first: dict[str, str] = {}
    for text, document, place in found:
        key = fold(text)
        line = document.line(*place)
        if key in first:
            what = f"{kind} {text!r} is used twice (first at {first[key]})"
            yield Problem(document.path, line, what, "keep it where it belongs, change the other")
        else:
            first[key] = f"{document.path}:{line}"


def _circles(done: Sequence[Scenario], places: Mapping[str, Document]) -> Iterator[Problem]:
    """Find a scenario that, by its prerequisites, comes before itself; name one circle."""
    after = {one.id: [p for p in one.prerequisites if p != one.id] for one in done}
    settled: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if name in path:
            return (*path[path.index(name) :], name)
        if name in settled:
            return None
        for one in after.get(name, ()):
            circle = walk(one, (*path, name))
            if circle is not None:
                return circle
        settled.add(name)
        return None

    for name in after:
        circle = walk(name, ())
        if circle is not None:
            document = places[circle[0]]
            what = f"prerequisites run in a circle: {' after '.join(circle)}"
            yield Problem(document.path, document.line("prerequisites"), what, "remove one of them")
            return
