"""What a test file needs, found by its imports."""

from pathlib import Path

import pytest

from catalog.run.bundle import LACKING, bundle, own_tests, wanted
from catalog.snippets import read_snippets
from tests.catalog.repository import ROOT


def put(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        file = root / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def test_imports_are_followed_to_the_last(tmp_path: Path) -> None:
    put(
        tmp_path,
        tests__scenarios__a__test_x="from snippets.a.x import f\nfrom .shared import g\n",
        tests__scenarios__a__shared="import lab.clock\nfrom hypothesis import given\n",
        lab__clock="import math\n",
        snippets__a__x="import json\n",
    )
    (tmp_path / "lab/__init__.py").write_text("")
    found = own_tests(tmp_path, "a", "x")
    assert found is not None
    assert set(found.files) == {
        "tests/scenarios/a/test_x.py",
        "tests/scenarios/a/shared.py",
        "lab/__init__.py",
        "lab/clock.py",
        "snippets/a/x.py",
    }
    assert found.target == "tests/scenarios/a/test_x.py"
    assert found.packages == {"hypothesis"}
    assert found.missing == set()
    assert not found.blocks


FIXTURE = "import sqlalchemy\n\n@pytest.fixture\ndef database():\n    import psycopg\n"


@pytest.mark.parametrize(
    ("test", "conftest", "taken"),
    [
        ("def test_f(database): ...", FIXTURE, True),
        ("@pytest.fixture\ndef orders(database): ...", FIXTURE, True),
        ("@pytest.mark.usefixtures('database')\ndef test_f(): ...", FIXTURE, True),
        ("from tests.scenarios.a.conftest import ROWS", FIXTURE, True),
        ("def test_f(): ...", FIXTURE.replace("fixture", "fixture(autouse=True)"), True),
        ("def test_f(): ...", "import sqlalchemy\ndef pytest_configure(): ...", True),
        ("def test_f(capsys): ...", FIXTURE, False),
        ("def test_f(helper): ...", "import sqlalchemy\ndef helper(): ...", False),
    ],
)
def test_a_conftest_belongs_to_the_tests_that_use_it(
    tmp_path: Path, test: str, conftest: str, taken: bool
) -> None:
    put(
        tmp_path,
        tests__scenarios__a__test_x=test,
        tests__scenarios__a__conftest=conftest,
        snippets__a__x="",
    )
    found = own_tests(tmp_path, "a", "x")
    assert found is not None
    assert found.missing == ({"sqlalchemy"} if taken else set())


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("import subprocess", {"subprocess"}),
        ("import concurrent.futures", {"concurrent"}),
        ("def test_f():\n    import redis", {"redis"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import redis", set()),
        ("import snippets.a.wired", set()),
        ("import asyncio, csv, sqlite3, pytest, hypothesis", set()),
    ],
)
def test_what_a_page_lacks_is_named(tmp_path: Path, text: str, missing: set[str]) -> None:
    """What one function of a snippet imports concerns that function alone."""
    put(tmp_path, tests__a=text, snippets__a__wired="def wired():\n    import redis")
    assert bundle(tmp_path, ["tests/a.py"]).missing == missing


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("import asyncio\ndef test_f():\n    asyncio.run(g())", True),
        ("async def test_f(): ...", True),
        ("async def helper(): ...", False),
        ("import snippets.a.looping", False),
    ],
)
def test_tests_that_wait_for_a_loop_are_known(tmp_path: Path, text: str, blocks: bool) -> None:
    put(tmp_path, tests__a=text, snippets__a__looping="import asyncio\nasyncio.run(f())")
    assert bundle(tmp_path, ["tests/a.py"]).blocks is blocks


def test_what_a_run_loads_is_what_the_file_and_its_main_import() -> None:
    text = """import json, starlette.routing
def wired():
    import asyncpg
def main():
    import hypothesis.strategies, os
    from snippets.a import x
"""
    assert wanted(text) == {"starlette", "hypothesis"}
    assert wanted("async def main():\n    import pytest\n") == {"pytest"}


def test_a_snippet_without_tests_of_its_own_has_none(tmp_path: Path) -> None:
    assert own_tests(tmp_path, "a", "x") is None


def test_no_runnable_snippet_imports_what_a_page_lacks() -> None:
    snippets, _ = read_snippets(ROOT)
    runnable = [snippet.path for snippet in snippets if snippet.browser]
    assert runnable
    for path in runnable:
        assert not bundle(ROOT, [path]).missing & LACKING, path


def test_every_runnable_snippet_has_tests_that_run_in_a_page() -> None:
    snippets, _ = read_snippets(ROOT)
    for snippet in snippets:
        if snippet.browser:
            found = own_tests(ROOT, snippet.scenario.replace("-", "_"), snippet.name)
            assert found is not None, f"{snippet.path}: no test_{snippet.name}.py"
            assert not found.missing, f"{found.target}: move what needs these to a file beside it"
