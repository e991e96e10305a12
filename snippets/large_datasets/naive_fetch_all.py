# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The nightly job as it is first written: the whole table becomes objects.

Two versions, the second the usual fix of the first. Both hold every row of the
result in this process before the first one is looked at, so their memory grows
with the table. A third, lazy one reads after its connection has been closed.

Source: https://www.psycopg.org/psycopg3/docs/advanced/cursors.html
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row


# --8<-- [start:fetch_all]
def total_by_user(conn: psycopg.Connection[Any]) -> dict[int, Decimal]:
    """Add up the amounts of each user. Memory: O(rows of the table)."""
    cur = conn.cursor(row_factory=dict_row)
    # BUG: every row is kept, in one list, each a dict with its own hash table.
    rows = cur.execute("SELECT * FROM events").fetchall()
    totals: dict[int, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row["user_id"]] += row["amount"]
    return dict(totals)


# --8<-- [end:fetch_all]


# --8<-- [start:fetch_many]
def total_by_user_fetchmany(
    conn: psycopg.Connection[Any], size: int = 2000
) -> dict[int, Decimal]:
    """Do the same in slices of `size` rows. Memory: still O(rows)."""
    # BUG: execute() on a client cursor returns only when libpq has received
    # the whole result; fetchmany() then slices what is already in memory.
    cur = conn.execute("SELECT user_id, amount FROM events")
    totals: dict[int, Decimal] = defaultdict(Decimal)
    while rows := cur.fetchmany(size):
        for user_id, amount in rows:
            totals[user_id] += amount
    return dict(totals)


# --8<-- [end:fetch_many]


# --8<-- [start:late_reader]
def open_events(url: str) -> Iterator[tuple[int, Decimal]]:
    """Return the rows lazily, and close their connection first."""
    with psycopg.connect(url) as conn, conn.cursor(name="late") as cur:
        cur.execute("SELECT user_id, amount FROM events")
        # BUG: the rows are read after `with` has closed the connection (or
        # has given it back to the pool, where another request now uses it).
        return iter(cur)


# --8<-- [end:late_reader]


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Show that the client already holds every row after execute()."""
    with psycopg.connect(url) as conn:
        conn.execute("""
            CREATE TEMPORARY TABLE events AS
            SELECT id, id % 100 AS user_id, (id % 7)::numeric(9, 2) AS amount
            FROM generate_series(1, 20000) AS id""")
        cur = conn.execute("SELECT * FROM events")
        print(f"asked for the first row; the client holds {cur.rowcount:,}")
        print(f"user 42 spent {total_by_user(conn)[42]}")
        print(f"the same by fetchmany: {total_by_user_fetchmany(conn)[42]}")
        conn.rollback()


def main() -> None:
    """Run the demo on the server that DATABASE_URL names."""
    server = (
        "A server: docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=x "
        "postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    url = os.environ.get("DATABASE_URL") or sys.exit(
        f"Set DATABASE_URL. {server}"
    )
    try:
        demo(url)
    except psycopg.OperationalError as error:
        sys.exit(f"No PostgreSQL ({' '.join(str(error).split())}). {server}")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
