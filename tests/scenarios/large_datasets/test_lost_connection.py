"""A connection lost mid-stream is an exception in every reader, never a short result."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lab.proxy import FaultProxy
from snippets.large_datasets.copy_out_reader import copy_bytes, copy_rows
from snippets.large_datasets.keyset_postgres import iter_all
from snippets.large_datasets.server_side_cursor import astream_rows, stream_chunks, stream_rows

from .conftest import ROWS

Reader = Callable[[psycopg.Connection[Any]], Iterator[object]]
QUERY = "SELECT id, note FROM events"
READERS: dict[str, Reader] = {
    "stream_rows": lambda conn: stream_rows(conn, QUERY, batch=500),
    "stream_chunks": lambda conn: stream_chunks(conn, QUERY),
    "copy_rows": lambda conn: copy_rows(conn, QUERY),
    "copy_bytes": lambda conn: copy_bytes(conn, QUERY),
    "keyset": lambda conn: iter_all(conn, limit=500),
}
pytestmark = pytest.mark.anyio


@pytest.fixture
def proxied(events_url: str) -> Iterator[tuple[str, FaultProxy]]:
    """The events behind a proxy that resets a connection after 2 of its some 7 megabytes."""
    with psycopg.connect(events_url, autocommit=True) as conn:
        conn.execute(
            "CREATE VIEW orders AS SELECT id, note AS customer, id AS created_at FROM events"
        )
    address = conninfo_to_dict(events_url)
    with FaultProxy((str(address["host"]), int(address["port"] or 5432))) as proxy:
        yield proxy.url(events_url), proxy


@pytest.mark.parametrize("name", READERS)
def test_a_reset_reaches_the_caller(proxied: tuple[str, FaultProxy], name: str) -> None:
    url, proxy = proxied
    with psycopg.connect(url, autocommit=True) as conn:
        proxy.reset_after(2_000_000)
        seen: list[object] = []
        with pytest.raises(psycopg.OperationalError):
            seen.extend(READERS[name](conn))
        assert len(seen) < ROWS


async def test_a_reset_reaches_the_asynchronous_caller(proxied: tuple[str, FaultProxy]) -> None:
    url, proxy = proxied
    async with await psycopg.AsyncConnection.connect(url) as conn:
        proxy.reset_after(2_000_000)
        rows = astream_rows(conn, QUERY, batch=500)
        with pytest.raises(psycopg.OperationalError):
            assert len([row async for row in rows]) < 0, "the stream ended as if complete"


@pytest.mark.parametrize("name", READERS)
def test_a_server_process_ended_by_the_operator_reaches_the_caller(
    proxied: tuple[str, FaultProxy], events_url: str, name: str
) -> None:
    url, proxy = proxied
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(events_url) as operator:
        proxy.bandwidth(20_000_000)
        rows = READERS[name](conn)
        next(rows)
        operator.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
        proxy.heal()
        with pytest.raises(psycopg.OperationalError):
            assert sum(1 for _ in rows) < 0, "the stream ended as if it were complete"
