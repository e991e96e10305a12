"""The catalog: every fact of the site, typed and frozen. The one schema; it exports JSON Schema.

Two kinds of model live here.
Records are what `catalog/data/*.yml` and front matter hold, key by key.
The `Catalog` and what it is made of are what the loader builds from them, joined and ordered.
Unknown keys are refused everywhere.
"""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Slug = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=2, max_length=40)
]
QuestionId = Annotated[str, StringConstraints(pattern=r"^q-[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
FollowUpId = Annotated[str, StringConstraints(pattern=r"^f-[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Address = Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$")]
Origin = Literal["original", "firedrill"]


class Model(BaseModel):
    """What all models share: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Status(StrEnum):
    """How far a scenario is."""

    COMPLETE = "complete"  # its page exists and every check passes
    DRAFT = "draft"  # its page says so; shown while serving, exported as planned
    PLANNED = "planned"  # no page yet


# Vocabulary and rows: catalog/data/*.yml ---------------------------------------------------------


class Part(Model):
    """One of the four parts."""

    number: int = Field(ge=1)
    id: Slug
    title: Label
    short: Label  # as the original's study plan calls it
    about: Text
    fire: bool = False  # the original marks it as crisis work


class Level(Model):
    """One rung of the complexity ladder, with the original's rows and ours."""

    id: Slug
    rank: int = Field(ge=1)
    title: Label
    about: Text
    fire: bool = False
    entries: tuple["Entry", ...] = ()


class Entry(Model):
    """A row that leads to scenarios: of the topic finder or of a level.

    `ref` is the reference as the original writes it; only the original's rows have one.
    `again` marks a row that the original lists twice in one group: it is shown once.
    """

    label: Label
    ref: Text | None = None
    scenarios: tuple[Slug, ...] = Field(min_length=1)
    origin: Origin = "original"
    why: Text | None = None
    again: bool = False

    @model_validator(mode="after")
    def _ours_says_why(self) -> "Entry":
        if self.origin == "firedrill" and self.why is None:
            raise ValueError("add 'why': a row of ours says why it was added")
        if self.origin == "original" and self.ref is None:
            raise ValueError("add 'ref', or 'origin: firedrill' when the row is ours")
        return self


class Group(Model):
    """One of the groups of the topic finder."""

    id: Slug
    title: Label
    fire: bool = False
    entries: tuple[Entry, ...] = Field(min_length=1)


class Technology(Model):
    """A technology that scenarios can be found by; all are ours."""

    id: Slug
    title: Label
    about: Text


class Technique(Model):
    """A technique in the original's words, and what it is in Python (ours)."""

    label: Label
    python: Text


class ScenarioRow(Model):
    """One of the 21 rows of the original index."""

    number: int = Field(ge=1, le=99)
    id: Slug
    part: Slug
    title: Label
    original_title: Label | None = None  # only where it names another language
    techniques: tuple[Technique, ...] = Field(min_length=1)
    technologies: tuple[Slug, ...] = Field(min_length=1)


class QuestionRow(Model):
    """A row of the question index: the question and its short answer."""

    id: QuestionId
    question: Label
    ref: Text | None = None
    scenarios: tuple[Slug, ...] = Field(min_length=1)
    short_answer: Label
    origin: Origin = "original"
    fire: bool = False


class Symptom(Model):
    """What somebody on call sees, and the scenario to open first; all are ours."""

    id: Slug
    label: Label
    first: Slug
    also: tuple[Slug, ...] = ()
    question: QuestionId | None = None


class TriageNode(Model):
    """A yes/no question; an answer leads to another node (`t-...`) or to a symptom."""

    id: Annotated[str, StringConstraints(pattern=r"^t-[a-z0-9-]+$")]
    ask: Label
    if_yes: Slug
    if_no: Slug


class Triage(Model):
    """The decision tree for somebody on call."""

    root: Slug
    nodes: tuple[TriageNode, ...] = Field(min_length=1)


class Session(Model):
    """A third of a day of the study plan."""

    when: Label
    kind: Literal["study", "practice", "review"]
    text: Label
    scenarios: tuple[Slug, ...] = ()


class PlanDay(Model):
    """A day of the study plan."""

    day: int = Field(ge=1, le=60)
    title: Label
    part: Slug | None = None
    fire: bool = False
    origin: Origin = "original"
    sessions: tuple[Session, ...] = Field(min_length=1)


class Step(Model):
    """One of the seven steps of an answer."""

    number: int = Field(ge=1, le=7)
    id: Slug
    name: Label
    say: Label
    lines: tuple[Label, ...] = Field(min_length=1)
    about: Text


class Template(Model):
    """The answer template."""

    about: Text
    steps: tuple[Step, ...] = Field(min_length=7, max_length=7)


class Preparation(Model):
    """A tip for the time before the interview."""

    label: Label
    minutes: int = Field(ge=1)
    about: Text


class Advice(Model):
    """A label of the original with our sentence about it."""

    label: Label
    about: Text


class Tips(Model):
    """Quick tips, common mistakes, and what interviewers want to see."""

    before: tuple[Preparation, ...] = Field(min_length=1)
    during: tuple[Advice, ...] = Field(min_length=1)
    mistakes: tuple[Advice, ...] = Field(min_length=1)
    signals: tuple[Advice, ...] = Field(min_length=1)


class CheckItem(Model):
    """A line of the self-assessment."""

    id: Slug
    text: Label
    scenario: Slug
    fire: bool = False
    origin: Origin = "original"


class Checklist(Model):
    """The self-assessment."""

    intro: Label
    outro: Text
    items: tuple[CheckItem, ...] = Field(min_length=1)


class Target(Model):
    """What a row of the related topics points to.

    Either another scenario, or a subject: then `python` says what it means in Python, `source` is
    the primary source, and `concept` the page `docs/concepts/<concept>.md` once that exists.
    `ref` is what the original wrote in parentheses.
    """

    label: Label
    ref: Text | None = None
    scenario: Slug | None = None
    concept: Slug | None = None
    python: Text | None = None
    source: Address | None = None
    source_title: Label | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Target":
        subject = (self.python, self.source, self.source_title)
        if self.scenario is not None and (any(subject) or self.concept):
            raise ValueError("keep 'scenario' or the subject's keys, not both")
        if self.scenario is None and not all(subject):
            raise ValueError("add 'scenario', or 'python', 'source' and 'source_title'")
        return self


class RelatedRow(Model):
    """A row of the related topics."""

    label: Label
    scenarios: tuple[Slug, ...] = Field(min_length=1)
    scenarios_origin: Origin = "original"
    origin: Origin = "original"
    targets: tuple[Target, ...] = Field(min_length=1)


# Front matter ------------------------------------------------------------------------------------


class Change(Model):
    """A line of a page's history."""

    date: dt.date
    what: Annotated[Text, StringConstraints(max_length=200)]


class Confusion(Model):
    """A scenario that is taken for this one, and what tells them apart."""

    id: Slug
    difference: Annotated[Text, StringConstraints(max_length=300)]


class NewTopic(Model):
    """A row of the topic finder that a scenario beyond the 21 adds."""

    group: Slug
    label: Label


class NewSymptom(Model):
    """A symptom that a scenario beyond the 21 adds, or a known one that it joins."""

    id: Slug
    label: Label


class NewRelated(Model):
    """A subject to study beside a scenario beyond the 21."""

    label: Label
    url: Address
    python: Text | None = None


class NewSlot(Model):
    """A slot of the study plan after the original's four days."""

    day: int = Field(ge=5, le=60)
    slot: Literal["Morning", "Afternoon", "Evening"]


class NewRow(Model):
    """What a scenario beyond the 21 adds to the vocabulary, in its own front matter."""

    number: int = Field(ge=22, le=99)
    part: Slug
    title: Label
    techniques: tuple[Technique, ...] = Field(min_length=1)
    level: Slug
    technologies: tuple[Slug, ...] = Field(min_length=1)
    topics: tuple[NewTopic, ...] = Field(min_length=1)
    symptoms: tuple[NewSymptom, ...] = Field(min_length=1)
    checklist: Label
    related: tuple[NewRelated, ...] = Field(min_length=1)
    plan: NewSlot


class ScenarioFront(Model):
    """Front matter of docs/scenarios/<id>.md."""

    page_type: Literal["scenario"] = Field(alias="page-type")
    id: Slug
    description: Text
    summary: Text
    error_messages: tuple[Text, ...]
    aliases: tuple[Label, ...] = ()
    prerequisites: tuple[Slug, ...] = ()
    confused_with: tuple[Confusion, ...] = ()
    changes: tuple[Change, ...] = Field(min_length=1)
    status: Literal["draft"] | None = None
    row: NewRow | None = None


class FollowUp(Model):
    """A question the interviewer asks next, and what to answer."""

    id: FollowUpId
    q: Annotated[Text, StringConstraints(max_length=200)]
    a: Annotated[Text, StringConstraints(max_length=320)]
    probes: Literal[
        "scale", "failure", "trade-off", "cost", "security", "operations", "correctness"
    ]
    see: Annotated[str, StringConstraints(pattern=r"^/[a-z0-9/_-]*/(#[\w:.-]+)?$")]


class RubricLine(Model):
    """What an answer must mention in one of the seven steps."""

    step: Slug
    must_mention: Text


class NewQuestion(Model):
    """What a question beyond the index adds, in its own front matter."""

    question: Label
    scenarios: tuple[Slug, ...] = Field(min_length=1)
    short_answer: Label


class QuestionFront(Model):
    """Front matter of docs/questions/<id>.md."""

    page_type: Literal["question"] = Field(alias="page-type")
    id: QuestionId
    description: Text
    spoken_answer: Text
    follow_ups: tuple[FollowUp, ...]
    red_flags: tuple[Text, ...] = Field(min_length=1)
    rubric: tuple[RubricLine, ...] = Field(min_length=1)
    changes: tuple[Change, ...] = Field(min_length=1)
    status: Literal["draft"] | None = None
    row: NewQuestion | None = None


class PlainFront(Model):
    """Front matter of a concept page or an about page."""

    page_type: Literal["concept", "page"] | None = Field(default=None, alias="page-type")
    title: Label
    description: Text
    status: Literal["draft"] | None = None
    hide: tuple[Literal["navigation", "toc", "footer"], ...] = ()
    search: dict[Literal["boost", "exclude"], float | bool] = {}


# The catalog -------------------------------------------------------------------------------------


class SnippetRef(Model):
    """A snippet of a scenario: where it is and whether it runs in a browser."""

    path: str  # snippets/rate_limiting/gcra.py
    name: str  # gcra
    url: str  # /code/rate_limiting/gcra.py, without section markers
    browser: bool
    summary: str  # first line of the docstring
    naive: bool
    needs: tuple[str, ...] = ()


class DrillRef(Model):
    """A failure drill: a test that first shows the failure, then that the good code holds."""

    id: str  # tests/scenarios/rate_limiting/test_drill.py::test_name
    name: str
    failure: str  # first line of its docstring: the failure in plain words
    line: int


class MeasurementRef(Model):
    """A recorded number."""

    key: str
    value: float | int
    unit: str
    note: str = ""


class SelfCheck(Model):
    """A question of a page's "Check yourself" and its answer, as plain words with `code`."""

    q: Text
    a: Text


class Scenario(Model):
    """A scenario with everything that is known of it."""

    number: int
    id: Slug
    part: Slug
    title: Label
    original_title: Label | None = None
    origin: Origin
    status: Status
    techniques: tuple[Technique, ...]
    level: Slug
    level_origin: Origin
    technologies: tuple[Slug, ...]
    topics: tuple[str, ...]  # <group>/<slug of the label>
    symptoms: tuple[Slug, ...]
    questions: tuple[QuestionId, ...]
    page: str | None = None  # docs/scenarios/<id>.md
    description: str = ""
    summary: str = ""
    error_messages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    prerequisites: tuple[Slug, ...] = ()
    confused_with: tuple[Confusion, ...] = ()
    changes: tuple[Change, ...] = ()
    snippets: tuple[SnippetRef, ...] = ()
    drills: tuple[DrillRef, ...] = ()
    measurements: tuple[MeasurementRef, ...] = ()
    measured: dt.date | None = None  # when they were recorded
    checks: tuple[SelfCheck, ...] = ()
    first_action: str = ""  # the first line of its runbook, where it has one

    @property
    def python_name(self) -> str:
        """Its name in every Python room: `rate_limiting` for `rate-limiting`."""
        return self.id.replace("-", "_")

    @property
    def url(self) -> str:
        """Its permanent address, from the root of the site."""
        return f"/scenarios/{self.id}/"


class AnswerStep(Model):
    """One step of a model answer, in Markdown, less its code and figures."""

    step: Slug
    place: str  # its anchor on the question's page
    text: str
    facts: str = ""  # of the first step: what the interviewer says when asked
    code: bool = False  # whether the page shows code or figures here


class Question(Model):
    """An interview question with everything that is known of it."""

    id: QuestionId
    question: Label
    ref: Text | None = None
    scenarios: tuple[Slug, ...]
    short_answer: Label
    origin: Origin
    fire: bool = False
    status: Status
    page: str | None = None  # docs/questions/<id>.md
    description: str = ""
    spoken_answer: str = ""
    follow_ups: tuple[FollowUp, ...] = ()
    red_flags: tuple[str, ...] = ()
    rubric: tuple[RubricLine, ...] = ()
    answer: tuple[AnswerStep, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def url(self) -> str:
        """Its permanent address, from the root of the site."""
        return f"/questions/{self.id}/"


class Page(Model):
    """A hand-written page that is neither a scenario nor a question."""

    path: str  # below docs/, such as about/decisions.md
    title: Label
    description: str = ""


class Site(Model):
    """Where the site and its repository are published; empty means unknown."""

    url: str = ""
    repo: str = ""


class Catalog(Model):
    """Everything the site knows, in the order in which it is shown."""

    site: Site
    show_drafts: bool  # serving: drafts have pages
    parts: tuple[Part, ...]
    levels: tuple[Level, ...]
    technologies: tuple[Technology, ...]
    groups: tuple[Group, ...]
    scenarios: tuple[Scenario, ...]
    questions: tuple[Question, ...]
    symptoms: tuple[Symptom, ...]
    triage: Triage
    plan: tuple[PlanDay, ...]
    template: Template
    tips: Tips
    checklist: Checklist
    related: tuple[RelatedRow, ...]
    concepts: tuple[Page, ...] = ()
    about: tuple[Page, ...] = ()  # docs/about/*.md

    def scenario(self, scenario_id: str) -> Scenario:
        """Give a scenario by id; KeyError when there is none."""
        for scenario in self.scenarios:
            if scenario.id == scenario_id:
                return scenario
        raise KeyError(scenario_id)

    def question(self, question_id: str) -> Question:
        """Give a question by id; KeyError when there is none."""
        for question in self.questions:
            if question.id == question_id:
                return question
        raise KeyError(question_id)

    def has_page(self, item: Scenario | Question) -> bool:
        """Say whether a scenario or question has a page in this build."""
        return item.status is Status.COMPLETE or (item.status is Status.DRAFT and self.show_drafts)

    def of_part(self, part_id: str) -> tuple[Scenario, ...]:
        """Give the scenarios of a part, by number."""
        return tuple(scenario for scenario in self.scenarios if scenario.part == part_id)

    def of_level(self, level_id: str) -> tuple[Scenario, ...]:
        """Give the scenarios of a level, by number."""
        return tuple(scenario for scenario in self.scenarios if scenario.level == level_id)

    def crisis(self, scenario: Scenario) -> bool:
        """Say whether a scenario is crisis work, so that its page carries a runbook."""
        return any(part.id == scenario.part and part.fire for part in self.parts)
