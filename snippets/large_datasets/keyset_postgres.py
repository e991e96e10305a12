# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Keyset pagination in PostgreSQL: one row-value comparison, newest first.

`(created_at, id) < (%s, %s)` is a single condition that an index on
(created_at, id) answers, in either direction. Written out as
`created_at < x OR (created_at = x AND id < y)` it means the same, and the
planner cannot start the index scan at the key. A row value has one direction:
for "newest first, then name ascending" write `created_at <= x AND (created_at
< x OR name > y)`, whose first half the index answers.

The key is text, as PostgreSQL writes it (in DateStyle ISO, the default), so it
can be signed as keyset_pagination.py does before a client gets it, and holds
what Python has no value for, such as 'infinity'. For rows that are still being
written, keyset_new_rows.py.

Source: https://www.postgresql.org/docs/current/functions-comparisons.html
"""

import os
import sys
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
from psycopg import sql

Row = tuple[Any, ...]
Key = tuple[str, ...]
Connection = psycopg.Connection[Row]

MAX_LIMIT = 1000  # rows a page


# --8<-- [start:sorts]
# The allow-list. The last expression of each is unique, none is ever NULL,
# and text is compared byte by byte, whatever the database's collation is.
SORTS: dict[str, tuple[LiteralString, ...]] = {
    "created_at": ("created_at", "id"),
    "paid_at": ("paid_at IS NULL", "coalesce(paid_at, 'epoch')", "id"),
    "customer": ('customer COLLATE "C"', "id"),
}
# --8<-- [end:sorts]


# --8<-- [start:fetch_page]
def fetch_page(
    conn: Connection,
    after: Key | None = None,
    limit: int = 100,
    *,
    sort: str = "created_at",
) -> tuple[list[Row], Key | None]:
    """Return up to `limit` orders (id, customer), and the key to go on after.

    The key is None when there is nothing more. Raises ValueError for a limit
    outside 1 to 1,000 rows, for an unknown sort, for a key of another length
    than the sort's, and for a NULL in a key: the pages would end there. Reads
    O(limit) rows at any depth, given an index on the sort's expressions.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be 1 to {MAX_LIMIT} rows, got {limit}")
    if sort not in SORTS:
        raise ValueError(f"sort must be one of {sorted(SORTS)}, got {sort!r}")
    columns = [sql.SQL(column) for column in SORTS[sort]]
    if after is not None and len(after) != len(columns):
        raise ValueError(f"sort {sort!r} has {len(columns)} key columns")
    where = sql.SQL("WHERE ({}) < ({})").format(
        sql.SQL(", ").join(columns),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    query = sql.SQL(
        "SELECT id, customer, {} FROM orders {} ORDER BY {} LIMIT %s"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("({})::text AS key_{}").format(column, number)
            for number, column in enumerate(columns)
        ),
        where if after is not None else sql.SQL(""),
        sql.SQL(", ").join(column + sql.SQL(" DESC") for column in columns),
    )
    rows = conn.execute(query, (*(after or ()), limit + 1)).fetchall()
    items = [row[:2] for row in rows[:limit]]
    key = rows[limit - 1][2:] if len(rows) > limit else None
    if key and None in key:
        raise ValueError(f"sort {sort!r} met a NULL after {items[-1]}")
    return items, key


# --8<-- [end:fetch_page]


# --8<-- [start:iter_all]
def iter_all(
    conn: Connection, sort: str = "created_at", limit: int = 1000
) -> Iterator[Row]:
    """Yield every order once; memory for one page, no open cursor between.

    With `autocommit` on, no transaction is open between pages either, so a
    long read does not hold back VACUUM.
    """
    items, key = fetch_page(conn, None, limit, sort=sort)
    yield from items
    while key is not None:
        items, key = fetch_page(conn, key, limit, sort=sort)
        yield from items


# --8<-- [end:iter_all]


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Visit 20,000 orders by each sort; show the plan of a deep page."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("""
            CREATE TEMPORARY TABLE orders AS
            SELECT id, 'customer ' || id % 50 AS customer,
                   timestamptz '2026-01-01' + id / 40 * interval '1 s'
                       AS created_at,
                   timestamptz '2026-02-01' + id * interval '1 s' AS paid_at
            FROM generate_series(1, 20000) AS id""")
        conn.execute("UPDATE orders SET paid_at = NULL WHERE id % 5 = 0")
        conn.execute("CREATE INDEX ON orders (created_at, id)")
        conn.execute("ANALYZE orders")
        for sort in SORTS:
            ids = [row[0] for row in iter_all(conn, sort)]
            print(f"{sort}: {len(ids)} rows, {len(set(ids))} different")
        plan = conn.execute("""
            EXPLAIN (COSTS OFF) SELECT * FROM orders
            WHERE (created_at, id) < ('2026-01-01 00:01', 2400)
            ORDER BY created_at DESC, id DESC LIMIT 100""")
        print(*(line for (line,) in plan), sep="\n")
        conn.execute("DROP TABLE orders")


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
