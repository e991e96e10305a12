"""COPY as a stream: whole or an exception, never in anybody's way."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import pytest

from snippets.bulk_download.copy_stream import CopyStream, safe_column
from snippets.bulk_download.csv_stream import MARKS, csv_chunks, safe_text
from tests.scenarios.bulk_download.conftest import Demo, Pool

pytestmark = pytest.mark.anyio
ENDLESS = "SELECT generate_series(1, 100000000) AS n"


@pytest.fixture
async def pool(orders_url: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(
        orders_url, min_size=1, max_size=2, server_settings={"application_name": "export"}
    ) as pool:
        yield pool


RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'"
    " AND application_name = 'export' AND pid <> pg_backend_pid()"
)


async def running(pool: Pool) -> int:
    return int(await pool.fetchval(RUNNING))


class Tapped(asyncio.Protocol):
    """Between a connection and its protocol: tells when data has come and nobody has taken it."""

    def __init__(self, inner: asyncio.Protocol, told: Callable[[], None]) -> None:
        self.inner = inner
        self.told = told

    def data_received(self, data: bytes) -> None:
        self.inner.data_received(data)
        self.told()

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self.inner.connection_lost(error)


async def drain(stream: CopyStream) -> None:
    async for _ in stream:
        pass


async def until(pool: Pool, query: str) -> None:
    """Wait for another session; it has no event of ours."""
    async with asyncio.timeout(20):
        while not await pool.fetchval(query):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_stream_is_what_the_server_has(pool: Pool) -> None:
    stream = CopyStream(pool, "SELECT id, customer FROM orders WHERE id <= $1 ORDER BY id", 1000)
    blocks = [block async for block in stream]
    rows = list(csv.reader(io.StringIO(b"".join(blocks).decode(), newline="")))
    assert rows[:5] == [
        ["id", "customer"],
        ["1", 'Doe, "Jo"'],
        ["2", ""],
        ["3", ""],
        ["4", "=1+1"],
    ]
    assert len(rows) == 1001
    assert stream.rows == 1000
    assert all(type(block) is bytes for block in blocks)  # Starlette takes no bytearray
    assert [block async for block in stream] == []  # the end stays the end


async def test_no_rows_are_a_header_and_no_error(pool: Pool) -> None:
    stream = CopyStream(pool, "SELECT id FROM orders WHERE tenant = $1", "nobody")
    assert [block async for block in stream] == [b"id\n"]
    assert stream.rows == 0


async def test_nothing_runs_before_the_first_block_is_asked_for(pool: Pool) -> None:
    stream = CopyStream(pool, ENDLESS)
    stream.close()
    async with CopyStream(pool, ENDLESS):
        assert await running(pool) == 0


async def test_the_reader_sets_the_pace(pool: Pool) -> None:
    async with CopyStream(pool, ENDLESS) as stream:
        await anext(stream)
        await anext(stream)
        # PostgreSQL waits to send: it is not the client that holds what it has not read.
        here = "datname = current_database() AND query LIKE 'COPY%'"
        query = f"SELECT wait_event FROM pg_stat_activity WHERE {here}"
        await until(pool, f"SELECT ({query}) = 'ClientWrite'")
        assert stream._blocks.qsize() <= 1


async def test_leaving_cancels_the_query_and_gives_the_connection_back(pool: Pool) -> None:
    for _ in range(3):  # more often than the pool has connections
        async with CopyStream(pool, ENDLESS) as stream:
            await anext(stream)
        assert await running(pool) == 0

    async def fails() -> None:
        async with CopyStream(pool, ENDLESS) as stream:
            await anext(stream)
            raise KeyError

    with pytest.raises(KeyError):
        await fails()
    assert await running(pool) == 0


async def test_close_needs_no_await(pool: Pool) -> None:
    stream = CopyStream(pool, ENDLESS)
    await anext(stream)
    stream.close()
    await until(pool, f"SELECT ({RUNNING}) = 0")


async def test_an_error_after_the_first_block_is_raised(pool: Pool) -> None:
    query = "SELECT n, 1 / (300000 - n) FROM (SELECT generate_series(1, 400000) AS n) AS t"
    stream = CopyStream(pool, query)
    blocks: list[bytes] = []

    async def read() -> None:
        async for block in stream:
            blocks.append(block)  # noqa: PERF401 - kept when it raises

    with pytest.raises(asyncpg.DivisionByZeroError):
        await read()
    assert len(blocks) > 1
    assert stream.rows is None
    with pytest.raises(asyncpg.DivisionByZeroError):  # and it stays one
        await anext(stream)


@pytest.mark.parametrize("column", ["n", "repeat('x', 3000000)"])
async def test_a_client_that_stops_reading_runs_into_the_time_limit(
    pool: Pool, column: str
) -> None:
    stream = CopyStream(pool, f"SELECT {column} FROM ({ENDLESS}) AS t", seconds=0.3)
    await anext(stream)
    # A server that cannot send hears of no statement_timeout; the stream ends by itself.
    await until(pool, f"SELECT ({RUNNING}) = 0")
    with pytest.raises(TimeoutError):
        await drain(stream)


async def test_a_busy_query_and_a_busy_pool_run_into_the_time_limit(pool: Pool) -> None:
    with pytest.raises(TimeoutError):
        await drain(CopyStream(pool, "SELECT pg_sleep(60)", seconds=0.05))
    async with pool.acquire(), pool.acquire():
        with pytest.raises(TimeoutError):
            await anext(CopyStream(pool, ENDLESS, seconds=0.05))
    with pytest.raises(ValueError, match=r"at least 0\.001"):
        CopyStream(pool, ENDLESS, seconds=0)


async def test_the_server_has_a_limit_of_its_own(pool: Pool) -> None:
    query = "SELECT current_setting('statement_timeout')"
    stream = CopyStream(pool, query, seconds=5)
    assert b"".join([block async for block in stream]) == b"current_setting\n6s\n"


async def test_times_are_utc_whatever_the_session_says(orders_url: str) -> None:
    settings = {"timezone": "Europe/Berlin"}
    async with asyncpg.create_pool(
        orders_url, min_size=1, max_size=1, server_settings=settings
    ) as pool:
        stream = CopyStream(pool, "SELECT created_at FROM orders WHERE id = 1")
        assert b"".join([b async for b in stream]).endswith(b"\n2026-01-01 00:00:01+00\n")


async def test_a_stream_cannot_write(pool: Pool) -> None:
    await pool.execute("CREATE SEQUENCE numbers")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await anext(CopyStream(pool, "SELECT nextval('numbers')"))


async def test_the_server_escapes_what_python_escapes(pool: Pool) -> None:
    cells: list[str | None] = [f"{mark}1" for mark in (*MARKS, *"\t\r\n")]
    cells += [f"a{between}{mark}1" for between in (*",;\t\r\n", ';"') for mark in MARKS]
    cells += ["plain", "", None, "'x", "a=b", "\u20ac", '"=1', "a\r\nb", ";a", "a, -b"]
    query = f"SELECT {safe_column('cell')} FROM unnest($1::text[]) AS t (cell)"
    blocks = [block async for block in CopyStream(pool, query, cells)]
    ours = b"".join(csv_chunks([(cell,) for cell in cells], ["cell"])).decode()
    theirs = b"".join(blocks).decode()
    read = [list(csv.reader(io.StringIO(text, newline=""))) for text in (ours, theirs)]
    assert read[0] == read[1]
    assert [row[0] for row in read[0] if row][1:] == [safe_text(c) for c in cells if c is not None]


@pytest.mark.parametrize("name", ['a"b', "a b", "a;", "", "1a"])
async def test_only_plain_names_become_sql(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain column name"):
        safe_column(name)


async def test_duckdb_reads_the_same_rows(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    query = "SELECT id, customer, amount FROM orders ORDER BY id"
    path.write_bytes(b"".join([block async for block in CopyStream(pool, query)]))
    with duckdb.connect() as db:
        found = db.execute(
            "SELECT id, customer, amount FROM read_csv(?, allow_quoted_nulls=false, types="
            " {'id': 'BIGINT', 'customer': 'VARCHAR', 'amount': 'DECIMAL(9,2)'}) ORDER BY id",
            [str(path)],
        ).fetchall()
    assert found == [tuple(row) for row in await pool.fetch(query)]


@pytest.mark.usefixtures("demo_postgres")
def test_the_demo_leaves_no_query_running(demo: Demo) -> None:
    lines = demo("copy_stream")
    assert lines[0].startswith("200000 rows, 7888902 bytes")
    assert lines[2:4] == [
        "queries that still run for it: 0",
        "after its time limit: None rows, and an exception",
    ]
    assert lines[4] == repr(b'cell\n\'=1+1\nplain\n""\n\n')


async def test_cancelled_with_a_block_at_hand_it_ends_as_ever(orders_url: str) -> None:
    """Where asyncpg cannot roll back: no error of its own gets out, and the pool goes on."""
    tapped: list[asyncio.Transport] = []
    taken: list[bytes] = []

    def told() -> None:
        if taken:
            stream.close()

    async def tap(conn: Any) -> None:  # noqa: ANN401 - the package has no types
        transport = conn._transport
        transport.set_protocol(Tapped(transport.get_protocol(), told))
        tapped.append(transport)

    async with asyncpg.create_pool(orders_url, min_size=1, max_size=1, init=tap) as pool:
        stream = CopyStream(pool, ENDLESS)
        taken.append(await anext(stream))
        with pytest.raises(asyncio.CancelledError):
            await drain(stream)
        assert await pool.fetchval("SELECT 1") == 1
    assert len(tapped) == 2  # the first was closed
