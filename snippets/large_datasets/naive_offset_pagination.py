# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Pages by OFFSET, and pages by a key that is not unique: both lose rows.

OFFSET counts from the front on every page: it reads and throws away all rows
before it, and when a row before it goes away, the next page begins one too
far. `key > last` without a tie-break skips the rest of a group of equal keys.
Neither raises an error. Use neither to visit every row.

Source: https://use-the-index-luke.com/no-offset
"""

import sqlite3
from collections.abc import Iterator


# --8<-- [start:offset]
def ids_by_offset(conn: sqlite3.Connection, limit: int) -> Iterator[list[int]]:
    """Yield pages of at most `limit` ids. Page n costs O(n * limit) reads."""
    offset = 0
    while True:
        # BUG: a position moves when rows before it are deleted or inserted.
        page = conn.execute(
            "SELECT id FROM events ORDER BY id LIMIT ? OFFSET ?",
            (limit, offset),
        ).fetchall()
        if not page:
            return
        yield [row[0] for row in page]
        offset += limit


# --8<-- [end:offset]


# --8<-- [start:ties]
def ids_by_second(conn: sqlite3.Connection, limit: int) -> Iterator[list[int]]:
    """Yield pages of at most `limit` ids, in the order of `created_at`."""
    last = -1
    while True:
        # BUG: created_at is not unique; the rows of that second that did not
        # fit on this page are skipped by the next one.
        page = conn.execute(
            "SELECT id, created_at FROM events WHERE created_at > ?"
            " ORDER BY created_at LIMIT ?",
            (last, limit),
        ).fetchall()
        if not page:
            return
        yield [row[0] for row in page]
        last = page[-1][1]


# --8<-- [end:ties]


# --8<-- [start:demo]
def main() -> None:
    """Read 1,000 rows while another job archives what was already read."""
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created_at INT)")
    conn.executemany(
        "INSERT INTO events VALUES (?, ?)",
        [(number, number // 300) for number in range(1000)],
    )

    by_second = sum(len(page) for page in ids_by_second(conn, 100))
    print(f"key without tie-break: saw {by_second} of 1000 rows")

    seen: list[int] = []
    for page in ids_by_offset(conn, 100):
        seen += page
        gone = [(number,) for number in page[:10]]
        conn.executemany("DELETE FROM events WHERE id = ?", gone)
    lost = sorted(set(range(1000)) - set(seen))
    print(f"offset: saw {len(seen)} of 1000 rows, no error")
    print(f"never seen: {lost[:12]} and {len(lost) - 12} more")
    conn.close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
