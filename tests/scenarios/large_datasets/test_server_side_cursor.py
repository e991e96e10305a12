"""Streams of rows: bounded, closed when abandoned, synchronous and asynchronous."""

from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any, ClassVar, LiteralString

import psycopg
import pytest
from psycopg.abc import Params, Query
from psycopg.pq import TransactionStatus

from snippets.large_datasets.server_side_cursor import astream_rows, stream_chunks, stream_rows

from .conftest import ROWS, Demo

pytestmark = pytest.mark.anyio
QUERY = "SELECT id FROM events WHERE id > %s ORDER BY id"


def open_cursors(conn: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return conn.execute("SELECT name FROM pg_cursors").fetchall()


class Spy(psycopg.Cursor[Any]):
    """A cursor that remembers the sizes it was asked to stream in."""

    sizes: ClassVar[list[int]] = []

    def stream(
        self,
        query: Query,
        params: Params | None = None,
        *,
        binary: bool | None = None,
        size: int = 1,
    ) -> Iterator[Any]:
        self.sizes.append(size)
        return super().stream(query, params, binary=binary, size=size)


@pytest.mark.parametrize("size", [2, 7, 500, 100_000])
def test_every_row_comes_once_and_in_order(events_url: str, size: int) -> None:
    with psycopg.connect(events_url, cursor_factory=Spy) as conn:
        for rows in (
            stream_rows(conn, QUERY, [ROWS - 5000], batch=size),
            stream_chunks(conn, QUERY, [ROWS - 5000], size=size),
        ):
            assert [row[0] for row in rows] == list(range(ROWS - 4999, ROWS + 1))
        assert list(stream_rows(conn, "SELECT '100%'")) == [("100%",)]
    assert Spy.sizes.pop() == size


async def test_every_row_comes_once_asynchronously(events_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(events_url) as conn:
        ids = [row[0] async for row in astream_rows(conn, QUERY, [ROWS - 5000], batch=700)]
    assert ids == list(range(ROWS - 4999, ROWS + 1))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_client_fetches_batch_rows_a_round_trip(
    events_url: str, asynchronous: bool
) -> None:
    with psycopg.connect(events_url, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements")
        conn.execute(
            "SELECT pg_stat_statements_reset(0, oid) FROM pg_database"
            " WHERE datname = current_database()"
        )
        if asynchronous:
            async with await psycopg.AsyncConnection.connect(events_url) as aconn:
                assert [row async for row in astream_rows(aconn, QUERY, [0], batch=3000)]
        else:
            assert list(stream_rows(conn, QUERY, [0], batch=3000))
        fetched = conn.execute(
            "SELECT sum(calls)::int, sum(rows)::int FROM pg_stat_statements"
            " WHERE query LIKE 'FETCH FORWARD%' AND dbid ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    assert fetched == (11, ROWS)  # ten full batches, and the empty one that ends it


async def test_the_planner_is_told_that_all_rows_are_read(events_url: str) -> None:
    query: LiteralString = "SELECT current_setting('cursor_tuple_fraction')"
    with psycopg.connect(events_url) as conn:
        assert list(stream_rows(conn, query)) == [("1",)]
        assert conn.execute("SHOW cursor_tuple_fraction").fetchone() == ("0.1",)
    async with await psycopg.AsyncConnection.connect(events_url) as aconn:
        assert [row async for row in astream_rows(aconn, query)] == [("1",)]


@pytest.mark.parametrize("stream", [stream_rows, stream_chunks])
def test_nothing_stays_open_after_the_last_row(events_url: str, stream: type) -> None:
    with psycopg.connect(events_url) as conn:
        assert len(list(stream(conn, QUERY, [0]))) == ROWS
        assert conn.info.transaction_status is TransactionStatus.IDLE


@pytest.mark.parametrize("stream", [stream_rows, stream_chunks])
def test_an_abandoned_stream_closes_its_cursor(events_url: str, stream: type) -> None:
    with psycopg.connect(events_url) as conn:
        with closing(stream(conn, QUERY, [0])) as rows:
            next(rows)
        assert conn.info.transaction_status is TransactionStatus.IDLE
        assert open_cursors(conn) == []


async def test_an_abandoned_asynchronous_stream_closes_its_cursor(events_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(events_url) as conn:
        async with aclosing(astream_rows(conn, QUERY, [0])) as rows:
            await anext(rows)
            during = await (await conn.execute("SELECT name FROM pg_cursors")).fetchall()
        assert during == [("astream_rows",)]
        assert conn.info.transaction_status is TransactionStatus.IDLE
        after = await (await conn.execute("SELECT name FROM pg_cursors")).fetchall()
    assert after == []


def test_a_cursor_is_open_while_its_stream_is(events_url: str) -> None:
    with psycopg.connect(events_url) as conn, closing(stream_rows(conn, QUERY, [0])) as rows:
        next(rows)
        assert open_cursors(conn) == [("stream_rows",)]


@pytest.mark.parametrize("batch", [0, -1])
async def test_a_batch_without_rows_is_refused(events_url: str, batch: int) -> None:
    with psycopg.connect(events_url) as conn:
        with pytest.raises(ValueError, match=f"at least 1 row, got {batch}"):
            next(stream_rows(conn, QUERY, [0], batch=batch))
        with pytest.raises(ValueError, match=f"at least 2 rows, got {batch}"):
            next(stream_chunks(conn, QUERY, [0], size=batch))
    async with await psycopg.AsyncConnection.connect(events_url) as aconn:
        with pytest.raises(ValueError, match=f"at least 1 row, got {batch}"):
            await anext(astream_rows(aconn, QUERY, [0], batch=batch))


def test_a_chunk_of_one_row_is_refused(events_url: str) -> None:
    with psycopg.connect(events_url) as conn, pytest.raises(ValueError, match="at least 2 rows"):
        next(stream_chunks(conn, QUERY, [0], size=1))


def test_the_demo_leaves_no_cursor_open(demo: Demo, postgres_url: str) -> None:
    assert demo("server_side_cursor", postgres_url) == [
        "stream_rows: 200010000",
        "stream_chunks: 200010000",
        "first row (1,), then the reader gives up",
        "cursors still open: (0,)",
        "one row instead of 20,000: (200010000,)",
    ]
