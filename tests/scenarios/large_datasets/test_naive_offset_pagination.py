"""OFFSET and tied keys: right while nothing moves and nothing ties, wrong after."""

import sqlite3
from collections.abc import Callable, Iterator

import pytest

from snippets.large_datasets.naive_offset_pagination import ids_by_offset, ids_by_second

from .conftest import Demo

Pages = Callable[[sqlite3.Connection, int], Iterator[list[int]]]


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """100 events, one a second."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created_at INT)")
    connection.executemany("INSERT INTO events VALUES (?, ?)", [(n, n) for n in range(100)])
    yield connection
    connection.close()


@pytest.mark.parametrize("pages", [ids_by_offset, ids_by_second])
def test_a_table_at_rest_without_ties_is_read_whole(conn: sqlite3.Connection, pages: Pages) -> None:
    assert [id_ for page in pages(conn, 7) for id_ in page] == list(range(100))


def test_offset_skips_as_many_as_were_deleted_before_it(conn: sqlite3.Connection) -> None:
    pages = ids_by_offset(conn, 10)
    assert next(pages) == list(range(10))
    conn.execute("DELETE FROM events WHERE id < 3")
    assert next(pages) == list(range(13, 23))


def test_offset_repeats_as_many_as_were_inserted_before_it(conn: sqlite3.Connection) -> None:
    pages = ids_by_offset(conn, 10)
    assert next(pages) == list(range(10))
    conn.execute("INSERT INTO events VALUES (-1, 0), (-2, 0)")
    assert next(pages) == list(range(8, 18))


def test_a_key_with_ties_skips_the_rest_of_its_group(conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE events SET created_at = id / 20")
    assert sum(len(page) for page in ids_by_second(conn, 10)) == 50


def test_the_demo_loses_rows_without_an_error(demo: Demo) -> None:
    assert demo("naive_offset_pagination") == [
        "key without tie-break: saw 400 of 1000 rows",
        "offset: saw 910 of 1000 rows, no error",
        "never seen: [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 210, 211] and 78 more",
    ]
