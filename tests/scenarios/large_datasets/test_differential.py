"""Every reader gives the same rows: one checksum for all of them."""

import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import asyncpg
import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own
import psycopg
import pytest
import sqlalchemy as sa

from snippets.large_datasets.copy_out_reader import copy_bytes, copy_rows
from snippets.large_datasets.file_stream import csv_rows
from snippets.large_datasets.keyset_postgres import iter_all
from snippets.large_datasets.server_side_cursor import astream_rows, stream_chunks, stream_rows

from .conftest import ROWS

pytestmark = pytest.mark.anyio
Rows = Iterable[Iterable[object]]
QUERY = "SELECT id, note FROM events"


def checksum(rows: Rows) -> tuple[int, str]:
    """How many rows, and a digest that does not depend on their order."""
    count = total = 0
    for row in rows:
        digest = hashlib.sha256(repr(tuple(str(value) for value in row)).encode()).digest()
        total = (total + int.from_bytes(digest)) % 2**256
        count += 1
    return count, f"{total:064x}"


async def checksum_of(rows: AsyncIterator[Iterable[object]]) -> tuple[int, str]:
    return checksum([row async for row in rows])


EXPECTED = checksum((number, "x" * 200) for number in range(1, ROWS + 1))


def by_csv(conn: psycopg.Connection[Any]) -> Rows:
    file = io.BytesIO(b"".join(copy_bytes(conn, QUERY)))
    return (row.values() for row in csv_rows(file, ["id", "note"]))


def by_keyset(conn: psycopg.Connection[Any]) -> Rows:
    conn.execute(
        "CREATE VIEW orders AS SELECT id, note AS customer, id % 7 AS created_at FROM events"
    )
    return iter_all(conn)


READERS: dict[str, Callable[[psycopg.Connection[Any]], Rows]] = {
    "fetchall": lambda conn: conn.execute(QUERY).fetchall(),
    "stream_rows": lambda conn: stream_rows(conn, QUERY),
    "stream_chunks": lambda conn: stream_chunks(conn, QUERY),
    "copy_rows": lambda conn: copy_rows(conn, QUERY),
    "copy_bytes and csv_rows": by_csv,
    "keyset": by_keyset,
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_every_row_as_it_is(events_url: str, name: str) -> None:
    with psycopg.connect(events_url) as conn:
        assert checksum(READERS[name](conn)) == EXPECTED


async def test_the_asynchronous_reader_gives_the_same(events_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(events_url) as conn,
        aclosing(astream_rows(conn, QUERY)) as rows,
    ):
        assert await checksum_of(rows) == EXPECTED


async def test_asyncpg_with_a_cursor_gives_the_same(events_url: str) -> None:
    conn = await asyncpg.connect(events_url)
    async with conn.transaction():
        assert await checksum_of(conn.cursor(QUERY, prefetch=500)) == EXPECTED
    await conn.close()


def engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def test_sqlalchemy_with_yield_per_gives_the_same(events_url: str) -> None:
    database = engine(events_url)
    with database.connect() as conn:
        rows = conn.execution_options(yield_per=500).execute(sa.text(QUERY))
        assert checksum(rows) == EXPECTED
    database.dispose()


def test_pandas_with_stream_results_gives_the_same(events_url: str) -> None:
    database = engine(events_url)
    with database.connect().execution_options(stream_results=True) as conn:
        frames = pd.read_sql(sa.text(QUERY), conn, chunksize=5000)
        rows = (row for frame in frames for row in frame.itertuples(index=False))
        assert checksum(rows) == EXPECTED
    database.dispose()
