# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Read a result of any size in constant memory: three ways to stream it.

- `stream_rows`: a server-side (named) cursor. The server keeps the result,
  the client fetches `batch` rows a round trip.
- `astream_rows`: the same for asyncio.
- `stream_chunks`: no cursor; libpq hands over `size` rows at a time while the
  server is still sending. Needs libpq 17 or later (psycopg[binary] has it).

While a stream is open its transaction is open: VACUUM cannot remove rows that
died after it began, anywhere in the database. For reads of many minutes take
keyset pages or a replica. Use the connection for nothing else meanwhile:
abandoning a stream rolls its transaction back. Behind a pooler in transaction
mode this works (it is one transaction); a cursor WITH HOLD outlives its
transaction and does not.

Read under `contextlib.closing`: when an exception leaves a stream half read,
`with psycopg.connect()` cannot roll back, and after stream_chunks it waits for
ever. Inside a transaction that is already open a stream is a savepoint: that
transaction stays open at the end, and keeps cursor_tuple_fraction = 1. A
second stream_rows beside the first raises DuplicateCursor.

Source: https://www.psycopg.org/psycopg3/docs/advanced/cursors.html
"""

import os
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import closing

import psycopg
from psycopg.abc import Params, Query
from psycopg.rows import TupleRow


# --8<-- [start:stream_rows]
def stream_rows(
    conn: psycopg.Connection[TupleRow],
    query: Query,
    params: Params | None = None,
    *,
    batch: int = 2000,
) -> Generator[TupleRow, None, None]:
    """Yield each row, holding at most `batch` (>= 1) of them in memory.

    Close the generator, or exhaust it, to close the cursor. Raises ValueError
    for a batch below 1, and psycopg.OperationalError when the connection is
    lost: the end without an exception means that every row was read. Without
    `params` (None), a % in the query is a %.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1 row, got {batch}")
    with conn.transaction():
        # The planner expects a cursor's reader to stop after a tenth.
        conn.execute("SET LOCAL cursor_tuple_fraction = 1.0")
        with conn.cursor(name="stream_rows") as cur:
            cur.itersize = batch  # at 1, each row costs a round trip
            cur.execute(query, params)
            yield from cur


# --8<-- [end:stream_rows]


# --8<-- [start:astream_rows]
async def astream_rows(
    conn: psycopg.AsyncConnection[TupleRow],
    query: Query,
    params: Params | None = None,
    *,
    batch: int = 2000,
) -> AsyncGenerator[TupleRow, None]:
    """Yield each row without blocking the event loop; else as stream_rows.

    Read it under `contextlib.aclosing`: `break` alone leaves an asynchronous
    generator, and its cursor, open until the garbage collector comes.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1 row, got {batch}")
    async with conn.transaction():
        await conn.execute("SET LOCAL cursor_tuple_fraction = 1.0")
        async with conn.cursor(name="astream_rows") as cur:
            cur.itersize = batch
            await cur.execute(query, params)
            async for row in cur:
                yield row


# --8<-- [end:astream_rows]


# --8<-- [start:stream_chunks]
def stream_chunks(
    conn: psycopg.Connection[TupleRow],
    query: Query,
    params: Params | None = None,
    *,
    size: int = 500,
) -> Generator[TupleRow, None, None]:
    """Yield each row as libpq receives it, `size` (>= 2) rows at a time.

    The connection is busy until the end, and it is one statement: a slow
    consumer counts towards statement_timeout. Closing the generator early
    cancels the query on the server. Raises as stream_rows.
    """
    if size < 2:
        raise ValueError(f"size must be at least 2 rows, got {size}")
    with conn.transaction(), conn.cursor() as cur:
        yield from cur.stream(query, params, size=size)


# --8<-- [end:stream_chunks]


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Stream 20,000 rows, abandon a stream, and look for open cursors."""
    with psycopg.connect(url) as conn:
        query: Query = "SELECT n FROM generate_series(1, %s) AS n"
        for stream in (stream_rows, stream_chunks):
            with closing(stream(conn, query, [20000])) as rows:
                print(f"{stream.__name__}: {sum(n for (n,) in rows)}")
        with closing(stream_rows(conn, query, [20000])) as rows:
            print(f"first row {next(rows)}, then the reader gives up")
        open_cursors = conn.execute("SELECT count(*) FROM pg_cursors")
        print(f"cursors still open: {open_cursors.fetchone()}")
        # The best row is the row never fetched: let the server add.
        added = conn.execute(
            "SELECT sum(n) FROM generate_series(1, 20000) AS n"
        )
        print(f"one row instead of 20,000: {added.fetchone()}")


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
