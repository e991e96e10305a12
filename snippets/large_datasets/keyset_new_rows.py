# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Follow a table that is being written, and never miss a row that commits late.

An id or a `created_at` is taken before the commit, so a lower one can appear
after a reader has passed it. Here each row carries its transaction's number,
and a reader stops at the oldest transaction that is still open: below that
boundary everything has ended, so nothing can appear any more.

    ALTER TABLE orders ADD COLUMN xid xid8 NOT NULL DEFAULT '0';
    ALTER TABLE orders ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
    CREATE INDEX ON orders (xid, id);

Run the first two in one transaction. The price: one open writing transaction,
anywhere on the server, holds the reader back (transaction_timeout bounds it).
A restored dump has other numbers: set `xid` to '0' and begin a new position.

Source: https://www.postgresql.org/docs/current/functions-info.html
(pg_current_xact_id, pg_snapshot_xmin)
"""

import os
import sys
from typing import Any

import psycopg

Row = tuple[Any, ...]
Position = tuple[str, int]  # xid, which JSON and drivers know as text; id

START: Position = ("0", 0)  # ids begin at 1


# --8<-- [start:new_orders]
def new_orders(
    conn: psycopg.Connection[Row], after: Position = START, limit: int = 1000
) -> tuple[list[Row], Position]:
    """Return up to `limit` orders (id, customer) and the position after them.

    Rows come transaction by transaction, each one once, O(limit) with the
    index. Fewer than `limit`: nothing more for now, ask again later with the
    position returned. Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1 row, got {limit}")
    rows = conn.execute(
        """
        SELECT id, customer, xid FROM orders
        WHERE (xid, id) > (%s, %s)
              AND xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid, id LIMIT %s""",
        (*after, limit),
    ).fetchall()
    return [row[:2] for row in rows], (
        (rows[-1][2], rows[-1][0]) if rows else after
    )


# --8<-- [end:new_orders]


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Let a lower id commit after a higher one."""
    schema = f"firedrill_{os.getpid()}"
    path = f"-c search_path={schema}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            with (
                psycopg.connect(url, options=path) as slow,
                psycopg.connect(url, options=path, autocommit=True) as conn,
            ):
                conn.execute("""
                    CREATE TABLE orders (
                        id bigserial PRIMARY KEY, customer text,
                        xid xid8 NOT NULL DEFAULT pg_current_xact_id())""")
                insert = "INSERT INTO orders (customer) VALUES (%s)"
                conn.execute(insert, ["Ann"])
                slow.execute(insert, ["Bo, who commits late"])
                conn.execute(insert, ["Cy"])
                found, position = new_orders(conn)
                print(f"id 2 is still open: {found}")
                slow.commit()
                found, position = new_orders(conn, position)
                print(f"and then: {found}")
        finally:
            admin.execute(f"DROP SCHEMA {schema} CASCADE".encode())


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
