# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The popular stream: page after page by LIMIT and OFFSET, errors logged.

Memory is flat and the first byte comes at once. But each page is of another
moment and in no order, an error looks like the end, and under asyncio the
whole service waits for the database. Use copy_stream.py instead.

Source: https://www.postgresql.org/docs/current/queries-limit.html
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg

_LOG = logging.getLogger(__name__)


# --8<-- [start:pages]
def lines(
    conn: psycopg.Connection[Any], table: str, size: int
) -> Iterator[bytes]:
    """Yield a table as CSV, `size` rows a chunk."""
    offset = 0
    try:
        while True:
            # BUG: without ORDER BY, no page follows another; and each query
            # sees another moment.
            rows = conn.execute(
                f"SELECT * FROM {table} LIMIT %s OFFSET %s", [size, offset]
            ).fetchall()
            if not rows:
                return
            offset += size
            # BUG: a comma, a quote or a formula in a cell.
            text = "\n".join(",".join(map(str, row)) for row in rows)
            yield text.encode() + b"\n"
    except psycopg.Error:
        # BUG: the response ends in order, so the client takes it for whole.
        _LOG.exception("export failed")


# --8<-- [end:pages]


# --8<-- [start:blocking]
async def stream(url: str, table: str, size: int) -> AsyncIterator[bytes]:
    """Do the same for a StreamingResponse under asyncio."""
    with psycopg.connect(url, autocommit=True) as conn:
        # BUG: a synchronous driver: every other request waits meanwhile.
        for chunk in lines(conn, table, size):
            yield chunk


# --8<-- [end:blocking]


# --8<-- [start:demo]
def main() -> None:
    """Export ten accounts of 100 while money is moved between them."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "CREATE TEMPORARY TABLE accounts AS"
            " SELECT n AS id, 100 AS cents FROM generate_series(1, 10) AS n"
        )
        seen: list[list[str]] = []
        for chunk in lines(conn, "accounts", 5):
            seen += [line.split(",") for line in chunk.decode().split()]
            conn.execute("UPDATE accounts SET cents = cents + 1 WHERE id = 2")
        ids = [int(account) for account, _ in seen]
        print(f"ten accounts, exported: {ids}")

    async def first() -> bytes:
        table = "(SELECT 1 AS one) AS t"
        return b"".join([c async for c in stream(url, table, 5)])

    print(asyncio.run(first()))
    with psycopg.connect(url) as conn:
        _LOG.disabled = True  # the demo shows what the client sees
        print(f"a table that is not there: {list(lines(conn, 'nowhere', 5))}")
        _LOG.disabled = False


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
