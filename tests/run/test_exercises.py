"""Each exercise can be done, is not done from the start, and helps on the way."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from catalog.exercise import Exercise, folded, read_exercise
from catalog.expand import expand, read_context
from catalog.load import load
from catalog.markdown import read_document
from catalog.snippets import read_snippets
from tests.catalog.repository import ROOT, filled

FOLDERS = sorted((ROOT / "tests" / "scenarios").glob("*/break_it"))


def exercise(scenario: str, root: Path = ROOT) -> Exercise:
    found = read_exercise(root, scenario)
    assert found is not None
    return found


def test_each_page_that_runs_code_has_an_exercise() -> None:
    runs = {one.path.split("/")[1] for one in read_snippets(ROOT)[0] if one.browser}
    assert {folder.parent.name for folder in FOLDERS} == runs


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_the_start_does_not_solve_it_and_the_solution_does(folder: Path) -> None:
    found = exercise(folder.parent.name)
    start, check, solution = (
        importlib.import_module(f"{found.folder.replace('/', '.')}.{name}")
        for name in ("start", "check", "solution")
    )
    with pytest.raises(AssertionError) as caught:
        check.check(start)
    assert str(caught.value).strip().endswith("."), "the message is a sentence"
    assert str(check.check(solution)).strip().endswith(".")
    assert "solution" not in "".join(found.bundle.files if found.bundle else ())


@pytest.mark.parametrize(
    ("scenario", "name", "answer", "told"),
    [
        ("bulk_upload", "damage", lambda text: f'"{text}', "refuses the header"),
        ("bulk_upload", "damage", lambda _: None, "NoneType instead of text."),
        ("bulk_upload", "damage", lambda text: f"{text}x", "csv.reader finds 102 records"),
        ("bulk_download", "cut", lambda _: None, "NoneType instead of bytes."),
        ("rate_limiting", "arrivals", lambda: None, "NoneType instead of a list"),
        ("rate_limiting", "arrivals", lambda: [float("nan")] * 199, "not all of these are."),
    ],
)  # fmt: skip
def test_other_answers_get_a_sentence(
    scenario: str, name: str, answer: Callable[..., object], told: str
) -> None:
    check = importlib.import_module(f"tests.scenarios.{scenario}.break_it.check").check
    try:
        said = check(SimpleNamespace(**{name: answer}))
    except AssertionError as error:
        said = str(error)
    assert told in said


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_a_hint_is_seen_after_the_one_before(folder: Path) -> None:
    found = exercise(folder.parent.name)
    assert found.task
    opened = [line for line in folded(found.hints) if "??? tip" in line]
    depths = [len(re.match(" *", line)[0]) for line in opened]  # type: ignore[index] # matches
    assert depths == [4 * depth for depth in range(len(found.hints))]


@pytest.fixture
def scenario(bare: Path) -> Path:
    """A repository with a finished scenario and its exercise."""
    return filled(bare)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("solution.py", None, "lacks solution.py"),
        ("task.md", "Break it.\n\n1. One hint.\n", "gives fewer than two hints"),
        ("task.md", "1. One hint.\n2. Another.\n", "has no task before its hints"),
        ("check.py", "import psycopg\n", "imports psycopg, which a page lacks"),
    ],
)
def test_what_is_wrong_with_an_exercise_is_named(
    scenario: Path, name: str, text: str | None, what: str
) -> None:
    file = scenario / "tests/scenarios/twenty_second/break_it" / name
    if text is None:
        file.unlink()
    else:
        file.write_text(text, encoding="utf-8")
    (problem,) = shown(scenario)
    assert problem == what


def test_a_good_exercise_closes_the_self_check(scenario: Path) -> None:
    assert shown(scenario) == []


def shown(root: Path) -> list[str]:
    """Expand the scenario's page; give what is wrong with its exercise."""
    catalog, problems = load(root)
    assert problems == []
    document, _ = read_document(root, "docs/scenarios/twenty-second.md")
    assert document is not None
    expanded = expand(document, "scenarios/twenty-second.md", read_context(root, catalog))
    found = [one.what for one in expanded.problems if "break_it" in one.path]
    lines = expanded.text.split("\n")
    assert ("### Break it" in lines) is (not found)
    if not found:
        at = lines.index("### Break it")
        assert lines.index("## Check yourself") < at < lines.index("## Interview questions")
    return found
