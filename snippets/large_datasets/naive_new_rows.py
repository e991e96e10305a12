# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Follow a table by its id: right while one session writes, wrong with two.

A sequence hands out its numbers before the commit, and now() is the beginning
of the transaction. The transaction with the lower number may commit last, when
the reader is already past it. It never asks for that row again, and nothing
raises an error.

Source: https://www.postgresql.org/docs/current/functions-sequence.html
"""

import os
import sys
from typing import Any

import psycopg

Row = tuple[Any, ...]


# --8<-- [start:new_orders]
def new_orders(
    conn: psycopg.Connection[Row], last_id: int = 0, limit: int = 1000
) -> tuple[list[Row], int]:
    """Return up to `limit` orders (id, customer), and the last id seen."""
    # BUG: the highest id that is visible says nothing about lower ones: they
    # may belong to transactions that have not committed yet.
    rows = conn.execute(
        "SELECT id, customer FROM orders WHERE id > %s ORDER BY id LIMIT %s",
        (last_id, limit),
    ).fetchall()
    return rows, rows[-1][0] if rows else last_id


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
                conn.execute(
                    "CREATE TABLE orders (id bigserial, customer text)"
                )
                insert = "INSERT INTO orders (customer) VALUES (%s)"
                slow.execute(insert, ["Bo, who commits late"])
                conn.execute(insert, ["Cy"])
                found, last = new_orders(conn)
                print(f"while id 1 is open: {found}")
                slow.commit()
                print(f"and then: {new_orders(conn, last)[0]}, for ever")
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
