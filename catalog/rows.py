"""Add the row of a scenario beyond the 21 to the vocabulary, so that every index lists it."""

import dataclasses

from catalog.markdown import Document
from catalog.model import (
    CheckItem,
    Entry,
    Group,
    Level,
    NewRow,
    PlanDay,
    RelatedRow,
    ScenarioRow,
    Session,
    Symptom,
    Target,
)
from catalog.problem import Problem
from catalog.source import nearest
from catalog.vocabulary import Vocabulary

_SLOTS = ("Morning", "Afternoon", "Evening")


def add_row(words: Vocabulary, document: Document, row: NewRow) -> tuple[Vocabulary, list[Problem]]:
    """Give the vocabulary with the row of one page; with problems, give it as it was."""
    problems = _problems(words, document, row)
    if problems:
        return words, problems
    name = document.stem
    title = row.title
    why = f"Added with scenario {row.number}."
    scenario = ScenarioRow(
        number=row.number,
        id=name,
        part=row.part,
        title=title,
        techniques=row.techniques,
        technologies=row.technologies,
    )
    item = CheckItem(id=f"a-{row.number:02}", text=row.checklist, scenario=name, origin="firedrill")
    related = RelatedRow(
        label=title,
        scenarios=(name,),
        origin="firedrill",
        targets=tuple(
            Target(
                label=one.label,
                python=one.python or f"{one.label}.",
                source=one.url,
                source_title=one.label,
            )
            for one in row.related
        ),
    )
    checklist = words.checklist.model_copy(update={"items": (*words.checklist.items, item)})
    added = dataclasses.replace(
        words,
        scenarios=(*words.scenarios, scenario),
        levels=tuple(_level(level, row, name, why) for level in words.levels),
        groups=tuple(_group(group, row, name, why) for group in words.groups),
        symptoms=_symptoms(words.symptoms, row, name),
        plan=_plan(words.plan, row, name),
        checklist=checklist,
        related=(*words.related, related),
    )
    return added, []


def _problems(words: Vocabulary, document: Document, row: NewRow) -> list[Problem]:
    """Check every reference of a row."""
    problems: list[Problem] = []

    def complain(key: str, what: str, mend: str, *place: str | int) -> None:
        line = document.line("row", key, *place)
        problems.append(Problem(document.path, line, what, mend))

    def known(key: str, kind: str, one: str, names: set[str], *place: str | int) -> None:
        if one not in names:
            complain(key, f"there is no {kind} {one!r}", nearest(one, names), *place)

    taken = {scenario.number: scenario.id for scenario in words.scenarios}
    if row.number in taken:
        what = f"number {row.number} is taken by {taken[row.number]!r}"
        complain("number", what, f"use {max(taken) + 1}")
    known("part", "part", row.part, {part.id for part in words.parts})
    known("level", "level", row.level, {level.id for level in words.levels})
    technologies = {technology.id for technology in words.technologies}
    for index, technology in enumerate(row.technologies):
        known("technologies", "technology", technology, technologies, index)
    groups = {group.id for group in words.groups}
    for index, topic in enumerate(row.topics):
        known("topics", "topic group", topic.group, groups, index, "group")
    labels = {symptom.id: symptom.label for symptom in words.symptoms}
    for index, symptom in enumerate(row.symptoms):
        if labels.get(symptom.id, symptom.label) != symptom.label:
            what = f"symptom {symptom.id!r} already reads {labels[symptom.id]!r}"
            complain("symptoms", what, "use that label, or another id", index, "label")
    return problems


def _level(level: Level, row: NewRow, name: str, why: str) -> Level:
    if level.id != row.level:
        return level
    entry = Entry(label=row.title, scenarios=(name,), origin="firedrill", why=why)
    return level.model_copy(update={"entries": (*level.entries, entry)})


def _group(group: Group, row: NewRow, name: str, why: str) -> Group:
    new = tuple(
        Entry(label=topic.label, scenarios=(name,), origin="firedrill", why=why)
        for topic in row.topics
        if topic.group == group.id
    )
    return group.model_copy(update={"entries": (*group.entries, *new)}) if new else group


def _symptoms(symptoms: tuple[Symptom, ...], row: NewRow, name: str) -> tuple[Symptom, ...]:
    joined = {symptom.id for symptom in row.symptoms}
    known = {symptom.id for symptom in symptoms}
    old = tuple(
        symptom.model_copy(update={"also": (*symptom.also, name)})
        if symptom.id in joined
        else symptom
        for symptom in symptoms
    )
    new = tuple(
        Symptom(id=symptom.id, label=symptom.label, first=name)
        for symptom in row.symptoms
        if symptom.id not in known
    )
    return (*old, *new)


def _plan(plan: tuple[PlanDay, ...], row: NewRow, name: str) -> tuple[PlanDay, ...]:
    """Put the scenario into its slot of a day after the original's."""
    days = {day.day: day for day in plan}
    day = days.get(row.plan.day)
    sessions = {} if day is None else {session.when: session for session in day.sessions}
    slot = row.plan.slot
    before = sessions.get(slot)
    sessions[slot] = Session(
        when=slot,
        kind="study",
        text=row.title if before is None else f"{before.text}, {row.title}",
        scenarios=(name,) if before is None else (*before.scenarios, name),
    )
    days[row.plan.day] = PlanDay(
        day=row.plan.day,
        title="Further scenarios" if day is None else day.title,
        origin="firedrill",
        sessions=tuple(sessions[one] for one in _SLOTS if one in sessions),
    )
    return tuple(days[number] for number in sorted(days))
