"""Let the reader's client work between the pages of a reader by OFFSET, and of one by key."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

from snippets.large_datasets.naive_offset_pagination import ids_by_offset

ROWS = 1000
LIMIT = 100
MISSED = 100
MOST_PAGES = 200


class Reader(Protocol):
    """What the reader writes."""

    def between_pages(self, conn: sqlite3.Connection, page: list[int]) -> None:
        """Work on the table after a page was read."""


def check(reader: Reader) -> str:
    """Judge the client; AssertionError says what is missing."""
    with closing(table()) as conn:
        missed = lost(conn, ids_by_offset(conn, LIMIT), reader)
    assert len(missed) >= MISSED, (
        f"OFFSET missed {len(missed)} rows that were there all the time; it should miss {MISSED}."
    )
    with closing(table()) as conn:
        by_key = lost(conn, ids_by_key(conn, LIMIT), reader)
    assert not by_key, f"A reader by key missed {len(by_key)} as well: this is not OFFSET's fault."
    return (
        f"OFFSET missed {len(missed)} rows that were there all the time, and said nothing.\n"
        f"The first are {', '.join(map(str, missed[:5]))}.\n"
        "A reader by key, disturbed alike, saw all."
    )


def table() -> sqlite3.Connection:
    """Make the table events with ids from 0."""
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created_at INT)")
    conn.executemany("INSERT INTO events (id) VALUES (?)", [(number,) for number in range(ROWS)])
    return conn


def ids_by_key(conn: sqlite3.Connection, limit: int) -> Iterator[list[int]]:
    """Yield pages of at most `limit` ids, each after the last id of the one before."""
    last = -1
    while page := conn.execute(
        "SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?", (last, limit)
    ).fetchall():
        yield [row[0] for row in page]
        last = page[-1][0]


def lost(conn: sqlite3.Connection, pages: Iterator[list[int]], reader: Reader) -> list[int]:
    """Give the ids that were there from first to last and on no page."""
    seen: set[int] = set()
    for number, page in enumerate(pages, 1):
        assert number <= MOST_PAGES, f"The table grows faster than it is read: {number} pages."
        seen.update(page)
        reader.between_pages(conn, page)
    left = {row[0] for row in conn.execute("SELECT id FROM events WHERE id < ?", (ROWS,))}
    return sorted(left - seen)
