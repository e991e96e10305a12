# /// script
# requires-python = ">=3.11"
# dependencies = ["asyncpg>=0.32,<1"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A query as CSV, block by block: PostgreSQL writes it, Python passes it on.

`COPY (query) TO STDOUT` inside a read-only transaction: one statement, one
snapshot, no row ever becomes a Python object. asyncpg hands over what one
read of the socket brought, some tens of kB; psycopg's async copy hands over
each row, and is several times slower for it.

The reader sets the pace: while it is slow, PostgreSQL waits, and its snapshot
holds back VACUUM. So `seconds` bounds the whole export, and it is Python that
ends it: a server stuck in a write to a client that reads nothing acts on no
statement_timeout. Take the connections from a pool of their own, or slow
readers leave none to the rest of the service.

Source: https://www.postgresql.org/docs/current/sql-copy.html,
https://magicstack.github.io/asyncpg/current/api/index.html
"""

import asyncio
import contextlib
import os
import sys
from types import TracebackType
from typing import Any, Self

import asyncpg

Pool = Any  # asyncpg.Pool; the package has no types
Connection = Any  # asyncpg.Connection


# --8<-- [start:copy_stream]
class CopyStream:
    """The result of `query` as blocks of CSV: an asynchronous iterator.

    The query starts with the first block asked for. Leave its `async with`
    block, or call `close`, and the query is cancelled on the server. Raises
    what asyncpg raises, and TimeoutError after `seconds`, the wait for a
    connection included; also after the first block: a receiver that gets an
    exception must discard what it has. `rows` counts data rows at the end.

    `query` is built by you, never by the client; values go into `args` as $1,
    $2. COPY writes times in the session's zone: here it is UTC. Raises
    ValueError for `seconds` below 1 ms.
    """

    def __init__(
        self, pool: Pool, query: str, *args: object, seconds: float = 600.0
    ) -> None:
        if seconds < 0.001:
            raise ValueError(f"seconds must be at least 0.001, not {seconds}")
        self.rows: int | None = None
        self._pool = pool
        self._query = query
        self._args = args
        self._seconds = seconds
        self._blocks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def _copy(self) -> None:
        # A task of its own: whoever cancels the reader (a framework does it
        # over and over) cannot interrupt this one's rollback.
        async with (
            asyncio.timeout(self._seconds),
            self._pool.acquire() as conn,
        ):
            try:
                await self._copy_from(conn)
            except asyncpg.InternalClientError as error:
                # Cancelled when a block had come and was not taken yet, asyncpg
                # (0.32) does not cancel the COPY, and cannot roll back.
                conn.terminate()  # the server finds out when it writes
                raise asyncio.CancelledError from error

    async def _copy_from(self, conn: Connection) -> None:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            # The server's own net, a second later: should this process hang.
            limit = round(self._seconds * 1000) + 1000
            await conn.execute(f"SET LOCAL statement_timeout = {limit}")
            await conn.execute("SET LOCAL TimeZone = 'UTC'")
            status = await conn.copy_from_query(
                self._query,
                *self._args,
                output=self._pass_on,
                format="csv",
                header=True,
                encoding="utf8",
            )
        self.rows = int(status.removeprefix("COPY "))

    async def _pass_on(self, block: bytes) -> None:
        self._blocks.put_nowait(bytes(block))
        await self._blocks.join()  # back-pressure: one block at a time

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._task is None:
            self._task = asyncio.create_task(self._copy())
            self._task.add_done_callback(
                lambda _: self._blocks.put_nowait(None)
            )
        block = await self._blocks.get()
        if block is None:
            self._blocks.put_nowait(None)  # the end stays the end
            await self._task  # an error of the query is raised here
            raise StopAsyncIteration
        self._blocks.task_done()
        return block

    def close(self) -> None:
        """Cancel the query, if it runs; returns at once."""
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel the query and wait until its connection is back."""
        self.close()
        if self._task is not None:
            await asyncio.wait([self._task])


# --8<-- [end:copy_stream]


# --8<-- [start:safe_column]
def safe_column(name: str) -> str:
    """Return SQL for a text column that does what `safe_text` does.

    COPY's bytes never pass through Python, so the server puts the apostrophe.
    `name` must be yours: raises ValueError unless it is a plain identifier.
    """
    if not name.isidentifier():
        raise ValueError(f"not a plain column name: {name!r}")
    marks = r"=+@\uff1d\uff0b\uff0d\uff20-"  # the minus last, or it is a range
    first = rf"^(?=[\t\r\n{marks}])"
    later = rf'(?<=[,;\t\r\n])(?="*[{marks}])'
    found = f"regexp_replace(\"{name}\", '{first}|{later}', '''', 'g')"
    return f'{found} AS "{name}"'


# --8<-- [end:safe_column]


# --8<-- [start:demo]
async def demo(url: str) -> None:
    """Stream 200,000 rows, give up one stream, and run into a time limit."""
    settings = {"application_name": "export"}
    async with asyncpg.create_pool(
        url, min_size=1, max_size=2, server_settings=settings
    ) as pool:
        numbers = "(SELECT generate_series(1, $1) AS n) AS numbers"
        query = f"SELECT n, md5(n::text) AS note FROM {numbers}"
        blocks = size = 0
        async with CopyStream(pool, query, 200_000) as stream:
            async for block in stream:
                blocks += 1
                size += len(block)
        print(f"{stream.rows} rows, {size} bytes in {blocks} blocks")

        async with CopyStream(pool, query, 50_000_000) as stream:
            first = await anext(stream)
            print(f"{first[:6]!r}, and the reader goes away")
        running = await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND"
            " application_name = 'export' AND pid <> pg_backend_pid()"
        )
        print(f"queries that still run for it: {running}")

        slow = CopyStream(pool, query, 50_000_000, seconds=0.1)
        with contextlib.suppress(TimeoutError):
            async for _ in slow:
                pass
        print(f"after its time limit: {slow.rows} rows, and an exception")

        text = "(VALUES ('=1+1'), ('plain'), (''), (NULL)) AS t (cell)"
        query = f"SELECT {safe_column('cell')} FROM {text}"
        print(b"".join([block async for block in CopyStream(pool, query)]))


def main() -> None:
    """Run the demo."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    asyncio.run(demo(url))


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
