"""Read everything once: data, words, code, drills, results. Bad input becomes problems."""

import dataclasses
import datetime as dt
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from catalog.answer import read_answer
from catalog.drills import read_drills
from catalog.markdown import Document, read_document
from catalog.model import (
    Catalog,
    DrillRef,
    MeasurementRef,
    Model,
    Page,
    PlainFront,
    Question,
    QuestionFront,
    QuestionRow,
    Scenario,
    ScenarioFront,
    ScenarioRow,
    Site,
    SnippetRef,
    Status,
)
from catalog.problem import Problem
from catalog.results import Results, format_value, read_results
from catalog.rows import add_row
from catalog.selfcheck import first_action, self_checks
from catalog.snippets import read_snippets
from catalog.source import explain, nearest
from catalog.vocabulary import Vocabulary, read_vocabulary

FrontT = TypeVar("FrontT", bound=Model)
_NUMBER = re.compile(r"\[\[m:(?P<key>[^\]|]+)(?P<bare>\|bare)?\]\]")
_NOT_A_FACT = frozenset({"page_type", "id", "status", "row"})


@dataclass(frozen=True, slots=True)
class Read(Generic[FrontT]):
    """A document and its validated front matter."""

    document: Document
    front: FrontT


@dataclass(frozen=True, slots=True)
class _Code:
    """What is found beside the words, by scenario id."""

    snippets: dict[str, tuple[SnippetRef, ...]] = field(default_factory=dict)
    drills: dict[str, tuple[DrillRef, ...]] = field(default_factory=dict)
    measurements: dict[str, tuple[MeasurementRef, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a scenario is joined from."""

    words: Vocabulary
    questions: tuple[Question, ...]
    code: _Code
    original: frozenset[str]
    results: Results


def load(
    root: Path, *, drafts: bool = False, environ: Mapping[str, str] | None = None
) -> tuple[Catalog, list[Problem]]:
    """Read the whole repository into one catalog.

    With `drafts`, pages that say `status: draft` have pages (while serving); without, they are
    listed as planned.
    When there are problems the catalog lacks what could not be read; build nothing from it.
    """
    words, problems = read_vocabulary(root)
    site, found = read_site(root, os.environ if environ is None else environ)
    problems += found
    results, found = read_results(root)
    problems += found
    pages, found = read_fronts(root, "docs/scenarios", ScenarioFront, results)
    problems += found
    answers, found = read_fronts(root, "docs/questions", QuestionFront, results)
    problems += found
    concepts, found = _plain_pages(root, "docs/concepts")
    problems += found
    about, found = _plain_pages(root, "docs/about")
    problems += found
    code, found = _code(root, results)
    problems += found

    original = frozenset(row.id for row in words.scenarios)
    own = frozenset(row.id for row in words.questions)
    if original and own:  # otherwise the data could not be read, and every page would be unknown
        words, found = _with_new_scenarios(words, pages)
        problems += found
        words, found = _with_new_questions(words, answers, own, _stems(root))
        problems += found
    questions = tuple(_question(row, answers.get(row.id)) for row in words.questions)
    joined = _Found(words, questions, code, original, results)
    rows = sorted(words.scenarios, key=lambda row: row.number)
    scenarios = [_scenario(row, pages.get(row.id), joined) for row in rows]
    catalog = Catalog.model_construct(
        site=site,
        show_drafts=drafts,
        parts=words.parts,
        levels=words.levels,
        technologies=words.technologies,
        groups=words.groups,
        scenarios=tuple(one for one in scenarios if one is not None),
        questions=questions,
        symptoms=words.symptoms,
        triage=words.triage,
        plan=words.plan,
        template=words.template,
        tips=words.tips,
        checklist=words.checklist,
        related=words.related,
        concepts=concepts,
        about=about,
    )
    return catalog, sorted(set(problems))


def read_site(root: Path, environ: Mapping[str, str]) -> tuple[Site, list[Problem]]:
    """Read the public addresses: the environment wins over pyproject.toml; empty means unknown."""
    path = "pyproject.toml"
    try:
        settings = tomllib.loads((root / path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = Problem(path, 1, f"cannot be read: {error}", "restore or mend the file")
        return Site(), [problem]
    table = settings.get("tool", {}).get("firedrill", {})
    problems = []
    found = {}
    for key, name in (("url", "SITE_URL"), ("repo", "REPO_URL")):
        setting = f"{'site' if key == 'url' else 'repo'}-url"
        value = str(environ.get(name) or table.get(setting, "")).strip()
        if value and not re.fullmatch(r"https?://[^\s/]+(/[^\s]*)?", value):
            what = f"{name} (or {setting}) is {value!r}, not a web address"
            problems.append(Problem(path, 1, what, "write it as https://host/path/"))
            value = ""
        found[key] = f"{value.rstrip('/')}/" if value and key == "url" else value.rstrip("/")
    return Site(**found), problems


def read_fronts(
    root: Path, folder: str, model: type[FrontT], results: Results
) -> tuple[dict[str, Read[FrontT]], list[Problem]]:
    """Read every Markdown file of a folder, by the id in its front matter.

    Recorded numbers in the front matter, `[[m:scenario/key]]`, are written out.
    """
    found: dict[str, Read[FrontT]] = {}
    problems: list[Problem] = []
    for file in sorted((root / folder).glob("*.md")):
        path = file.relative_to(root).as_posix()
        document, wrong = read_document(root, path)
        problems += wrong
        if document is None:
            continue
        try:
            front = model.model_validate(_numbers(document.front, results))
        except ValidationError as error:
            problems += explain(error, model, path, document.yaml)
            continue
        own = document.front.get("id")
        if own != document.stem:
            what = f"id is {own!r}, but the file is {document.stem}.md"
            mend = f"write 'id: {document.stem}', or rename the file to {own}.md"
            problems.append(Problem(path, document.line("id"), what, mend))
            continue
        found[document.stem] = Read(document, front)
    return found, problems


def _numbers(value: object, results: Results) -> object:
    """Write recorded numbers out in every string; an unknown key stays, for the checker to name."""
    if isinstance(value, dict):
        return {key: _numbers(one, results) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one, results) for one in value]
    if isinstance(value, str):
        return _NUMBER.sub(lambda match: _number(match, results), value)
    return value


def _number(match: re.Match[str], results: Results) -> str:
    value = results.value(match["key"])
    return match[0] if value is None else format_value(value, bare=bool(match["bare"]))


def _plain_pages(root: Path, folder: str) -> tuple[tuple[Page, ...], list[Problem]]:
    """Read the pages of a folder that need only a title and a description."""
    pages: list[Page] = []
    problems: list[Problem] = []
    for file in sorted((root / folder).glob("*.md")):
        path = file.relative_to(root).as_posix()
        document, wrong = read_document(root, path)
        problems += wrong
        if document is None:
            continue
        try:
            front = PlainFront.model_validate(document.front)
        except ValidationError as error:
            problems += explain(error, PlainFront, path, document.yaml)
            continue
        if front.status is None:
            below = path.removeprefix("docs/")
            pages.append(Page(path=below, title=front.title, description=front.description))
    return tuple(pages), problems


def _code(root: Path, results: Results) -> tuple[_Code, list[Problem]]:
    """Read snippets, drills and results, and group them by scenario."""
    snippets, problems = read_snippets(root)
    drills, found = read_drills(root)
    problems += found
    code = _Code()
    for snippet in snippets:
        ref = SnippetRef(
            path=snippet.path,
            name=snippet.name,
            url=f"/{snippet.code_path}",
            browser=snippet.browser,
            summary=snippet.title,
            naive=snippet.naive,
            needs=snippet.needs,
        )
        code.snippets[snippet.scenario] = (*code.snippets.get(snippet.scenario, ()), ref)
    for drill in drills:
        test = DrillRef(id=drill.id, name=drill.name, failure=drill.failure, line=drill.line)
        code.drills[drill.scenario] = (*code.drills.get(drill.scenario, ()), test)
    for name, result in results.by_scenario.items():
        code.measurements[name] = tuple(
            MeasurementRef(key=key, value=one.value, unit=one.unit, note=one.note)
            for key, one in sorted(result.values.items())
        )
    return code, problems


def _with_new_scenarios(
    words: Vocabulary, pages: Mapping[str, Read[ScenarioFront]]
) -> tuple[Vocabulary, list[Problem]]:
    """Add the rows that pages beyond the 21 bring along."""
    original = {row.id for row in words.scenarios}
    problems: list[Problem] = []
    new = []
    for name, page in pages.items():
        document, row = page.document, page.front.row
        if name in original and row is not None:
            what = f"{name!r} is one of the {len(original)} of the original, so it has no 'row'"
            mend = "remove 'row'; its facts are in catalog/data"
            problems.append(Problem(document.path, document.line("row"), what, mend))
        elif name not in original and row is None:
            what = f"{name!r} is none of the {len(original)} of the original and has no 'row'"
            mend = f"{nearest(name, original)}, or add 'row' (make new ID={name} writes one)"
            if len(mend) > 200:
                mend = f"rename it, or add 'row' (make new ID={name} writes one)"
            problems.append(Problem(document.path, document.line("id"), what, mend))
        elif row is not None:
            new.append((row, document))
    for row, document in sorted(new, key=lambda pair: pair[0].number):
        words, found = add_row(words, document, row)
        problems += found
    return words, problems


def _with_new_questions(
    words: Vocabulary,
    answers: Mapping[str, Read[QuestionFront]],
    original: frozenset[str],
    written: frozenset[str],
) -> tuple[Vocabulary, list[Problem]]:
    """Add the questions that come with their own row."""
    problems: list[Problem] = []
    rows = list(words.questions)
    known = {row.id for row in words.scenarios}
    broken = written - known  # their pages have a problem of their own
    for name, answer in answers.items():
        document, row = answer.document, answer.front.row
        if name in original:
            if row is not None:
                what = f"{name!r} is in catalog/data/questions.yml, so it has no 'row'"
                problems.append(Problem(document.path, document.line("row"), what, "remove 'row'"))
            continue
        if row is None:
            what = f"{name!r} is not in catalog/data/questions.yml and has no 'row'"
            mend = "add 'row' with question, scenarios and short_answer"
            problems.append(Problem(document.path, document.line("id"), what, mend))
            continue
        if broken.intersection(row.scenarios):
            continue
        for scenario in row.scenarios:
            if scenario not in known:
                what = f"there is no scenario {scenario!r}"
                line = document.line("row", "scenarios")
                problems.append(Problem(document.path, line, what, nearest(scenario, known)))
        rows.append(
            QuestionRow(
                id=name,
                question=row.question,
                scenarios=row.scenarios,
                short_answer=row.short_answer,
                origin="firedrill",
            )
        )
    return dataclasses.replace(words, questions=tuple(rows)), problems


def _stems(root: Path) -> frozenset[str]:
    """Give the ids that the pages of scenarios have by their file names."""
    return frozenset(file.stem for file in (root / "docs/scenarios").glob("*.md"))


def _status(page: Read[ScenarioFront] | Read[QuestionFront] | None) -> Status:
    if page is None:
        return Status.PLANNED
    return Status.DRAFT if page.front.status == "draft" else Status.COMPLETE


def _question(row: QuestionRow, answer: Read[QuestionFront] | None) -> Question:
    facts = _fields(row) | {"status": _status(answer)}
    if answer is not None:
        facts |= {"page": answer.document.path} | _fields(answer.front, _NOT_A_FACT)
        facts["answer"] = read_answer(answer.document)
    return Question.model_validate(facts)


def _scenario(row: ScenarioRow, page: Read[ScenarioFront] | None, found: _Found) -> Scenario | None:
    """Join what is known of a scenario; None when the data gives it no level."""
    words = found.words
    level = next(
        (
            (level.id, entry.origin)
            for level in words.levels
            for entry in level.entries
            if row.id in entry.scenarios
        ),
        None,
    )
    if level is None:
        return None
    topics = [
        f"{group.id}/{slug(entry.label)}"
        for group in words.groups
        for entry in group.entries
        if row.id in entry.scenarios
    ]
    first = [symptom.id for symptom in words.symptoms if symptom.first == row.id]
    also = [symptom.id for symptom in words.symptoms if row.id in symptom.also]
    facts = _fields(row) | {
        "origin": "original" if row.id in found.original else "firedrill",
        "status": _status(page),
        "level": level[0],
        "level_origin": level[1],
        "topics": list(dict.fromkeys(topics)),
        "symptoms": [*first, *also],
        "questions": [one.id for one in found.questions if row.id in one.scenarios],
        "snippets": found.code.snippets.get(row.id, ()),
        "drills": found.code.drills.get(row.id, ()),
        "measurements": found.code.measurements.get(row.id, ()),
    }
    if row.id in found.results.by_scenario:
        facts["measured"] = _date(found.results.by_scenario[row.id].measured)
    if page is not None:
        facts |= {"page": page.document.path} | _fields(page.front, _NOT_A_FACT)
        body = str(_numbers(page.document.body, found.results))
        facts |= {"checks": self_checks(body), "first_action": first_action(body)}
    return Scenario.model_validate(facts)


def _date(text: str) -> dt.date | None:
    """Read a recorded day; None when it is none."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _fields(model: Model, without: frozenset[str] = frozenset()) -> dict[str, object]:
    """Give the fields of a model as they are, less some."""
    return {key: getattr(model, key) for key in type(model).model_fields if key not in without}


def slug(label: str) -> str:
    """Write a label as lower-case letters and digits joined by hyphens: `1m-concurrent-users`."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
