"""The catalog as the public API gives it, version 1. Taking a key away needs version 2."""

import hashlib
import json
from typing import Literal

from pydantic import Field

from catalog.cards import Card
from catalog.model import (
    Advice,
    Catalog,
    Change,
    CheckItem,
    Confusion,
    Model,
    Origin,
    Question,
    Scenario,
    Status,
    Symptom,
    Technique,
    Technology,
    Template,
    Triage,
)

Built = Literal["complete", "planned"]
_UNSIGNED = "0" * 12


class ApiSnippet(Model):
    """A tested file that readers copy."""

    path: str = Field(description="in the repository")
    url: str = Field(description="relative to the root of the site")
    browser: bool = Field(description="whether it runs in the browser")


class ApiMeasurement(Model):
    """A recorded number."""

    key: str
    value: float | int
    unit: str


class ApiScenario(Model):
    """A scenario; a planned one has no url and nothing that its page would bring."""

    number: int
    id: str
    title: str
    url: str | None = Field(description="relative to the root of the site; null while planned")
    part: str
    part_number: int
    level: str
    status: Built
    origin: Origin
    original_title: str | None
    description: str
    summary: str
    techniques: tuple[str, ...]
    python: tuple[Technique, ...] = Field(description="what each technique is in Python")
    technologies: tuple[str, ...]
    topics: tuple[str, ...]
    symptoms: tuple[str, ...]
    questions: tuple[str, ...]
    error_messages: tuple[str, ...]
    aliases: tuple[str, ...]
    prerequisites: tuple[str, ...]
    confused_with: tuple[Confusion, ...]
    snippets: tuple[ApiSnippet, ...]
    drills: tuple[str, ...] = Field(description="pytest node ids")
    measurements: tuple[ApiMeasurement, ...]
    changes: tuple[Change, ...]


class ApiTopic(Model):
    """A row of the topic finder; the row the original lists twice is here once."""

    group: str
    group_title: str
    label: str
    scenarios: tuple[str, ...]
    ref: str | None
    origin: Origin


class ApiQuestion(Model):
    """An interview question; a planned one has no url."""

    id: str
    question: str
    scenarios: tuple[str, ...]
    short_answer: str
    url: str | None = Field(description="relative to the root of the site; null while planned")
    status: Built
    origin: Origin
    follow_ups: int = Field(description="how many are answered on its page")


class ApiPart(Model):
    """One of the parts."""

    number: int
    id: str
    title: str
    scenarios: tuple[str, ...]


class ApiLevel(Model):
    """A complexity level."""

    id: str
    title: str
    scenarios: tuple[str, ...]


class ApiSession(Model):
    """A session of the study plan."""

    when: str
    text: str
    scenarios: tuple[str, ...]


class ApiDay(Model):
    """A day of the study plan."""

    day: int
    title: str
    origin: Origin
    sessions: tuple[ApiSession, ...]


class ApiStep(Model):
    """A step of the answer template."""

    number: int
    id: str
    name: str
    say: str
    lines: tuple[str, ...]


class ApiRelated(Model):
    """A subject to study beside scenarios, or another scenario."""

    from_: str = Field(alias="from", description="the row's label")
    scenarios: tuple[str, ...]
    to: str = Field(description="the target's label")
    ref: str | None = Field(description="what the original pointed to")
    scenario: str | None
    python: str | None
    source: str | None
    origin: Origin


class ApiTip(Model):
    """A quick tip."""

    when: Literal["before", "during"]
    label: str
    about: str
    minutes: int | None


class ApiCatalog(Model):
    """The whole catalog."""

    version: Literal[1]
    revision: str = Field(
        pattern=r"^[0-9a-f]{12}$",
        description="hash of the canonical JSON without this key; there is no timestamp",
    )
    site: str = Field(description="address of the site, empty when it is not published")
    parts: tuple[ApiPart, ...]
    scenarios: tuple[ApiScenario, ...]
    topics: tuple[ApiTopic, ...]
    technologies: tuple[Technology, ...]
    questions: tuple[ApiQuestion, ...]
    levels: tuple[ApiLevel, ...]
    plan: tuple[ApiDay, ...]
    template: tuple[ApiStep, ...]
    checklist: tuple[CheckItem, ...]
    related: tuple[ApiRelated, ...]
    symptoms: tuple[Symptom, ...]
    triage: Triage
    tips: tuple[ApiTip, ...]
    mistakes: tuple[Advice, ...]
    signals: tuple[Advice, ...]


class ApiCards(Model):
    """Every card of the review page and of the Anki deck, in the order in which they are learnt."""

    version: Literal[1]
    revision: str = Field(
        pattern=r"^[0-9a-f]{12}$",
        description="hash of the canonical JSON without this key; there is no timestamp",
    )
    cards: tuple[Card, ...]


