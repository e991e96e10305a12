"""The naive readers: right answers, wrong memory, and one that reads too late."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from snippets.large_datasets import naive_fetch_all

from .conftest import Demo

TOTALS = {
    user: sum(Decimal(n % 700) / 100 for n in range(user or 100, 30_001, 100))
    for user in range(100)
}


@pytest.mark.parametrize(
    "total", [naive_fetch_all.total_by_user, naive_fetch_all.total_by_user_fetchmany]
)
def test_totals_are_right(
    events_url: str, total: Callable[[psycopg.Connection[Any]], dict[int, Decimal]]
) -> None:
    with psycopg.connect(events_url) as conn:
        assert total(conn) == TOTALS


def test_a_reader_that_outlives_its_connection_fails(events_url: str) -> None:
    rows = naive_fetch_all.open_events(events_url)
    with pytest.raises(psycopg.Error, match="closed"):
        next(rows)


def test_the_demo_shows_that_every_row_is_already_here(demo: Demo, postgres_url: str) -> None:
    assert demo("naive_fetch_all", postgres_url) == [
        "asked for the first row; the client holds 20,000",
        "user 42 spent 600.00",
        "the same by fetchmany: 600.00",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "bounded_snapshot",
        "copy_out_reader",
        "keyset_new_rows",
        "keyset_postgres",
        "naive_fetch_all",
        "naive_new_rows",
        "server_side_cursor",
    ],
)
@pytest.mark.parametrize("url", ["", "postgresql://127.0.0.1:1/postgres"])
def test_without_a_server_a_demo_says_how_to_get_one(demo: Demo, name: str, url: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo(name, url)
    message = str(stopped.value)
    assert "docker run" in message
    assert message.endswith("make lab")
    assert "\n" not in message
