"""The SQL of a page: read, checked, and staged as the very text that the tests run."""

import json
import re
import shutil
from pathlib import Path

import pytest

from catalog import sql
from catalog.contracts import check as check_contracts
from catalog.expand import Expanded, expand, read_context
from catalog.load import load
from catalog.markdown import fences, read_document
from tests.catalog.repository import NAME, PAGE, ROOT, filled

SCENARIOS = sql.scenarios(ROOT)


def read(scenario: str, root: Path = ROOT) -> sql.Sql:
    found = sql.read_sql(root, scenario.replace("-", "_"))
    assert found is not None
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_sql_of_a_scenario_is_whole(scenario: str) -> None:
    found = read(scenario)
    assert found.problems == ()
    assert found.plans.keys() == {step.name for step in found.steps if step.explained}
    assert found.postgres


@pytest.fixture
def scenario(bare: Path) -> Path:
    """A repository with a finished scenario that has the SQL of large datasets on its page."""
    root = filled(bare)
    shutil.copytree(ROOT / "tests/scenarios/large_datasets/sql", folder(root))
    page = root / PAGE
    page.write_text(page.read_text().replace("\n[[drills]]\n", "\n[[drills]]\n\n[[sql]]\n", 1))
    assert "[[sql]]" in page.read_text()
    return root


def folder(root: Path) -> Path:
    return root / "tests/scenarios" / NAME.replace("-", "_") / "sql"


def staged(root: Path) -> Expanded:
    """The scenario's page as it is staged."""
    catalog, problems = load(root)
    assert problems == []
    document, _ = read_document(root, PAGE)
    assert document is not None
    return expand(document, PAGE.removeprefix("docs/"), read_context(root, catalog))


def shown(root: Path) -> list[str]:
    """What is wrong with the scenario's SQL, as the checker says it."""
    catalog, problems = load(root)
    assert problems == []
    found = [one for one in check_contracts(catalog, root) if "sql" in one.path + one.what]
    assert all(one.mend for one in found)
    return [f"{one.path.rpartition('/sql/')[2]}:{one.line}: {one.what}" for one in found]


def test_the_page_shows_the_text_that_runs_and_the_recorded_plan(scenario: Path) -> None:
    """With and without JavaScript: listing, served text and tested text are the same."""
    page = staged(scenario)
    assert page.problems == []
    found = read(NAME, scenario)
    listings = fences(page.text)
    texts = {
        re.sub(r'.*title="(\w+)\.sql".*', r"\1", one.info): one.body
        for one in listings
        if one.language == "sql"
    }
    assert texts == {step.name: step.sql for step in (found.setup, *found.steps)}
    plans = [one.body.rstrip("\n") for one in listings if one.info == "{.text}"]
    assert plans == list(found.plans.values())
    loaded = json.loads(found.json())
    assert loaded["steps"] == {step.name: step.sql for step in found.steps}
    assert loaded["setup"] == found.setup.sql
    hosts = re.findall(r'data-fd-sql="([^"]+)"(?: data-step="(\w+)")?', page.text)
    assert hosts == [
        (f"../../{sql.served(NAME)}", name) for name in ("", *(step.name for step in found.steps))
    ]
    assert "assets/run/start.js" in page.text
    assert shown(scenario) == []


def test_only_what_has_a_plan_can_be_explained(scenario: Path) -> None:
    found = read(NAME, scenario)
    explained = re.findall(r'data-step="(\w+)"[^>]* data-explained', staged(scenario).text)
    assert explained == list(found.plans)
    assert "3_index" not in explained
    assert "3_index" in [step.name for step in found.steps]


def test_comments_are_words_and_change_no_plan(scenario: Path) -> None:
    """What a step says may be written anew without asking the server again."""
    file = folder(scenario) / "1_offset.sql"
    text = file.read_text().replace("-- A deep page by OFFSET\n", '-- A "deep" page\n')
    file.write_text(text)
    assert shown(scenario) == []
    assert '#### 1. A "deep" page' in staged(scenario).text


STALE = "plans.json:1: was recorded for other SQL"


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("setup.sql", None, ["setup.sql:1: is missing"]),
        ("plans.json", None, ["plans.json:1: is missing: no plan is recorded"]),
        ("plans.json", "{", ["plans.json:1: cannot be read: JSONDecodeError"]),
        ("plans.json", '{"postgres": "18.6"}', ["plans.json:1: cannot be read: KeyError"]),
        ("1_offset.sql", "-- Title\nSELECT 1;\n", [STALE]),
        ("1_offset.sql", "SELECT 1;\n", ["1_offset.sql:1: has no title"]),
        ("1_offset.sql", "-- Title\n", ["1_offset.sql:1: has no SQL"]),
        ("1_offset.sql", b"-- \xff", ["1_offset.sql:1: byte 0xff is not UTF-8"]),
        (
            "1_offset.sql",
            f"-- Title\n\nSELECT '{'x' * 80}';\n",
            ["1_offset.sql:3: has a line of 90 characters of at most 80"],
        ),
        (
            "1_offset.sql",
            None,
            ["2_keyset.sql:1: is numbered 2 where 1 comes next"],
        ),
        (
            "01_more.sql",
            "-- Title\nSELECT 1;\n",
            ["01_more.sql:1: is no step of the page's SQL"],
        ),
        ("3_more.sql", "-- T\nSELECT 1;\n", ["3_more.sql:1: is numbered 3 where 4 comes"]),
    ],
)
def test_what_is_wrong_with_the_sql_is_named(
    scenario: Path, name: str, text: str | bytes | None, what: list[str]
) -> None:
    file = folder(scenario) / name
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = shown(scenario)
    assert len(found) == len(what)
    assert all(one.startswith(told) for one, told in zip(found, sorted(what), strict=True)), found


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("[[sql]]\n", "", f"setup.sql:1: {PAGE} shows it 0 times"),
        ("[[sql]]\n", "[[sql]]\n\n[[sql]]\n", f"setup.sql:1: {PAGE} shows it 2 times"),
    ],
)
def test_the_page_shows_its_sql_once(scenario: Path, old: str, new: str, what: str) -> None:
    page = scenario / PAGE
    page.write_text(page.read_text().replace(old, new))
    assert shown(scenario) == [what]


def test_a_directive_without_sql_is_named(scenario: Path) -> None:
    shutil.rmtree(folder(scenario))
    (problem,) = [one for one in staged(scenario).problems if "SQL" in one.what]
    assert problem.what == f"{NAME} has no SQL for its page"
    assert problem.path == PAGE
    assert "sql/setup.sql" in problem.mend
