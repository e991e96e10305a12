"""The naive files leak as they say; linters find three of them, and only three."""

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from snippets.memory_leaks import naive_event_bus, naive_globals, naive_pool_checkout, naive_tasks
from tests.scenarios.memory_leaks import cases
from tests.scenarios.memory_leaks.conftest import SNIPPETS, Demo


def test_the_bus_calls_everybody_it_ever_met() -> None:
    bus = naive_event_bus.EventBus()
    heard: list[float] = []
    for _ in range(3):
        bus.on("price", heard.append)
    assert bus.emit("price", 1.0) == 3
    assert bus.emit("weather", 1.0) == 0
    assert heard == [1.0, 1.0, 1.0]


def test_a_profile_is_loaded_once_and_kept() -> None:
    first = naive_globals.load_profile(7, 10)
    assert naive_globals.load_profile(7, 10) is first
    assert {7: first} == naive_globals.PROFILES


def test_a_connection_is_returned_only_if_nothing_raises(postgres_url: str) -> None:
    with ConnectionPool(postgres_url, min_size=1, max_size=1, timeout=5) as pool:
        assert naive_pool_checkout.price(pool, 4) == 25
        assert pool.get_stats()["pool_available"] == 1
        with pytest.raises(psycopg.errors.DivisionByZero):
            naive_pool_checkout.price(pool, 0)
        assert pool.get_stats()["pool_available"] == 0


def test_a_request_that_succeeds_keeps_nothing(postgres_url: str) -> None:
    with pytest.warns(ResourceWarning, match="deleted while still open"):
        naive_pool_checkout.price_alone(postgres_url, 4)
    assert naive_pool_checkout.LAST_ERRORS == []


def test_a_request_that_fails_keeps_its_error_and_its_connection(postgres_url: str) -> None:
    naive_pool_checkout.price_alone(postgres_url, 0)
    (error,) = naive_pool_checkout.LAST_ERRORS
    assert isinstance(error, psycopg.errors.DivisionByZero)
    del error
    with pytest.warns(ResourceWarning, match="deleted while still open"):
        naive_pool_checkout.LAST_ERRORS.clear()


def test_kept_tasks_keep_their_results() -> None:
    async def run() -> None:
        naive_tasks.fire_and_keep(naive_tasks.answer(10))
        await asyncio.sleep(0)

    asyncio.run(run())
    assert [task.result() for task in naive_tasks.TASKS] == [bytes(10)]


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


def test_demo_of_the_bus(demo: Demo) -> None:
    assert demo("naive_event_bus") == [
        "1,000 requests have been answered and are over",
        "one event still calls 1,000 of them",
    ]


def test_demo_of_the_globals(demo: Demo) -> None:
    try:
        lines = demo("naive_globals")
    finally:
        logging.getLogger("shop").handlers.clear()
    assert lines == [
        "100 requests each, all of them answered. What is still there:",
        "  module dict          100 profiles",
        "  lru_cache on method  100 reports",
        "  mutable default      100 requests",
        "  stored exceptions    100 frames",
        "  logging handlers     100: each line, 100 times",
    ]


def test_demo_of_the_tasks(demo: Demo) -> None:
    assert demo("naive_tasks") == [
        "held by nobody: 0 of 10 still wait, 0 finished",
        "held for ever:  10 of 10 finished, 10 are still held",
    ]


def test_demo_of_the_pool(demo: Demo, postgres_url: str) -> None:
    assert demo("naive_pool_checkout", postgres_url) == [
        "request 1: a customer ordered nothing",
        "request 2: a customer ordered nothing",
        "request 3: couldn't get a connection after 0.50 sec",
        "0 of 2 available",
    ]
    with pytest.raises(SystemExit, match="Set DATABASE_URL"):
        demo("naive_pool_checkout")


def test_the_cases_are_seven_and_twenty() -> None:
    assert (len(cases.SEVEN), len(set(cases.TWENTY))) == (7, 20)