def schema(model: type[ApiCatalog] | type[ApiCards]) -> dict[str, object]:
    """Give the JSON Schema of catalog.json or cards.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True, mode="serialization"),
    }


def build(catalog: Catalog) -> ApiCatalog:
    """Give the catalog as the API shows it, with its revision."""
    unsigned = _build(catalog, _UNSIGNED)
    return unsigned.model_copy(update={"revision": _revision(unsigned)})


def build_cards(cards: tuple[Card, ...]) -> ApiCards:
    """Give the cards as the API shows them, with their revision."""
    unsigned = ApiCards(version=1, revision=_UNSIGNED, cards=cards)
    return unsigned.model_copy(update={"revision": _revision(unsigned)})


def _revision(unsigned: ApiCatalog | ApiCards) -> str:
    content = unsigned.model_dump(mode="json", by_alias=True, exclude={"revision"})
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _build(catalog: Catalog, revision: str) -> ApiCatalog:
    return ApiCatalog(
        version=1,
        revision=revision,
        site=catalog.site.url,
        parts=tuple(
            ApiPart(
                number=part.number,
                id=part.id,
                title=part.title,
                scenarios=tuple(one.id for one in catalog.of_part(part.id)),
            )
            for part in catalog.parts
        ),
        scenarios=tuple(_scenario(catalog, one) for one in catalog.scenarios),
        topics=_topics(catalog),
        technologies=catalog.technologies,
        questions=tuple(_question(one) for one in catalog.questions),
        levels=tuple(
            ApiLevel(
                id=level.id,
                title=level.title,
                scenarios=tuple(one.id for one in catalog.of_level(level.id)),
            )
            for level in catalog.levels
        ),
        plan=_plan(catalog),
        template=_template(catalog.template),
        checklist=catalog.checklist.items,
        related=_related(catalog),
        symptoms=catalog.symptoms,
        triage=catalog.triage,
        tips=_tips(catalog),
        mistakes=catalog.tips.mistakes,
        signals=catalog.tips.signals,
    )


def _built(status: Status) -> Built:
    return "complete" if status is Status.COMPLETE else "planned"


def _scenario(catalog: Catalog, one: Scenario) -> ApiScenario:
    done = one.status is Status.COMPLETE
    return ApiScenario(
        number=one.number,
        id=one.id,
        title=one.title,
        url=one.url.lstrip("/") if done else None,
        part=one.part,
        part_number=next(part.number for part in catalog.parts if part.id == one.part),
        level=one.level,
        status=_built(one.status),
        origin=one.origin,
        original_title=one.original_title,
        description=one.description if done else "",
        summary=one.summary if done else "",
        techniques=tuple(technique.label for technique in one.techniques),
        python=one.techniques,
        technologies=one.technologies,
        topics=one.topics,
        symptoms=one.symptoms,
        questions=one.questions,
        error_messages=one.error_messages if done else (),
        aliases=one.aliases if done else (),
        prerequisites=one.prerequisites if done else (),
        confused_with=one.confused_with if done else (),
        snippets=tuple(
            ApiSnippet(path=ref.path, url=ref.url.lstrip("/"), browser=ref.browser)
            for ref in one.snippets
        )
        if done
        else (),
        drills=tuple(drill.id for drill in one.drills) if done else (),
        measurements=tuple(
            ApiMeasurement(key=f"{one.id}/{ref.key}", value=ref.value, unit=ref.unit)
            for ref in one.measurements
        )
        if done
        else (),
        changes=one.changes if done else (),
    )


def _question(one: Question) -> ApiQuestion:
    done = one.status is Status.COMPLETE
    return ApiQuestion(
        id=one.id,
        question=one.question,
        scenarios=one.scenarios,
        short_answer=one.short_answer,
        url=one.url.lstrip("/") if done else None,
        status=_built(one.status),
        origin=one.origin,
        follow_ups=len(one.follow_ups) if done else 0,
    )


def _topics(catalog: Catalog) -> tuple[ApiTopic, ...]:
    return tuple(
        ApiTopic(
            group=group.id,
            group_title=group.title,
            label=entry.label,
            scenarios=entry.scenarios,
            ref=entry.ref,
            origin=entry.origin,
        )
        for group in catalog.groups
        for entry in group.entries
        if not entry.again
    )


def _plan(catalog: Catalog) -> tuple[ApiDay, ...]:
    return tuple(
        ApiDay(
            day=day.day,
            title=day.title,
            origin=day.origin,
            sessions=tuple(
                ApiSession(when=one.when, text=one.text, scenarios=one.scenarios)
                for one in day.sessions
            ),
        )
        for day in catalog.plan
    )


def _template(template: Template) -> tuple[ApiStep, ...]:
    return tuple(
        ApiStep(number=one.number, id=one.id, name=one.name, say=one.say, lines=one.lines)
        for one in template.steps
    )


def _related(catalog: Catalog) -> tuple[ApiRelated, ...]:
    return tuple(
        ApiRelated(
            from_=row.label,
            scenarios=row.scenarios,
            to=target.label,
            ref=target.ref,
            scenario=target.scenario,
            python=target.python,
            source=target.source,
            origin=row.origin,
        )
        for row in catalog.related
        for target in row.targets
    )


def _tips(catalog: Catalog) -> tuple[ApiTip, ...]:
    before = tuple(
        ApiTip(when="before", label=one.label, about=one.about, minutes=one.minutes)
        for one in catalog.tips.before
    )
    during = tuple(
        ApiTip(when="during", label=one.label, about=one.about, minutes=None)
        for one in catalog.tips.during
    )
    return before + during
