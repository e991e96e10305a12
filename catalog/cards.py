"""Cards to learn from, made of what is complete. Pure: the same catalog gives the same cards.

The review page, the Anki deck, the CSV and the API all show these. An id never changes while the
question it asks is the same one: readers' progress hangs on it. `rev` changes with every word.
"""

import datetime as dt
import hashlib
import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from catalog.model import Catalog, Change, Model, Question, Scenario, Slug, Status, Text
from catalog.selfcheck import plain

MOST_WORDS = 60
"""On the back of a card: one fact, not an essay."""
_SLUG = 60
_STEPS = ("identify-challenge", "propose-solution", "trade-offs")
_CODE = re.compile(r"(`+)(?!`)(?P<code>.+?)(?<!`)\1(?!`)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`])")

Kind = Literal["check", "checklist", "symptom", "question", "follow-up"]
CardId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*(#[a-z0-9-]+)?$")]


class Card(Model):
    """A question and its answer: plain words, a line break between thoughts, `code` marked."""

    id: CardId = Field(
        max_length=120,
        description="immutable: of a question, checklist line or symptom its id; of a follow-up "
        "<question>#<follow-up>; of a page's own question <scenario>#<its words>",
    )
    kind: Kind
    scenario: Slug
    topic: Text = Field(description="title of the scenario")
    front: Text
    back: Text = Field(description=f"at most about {MOST_WORDS} words")
    see: str = Field(description="where it is explained, relative to the root of the site")
    tags: tuple[str, ...] = Field(description="part::, level::, tech::, scenario::, kind::")
    rev: str = Field(pattern=r"^[0-9a-f]{8}$", description="hash of front and back")
    changed: dt.date = Field(description="newest change of the pages it is made of")


def cards(catalog: Catalog) -> tuple[Card, ...]:
    """Give every card: by scenario, from its own questions to what an interviewer asks."""
    found: list[Card] = []
    for scenario in catalog.scenarios:
        if scenario.status is Status.COMPLETE:
            found += _of_scenario(catalog, scenario)
    return tuple(found)


def rich(text: str) -> str:
    """Write a card's words as HTML."""
    found = []
    at = 0
    for span in _CODE.finditer(text):
        found.append(html.escape(text[at : span.start()]))
        found.append(f"<code>{html.escape(span['code'])}</code>")
        at = span.end()
    found.append(html.escape(text[at:]))
    return "".join(found).replace("\n", "<br>")


def slug(question: str) -> str:
    """Write a question as the end of an id: at most 60 characters, whole words where it can."""
    text = re.sub(r"[^a-z0-9]+", "-", question.lower()).strip("-")
    if len(text) > _SLUG:
        text = text[: _SLUG + 1].rpartition("-")[0] or text[:_SLUG]
    return text


@dataclass(frozen=True, slots=True)
class _Words:
    """What one card says: its id, both sides, and the address at which it is explained."""

    id: str
    front: str
    back: str
    see: str


def _of_scenario(catalog: Catalog, scenario: Scenario) -> Iterator[Card]:
    gist = _sentences(scenario.summary)
    minute = f"{scenario.url}#in-one-minute"
    for check in scenario.checks:
        name = f"{scenario.id}#{slug(check.q)}"
        words = _Words(name, check.q, check.a, f"{scenario.url}#check-yourself")
        yield _card(catalog, scenario, "check", words)
    for item in catalog.checklist.items:
        if item.scenario == scenario.id:
            words = _Words(item.id, item.text, gist, minute)
            yield _card(catalog, scenario, "checklist", words)
    for symptom in catalog.symptoms:
        if symptom.first == scenario.id:
            back = f"Open first: {scenario.title}.\n{scenario.first_action or gist}"
            place = f"{scenario.url}#runbook" if scenario.first_action else minute
            words = _Words(symptom.id, symptom.label, back, place)
            yield _card(catalog, scenario, "symptom", words)
    for question in catalog.questions:
        if question.status is Status.COMPLETE and _home(catalog, question) is scenario:
            yield from _of_question(catalog, scenario, question)


def _of_question(catalog: Catalog, scenario: Scenario, question: Question) -> Iterator[Card]:
    words = _Words(question.id, question.question, _answer(question), question.url)
    yield _card(catalog, scenario, "question", words, question.changes)
    for one in question.follow_ups:
        words = _Words(f"{question.id}#{one.id}", plain(one.q), plain(one.a), one.see)
        yield _card(catalog, scenario, "follow-up", words, question.changes)


def _home(catalog: Catalog, question: Question) -> Scenario | None:
    """Give the first complete scenario of a question: its cards are learnt with that one."""
    done = (one for one in catalog.scenarios if one.status is Status.COMPLETE)
    return next((one for one in done if one.id in question.scenarios), None)


def _answer(question: Question) -> str:
    """Give the short answer, then what an answer must mention in the steps that decide."""
    lines = [f"{question.short_answer.rstrip('.')}."]
    for step in _STEPS:
        for line in question.rubric:
            said = f"{plain(line.must_mention).rstrip('.')}."
            if line.step == step and _count([*lines, said]) <= MOST_WORDS:
                lines.append(said)
    return "\n".join(lines)


def _sentences(summary: str) -> str:
    """Give the first two sentences of a summary, or the first where two are long."""
    first, *rest = _SENTENCE_END.split(plain(summary).replace("\n", " "))
    return f"{first} {rest[0]}" if rest and _count([first, rest[0]]) <= MOST_WORDS else first


def _count(lines: Iterable[str]) -> int:
    return sum(len(line.split()) for line in lines)


def _card(
    catalog: Catalog,
    scenario: Scenario,
    kind: Kind,
    words: _Words,
    changes: Iterable[Change] | None = None,
) -> Card:
    """Make a card; its page is the scenario's unless it comes with changes of another."""
    part = next(one.number for one in catalog.parts if one.id == scenario.part)
    dates = [change.date for change in (scenario.changes if changes is None else changes)]
    if scenario.measured is not None:  # a number may have changed with nothing else
        dates.append(scenario.measured)
    return Card(
        id=words.id,
        kind=kind,
        scenario=scenario.id,
        topic=scenario.title,
        front=words.front,
        back=words.back,
        see=words.see.removeprefix("/"),
        tags=(
            f"part::{part}",
            f"level::{scenario.level}",
            *(f"tech::{one}" for one in scenario.technologies),
            f"scenario::{scenario.number:02}",
            f"kind::{kind}",
        ),
        rev=hashlib.sha256(f"{words.front}\n\n{words.back}".encode()).hexdigest()[:8],
        changed=max(dates),
    )
