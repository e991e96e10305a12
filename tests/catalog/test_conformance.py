"""The built catalog holds the original index: every row, exactly, and in its order."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from catalog.load import load
from catalog.model import Catalog, Entry
from catalog.pages import generate
from catalog.pages.sheet import escape
from tests.catalog.repository import ROOT


@pytest.fixture(scope="module")
def original() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        Path(__file__).with_name("original_index.yml").read_text()
    )
    return found


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    found, _ = load(ROOT)
    return found


def numbers(catalog: Catalog, ids: tuple[str, ...]) -> list[int]:
    return [catalog.scenario(one).number for one in ids]


def rows(catalog: Catalog, entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    return [
        {"label": one.label, "ref": one.ref, "scenarios": numbers(catalog, one.scenarios)}
        for one in entries
        if one.origin == "original"
    ]


def test_parts_and_their_scenarios(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {
            "number": part.number,
            "title": part.title,
            "scenarios": [
                one.number for one in catalog.of_part(part.id) if one.origin == "original"
            ],
        }
        for part in catalog.parts
    ]
    assert found == original["parts"]


def test_scenarios_with_titles_and_techniques(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {
            "number": one.number,
            "id": one.id,
            "title": one.original_title or one.title,
            "techniques": [technique.label for technique in one.techniques],
        }
        for one in catalog.scenarios
        if one.origin == "original"
    ]
    assert found == original["scenarios"]


def test_the_first_title_names_python(catalog: Catalog) -> None:
    assert catalog.scenario("large-datasets").title == "Handling Large Datasets in Python"


def test_topic_finder(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {"group": group.title, "rows": rows(catalog, group.entries)} for group in catalog.groups
    ]
    assert found == original["topics"]


def test_questions(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {
            "id": one.id,
            "question": one.question,
            "ref": one.ref,
            "scenarios": numbers(catalog, one.scenarios),
            "short_answer": one.short_answer,
        }
        for one in catalog.questions
        if one.origin == "original"
    ]
    assert found == original["questions"]


def test_study_plan(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {
            "day": day.day,
            "title": day.title,
            "sessions": [
                {
                    "when": one.when,
                    "text": one.text,
                    "scenarios": numbers(catalog, one.scenarios),
                }
                for one in day.sessions
            ],
        }
        for day in catalog.plan
        if day.origin == "original"
    ]
    assert found == original["plan"]


def test_template_and_tips(catalog: Catalog, original: dict[str, Any]) -> None:
    steps = [
        {"number": one.number, "name": one.name, "say": one.say, "lines": list(one.lines)}
        for one in catalog.template.steps
    ]
    before = [{"label": one.label, "minutes": one.minutes} for one in catalog.tips.before]
    assert steps == original["template"]
    assert before == original["before"]
    for key in ("during", "mistakes", "signals"):
        assert [one.label for one in getattr(catalog.tips, key)] == original[key]


def test_levels(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {"id": level.id, "title": level.title, "rows": rows(catalog, level.entries)}
        for level in catalog.levels
    ]
    assert found == original["levels"]


def test_related_topics(catalog: Catalog, original: dict[str, Any]) -> None:
    """Targets that share one document stand together in the original: `Redis, LRU (document)`."""
    found = []
    for row in catalog.related:
        if row.origin != "original":
            continue
        written, waiting = [], []
        for number, target in enumerate(row.targets):
            waiting.append(target.label)
            following = row.targets[number + 1 : number + 2]
            if following and following[0].ref == target.ref and target.scenario is None:
                continue
            written.append(f"{', '.join(waiting)} ({target.ref})")
            waiting = []
        found.append({"label": row.label, "targets": ", ".join(written)})
    assert found == original["related"]


def test_checklist(catalog: Catalog, original: dict[str, Any]) -> None:
    found = [
        {"id": one.id, "text": one.text, "scenario": catalog.scenario(one.scenario).number}
        for one in catalog.checklist.items
        if one.origin == "original"
    ]
    assert found == original["checklist"]


def test_every_label_is_on_its_page(catalog: Catalog, original: dict[str, Any]) -> None:
    pages = generate(catalog)
    expected = {
        "finder.md": [row["label"] for group in original["topics"] for row in group["rows"]],
        "questions/index.md": [row["question"] for row in original["questions"]]
        + [row["short_answer"] for row in original["questions"]],
        "plan.md": [one["text"] for day in original["plan"] for one in day["sessions"]],
        "levels.md": [row["label"] for level in original["levels"] for row in level["rows"]],
        "checklist.md": [row["text"] for row in original["checklist"]],
        "template.md": [row["name"] for row in original["template"]]
        + original["during"]
        + original["mistakes"]
        + original["signals"],
        "related.md": [row["label"] for row in original["related"]],
        "scenarios/index.md": [row["title"] for row in original["scenarios"]]
        + [label for row in original["scenarios"] for label in row["techniques"]],
    }
    missing = [
        f"{page}: {label}"
        for page, labels in expected.items()
        for label in labels
        if escape(label) not in pages[page]
    ]
    assert missing == []


def test_the_row_listed_twice_is_shown_once(catalog: Catalog) -> None:
    scalability = next(group for group in catalog.groups if group.id == "scalability")
    doubled = [one for one in scalability.entries if one.label == "Connection pooling"]
    assert [one.again for one in doubled] == [False, True]
    assert generate(catalog)["finder.md"].count("**Connection pooling**") == 1


def test_rows_of_ours_are_marked_in_words(catalog: Catalog) -> None:
    pages = generate(catalog)
    ours = [
        one
        for group in catalog.groups
        for one in group.entries
        if one.origin == "firedrill" and one.why
    ]
    assert {one.label for one in ours} >= {
        "Memory leaks",
        "Database optimization",
        "Authentication",
    }
    for one in ours:
        assert f"(added by Firedrill: {escape(one.why or '')})" in pages["finder.md"]
