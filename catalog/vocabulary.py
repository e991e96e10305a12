"""Read catalog/data/*.yml: the vocabularies and the rows of the original index, and our own."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from catalog.model import (
    Checklist,
    Group,
    Level,
    Model,
    Part,
    PlanDay,
    QuestionRow,
    RelatedRow,
    ScenarioRow,
    Symptom,
    Technology,
    Template,
    Tips,
    Triage,
)
from catalog.problem import Problem
from catalog.source import Place, Yaml, explain, nearest, parse_yaml, read_text

FOLDER = "catalog/data"
STEPS = (
    "clarify",
    "identify-challenge",
    "propose-solution",
    "code-example",
    "trade-offs",
    "scale",
    "production",
)

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What catalog/data holds, each file as its rows."""

    parts: tuple[Part, ...]
    levels: tuple[Level, ...]
    technologies: tuple[Technology, ...]
    scenarios: tuple[ScenarioRow, ...]
    groups: tuple[Group, ...]
    questions: tuple[QuestionRow, ...]
    symptoms: tuple[Symptom, ...]
    triage: Triage
    plan: tuple[PlanDay, ...]
    template: Template
    tips: Tips
    checklist: Checklist
    related: tuple[RelatedRow, ...]


class _Reader:
    """Reads the files of the folder, keeps their lines, and collects what is wrong."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.sources: dict[str, Yaml] = {}

    def _read(self, name: str) -> object:
        path = f"{FOLDER}/{name}.yml"
        text, problems = read_text(self.root, path)
        self.problems += problems
        source = Yaml(None) if text is None else parse_yaml(text, path)
        self.problems += source.problems
        self.sources[name] = source
        return None if source.problems else source.value

    def rows(self, name: str, model: type[_Row]) -> tuple[_Row, ...]:
        """Read a list of rows; a bad row becomes problems and is left out."""
        value = self._read(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.complain(name, (), "the file is not a list", "start each row with '- '")
            return ()
        found = []
        for index, row in enumerate(value):
            try:
                found.append(model.model_validate(row))
            except ValidationError as error:
                path = f"{FOLDER}/{name}.yml"
                self.problems += explain(error, model, path, self.sources[name], (index,))
        return tuple(found)

    def table(self, name: str, model: type[_Row], empty: _Row) -> _Row:
        """Read a file that is one table; a bad file becomes problems and an empty table."""
        value = self._read(name)
        if value is None:
            return empty
        try:
            return model.model_validate(value)
        except ValidationError as error:
            path = f"{FOLDER}/{name}.yml"
            self.problems += explain(error, model, path, self.sources[name])
            return empty

    def complain(self, name: str, place: Place, what: str, mend: str) -> None:
        """Add a problem about a place of a file."""
        line = self.sources[name].line(place)
        self.problems.append(Problem(f"{FOLDER}/{name}.yml", line, what, mend))


def read_vocabulary(root: Path) -> tuple[Vocabulary, list[Problem]]:
    """Read catalog/data and check that its rows agree with each other."""
    reader = _Reader(root)
    vocabulary = Vocabulary(
        parts=reader.rows("parts", Part),
        levels=reader.rows("levels", Level),
        technologies=reader.rows("technologies", Technology),
        scenarios=reader.rows("scenarios", ScenarioRow),
        groups=reader.rows("topics", Group),
        questions=reader.rows("questions", QuestionRow),
        symptoms=reader.rows("symptoms", Symptom),
        triage=reader.table("triage", Triage, Triage.model_construct(root="", nodes=())),
        plan=reader.rows("plan", PlanDay),
        template=reader.table("template", Template, Template.model_construct(about="", steps=())),
        tips=reader.table(
            "tips",
            Tips,
            Tips.model_construct(before=(), during=(), mistakes=(), signals=()),
        ),
        checklist=reader.table(
            "checklist", Checklist, Checklist.model_construct(intro="", outro="", items=())
        ),
        related=reader.rows("related", RelatedRow),
    )
    if not reader.problems:  # otherwise rows are missing, and each would be complained of again
        _agree(vocabulary, reader)
    return vocabulary, reader.problems


def _agree(words: Vocabulary, reader: _Reader) -> None:
    """Check every reference between the files, and that the 21 rows are covered."""
    _once(reader, "parts", [part.id for part in words.parts])
    _once(reader, "levels", [level.id for level in words.levels])
    _once(reader, "technologies", [technology.id for technology in words.technologies])
    _once(reader, "scenarios", [scenario.id for scenario in words.scenarios])
    _once(reader, "topics", [group.id for group in words.groups])
    _once(reader, "questions", [question.id for question in words.questions])
    _once(reader, "symptoms", [symptom.id for symptom in words.symptoms])
    _once(reader, "plan", [str(day.day) for day in words.plan], key="day")
    ids = [item.id for item in words.checklist.items]
    _once(reader, "checklist", ids, at=("items",))
    for index, scenario in enumerate(words.scenarios):
        if scenario.number != index + 1:
            what = f"number {scenario.number} stands in place {index + 1}"
            reader.complain("scenarios", (index, "number"), what, f"write {index + 1}")
        _known(reader, "scenarios", (index, "part"), [scenario.part], words.parts)
        where: Place = (index, "technologies")
        _known(reader, "scenarios", where, scenario.technologies, words.technologies)
    for name, place, scenarios in _references(words):
        _known(reader, name, place, scenarios, words.scenarios)
    for index, symptom in enumerate(words.symptoms):
        if symptom.question is not None:
            where = (index, "question")
            _known(reader, "symptoms", where, [symptom.question], words.questions)
    for index, day in enumerate(words.plan):
        if day.part is not None:
            _known(reader, "plan", (index, "part"), [day.part], words.parts)
    if tuple(step.id for step in words.template.steps) != STEPS:
        what = "the steps are not the seven of the template in their order"
        reader.complain("template", ("steps",), what, f"use: {', '.join(STEPS)}")
    if not reader.problems:
        _covered(words, reader)
        _triage(words, reader)


def _once(
    reader: _Reader, name: str, ids: Sequence[str], *, key: str = "id", at: Place = ()
) -> None:
    """Complain of every id that comes a second time."""
    seen: set[str] = set()
    for index, one in enumerate(ids):
        if one in seen:
            reader.complain(name, (*at, index, key), f"{key} {one!r} is used twice", "rename one")
        seen.add(one)


def _known(
    reader: _Reader,
    name: str,
    place: Place,
    ids: Iterable[str],
    rows: Sequence[Part] | Sequence[Technology] | Sequence[ScenarioRow] | Sequence[QuestionRow],
) -> None:
    """Complain of every id that no row has."""
    known = {row.id for row in rows}
    kind = type(rows[0]).__name__.removesuffix("Row").lower()
    for one in ids:
        if one not in known:
            reader.complain(name, place, f"there is no {kind} {one!r}", nearest(one, known))


def _references(words: Vocabulary) -> Iterator[tuple[str, Place, Sequence[str]]]:
    """Give every place that names scenarios."""
    yield from _references_in_indexes(words)
    yield from _references_in_practice(words)


def _references_in_indexes(words: Vocabulary) -> Iterator[tuple[str, Place, Sequence[str]]]:
    for g, group in enumerate(words.groups):
        for e, entry in enumerate(group.entries):
            yield "topics", (g, "entries", e, "scenarios"), entry.scenarios
    for n, level in enumerate(words.levels):
        for e, entry in enumerate(level.entries):
            yield "levels", (n, "entries", e, "scenarios"), entry.scenarios
    for n, question in enumerate(words.questions):
        yield "questions", (n, "scenarios"), question.scenarios
    for n, symptom in enumerate(words.symptoms):
        yield "symptoms", (n, "first"), [symptom.first]
        yield "symptoms", (n, "also"), symptom.also


def _references_in_practice(words: Vocabulary) -> Iterator[tuple[str, Place, Sequence[str]]]:
    for d, day in enumerate(words.plan):
        for s, session in enumerate(day.sessions):
            yield "plan", (d, "sessions", s, "scenarios"), session.scenarios
    for n, item in enumerate(words.checklist.items):
        yield "checklist", ("items", n, "scenario"), [item.scenario]
    for n, row in enumerate(words.related):
        yield "related", (n, "scenarios"), row.scenarios
        for t, target in enumerate(row.targets):
            if target.scenario is not None:
                yield "related", (n, "targets", t, "scenario"), [target.scenario]


def _covered(words: Vocabulary, reader: _Reader) -> None:
    """Check that every index of the site reaches every scenario."""
    count: dict[str, Counter[str]] = {}
    for name, place, scenarios in _references(words):
        if place[-1] != "also":
            count.setdefault(name, Counter()).update(scenarios)
    for index, scenario in enumerate(words.scenarios):
        for name, what in (("levels", "level"), ("plan", "plan slot"), ("checklist", "line")):
            found = count.get(name, Counter())[scenario.id]
            if found != 1:
                said = f"scenario {scenario.id!r} has {found} {what}s in {name}.yml, not one"
                reader.complain("scenarios", (index,), said, f"list it once in {FOLDER}/{name}.yml")
        for name in ("topics", "questions", "symptoms"):
            if not count.get(name, Counter())[scenario.id]:
                said = f"scenario {scenario.id!r} is reached by no row of {name}.yml"
                reader.complain("scenarios", (index,), said, f"add a row to {FOLDER}/{name}.yml")


def _triage(words: Vocabulary, reader: _Reader) -> None:
    """Check that the tree starts, ends in symptoms, has no circle and no lost question."""
    nodes = {node.id: node for node in words.triage.nodes}
    symptoms = {symptom.id for symptom in words.symptoms}
    _once(reader, "triage", [node.id for node in words.triage.nodes], at=("nodes",))
    for index, node in enumerate(words.triage.nodes):
        for key, answer in (("if_yes", node.if_yes), ("if_no", node.if_no)):
            if answer not in nodes and answer not in symptoms:
                what = f"{answer!r} is neither a question of the tree nor a symptom"
                mend = nearest(answer, [*nodes, *symptoms])
                reader.complain("triage", ("nodes", index, key), what, mend)
    if words.triage.root not in nodes:
        what = f"there is no question {words.triage.root!r}"
        reader.complain("triage", ("root",), what, nearest(words.triage.root, nodes))
        return
    reached: set[str] = set()
    todo = [(words.triage.root, frozenset[str]())]
    while todo:
        here, path = todo.pop()
        if here not in nodes:
            continue
        if here in path:
            index = list(nodes).index(here)
            what = f"the answers of {here!r} lead back to it"
            reader.complain("triage", ("nodes", index), what, "break the circle")
            return
        reached.add(here)
        node = nodes[here]
        todo += [(node.if_yes, path | {here}), (node.if_no, path | {here})]
    for index, node in enumerate(words.triage.nodes):
        if node.id not in reached:
            what = f"no answer leads to {node.id!r}"
            reader.complain("triage", ("nodes", index), what, "lead an answer to it, or remove it")
