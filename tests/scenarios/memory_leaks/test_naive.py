"""Linters find three of the leaks of the naive files, and only three."""

import json
import subprocess
import sys
from pathlib import Path

from tests.scenarios.memory_leaks import cases
from tests.scenarios.memory_leaks.conftest import SNIPPETS


def ruff(rules: str) -> set[tuple[str, str, str]]:
    """Run ruff alone, without the project's own exceptions for naive files."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", rules,
         "--output-format", "json", *SNIPPETS.glob("naive_*.py")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = set()
    for one in json.loads(done.stdout):
        path = Path(one["filename"])
        line = path.read_text(encoding="utf-8").splitlines()[one["location"]["row"] - 1]
        found.add((one["code"], path.name, line.strip()))
    return found


def test_three_rules_of_ruff_find_three_of_the_leaks() -> None:
    assert ruff("B019,B006,RUF006") == {
        (
            "B019",
            "naive_globals.py",
            "@lru_cache(maxsize=10_000)  # BUG: the key is (self, year): it pins self.",
        ),
        (
            "B006",
            "naive_globals.py",
            "trail: list[Request] = [],  # BUG: one list for all calls, for ever.",
        ),
        (
            "RUF006",
            "naive_tasks.py",
            "asyncio.create_task(work)  # BUG: nobody holds the task.",
        ),
    }


def test_all_rules_of_ruff_find_no_further_leak() -> None:
    """Listeners, dicts, stored exceptions, handlers, kept tasks: no rule names their lines."""
    leaks = {
        line.strip()
        for path in SNIPPETS.glob("naive_*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(
            mark in line
            for mark in ("no bound, no expiry", "registered, never removed", "never removed again",
                         "one more per call", "pins the frame", "not reached when")
        )
    }  # fmt: skip
    assert len(leaks) == 6
    assert {code for code, _, line in ruff("ALL") if line in leaks} == set()


def test_the_cases_are_seven_and_twenty() -> None:
    assert (len(cases.SEVEN), len(set(cases.TWENTY))) == (7, 20)
