"""COPY TO STDOUT: typed rows, CSV bytes, and an end that is never early."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from snippets.large_datasets.copy_out_reader import copy_bytes, copy_rows
from snippets.large_datasets.file_stream import csv_rows
from snippets.large_datasets.server_side_cursor import stream_chunks, stream_rows

from .conftest import ROWS, Demo


def test_rows_have_the_types_of_the_query(postgres_url: str) -> None:
    query: LiteralString = (
        "SELECT 7::int2, 7::int4, 7::int8, 1.50::numeric, NULL::text, 'a,\"b\n\t\\'::text,"
        " '\\x00ff'::bytea, true, ARRAY[1, 2], timestamptz '2026-01-01 00:00:00+00',"
        " 'ok'::mood, ARRAY['ok'::mood], 12.5::money, ROW(1, 'x'), '(1,2)'::point, B'101',"
        " to_tsvector('a b'), '16/B374D848'::pg_lsn, '7'::xid8, '08:00:2b:01:02:03'::macaddr"
        " -- and no line end"
    )
    with psycopg.connect(postgres_url) as conn:
        conn.execute("CREATE TYPE mood AS ENUM ('ok')")
        conn.execute("SET timezone = 'UTC'")
        (row,) = copy_rows(conn, query)
        (same,) = conn.execute(query)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    text = 'a,"b\n\t\\'
    assert row[:10] == (7, 7, 7, Decimal("1.50"), None, text, b"\x00\xff", True, [1, 2], when)
    assert row == same  # what a cursor gives; also for types that have no binary loader


def test_every_row_comes_once(events_url: str) -> None:
    with psycopg.connect(events_url) as conn:
        ids = [row[0] for row in copy_rows(conn, "SELECT id FROM events ORDER BY id")]
        assert conn.info.transaction_status is TransactionStatus.IDLE
    assert ids == list(range(1, ROWS + 1))


def test_parameters_reach_the_query_as_values(events_url: str) -> None:
    with psycopg.connect(events_url) as conn:
        query = "SELECT id, %s AS note FROM events WHERE id > %s ORDER BY id"
        rows = list(copy_rows(conn, query, ["it's; DROP TABLE events", ROWS - 1]))
        text = b"".join(copy_bytes(conn, query, ["it's; DROP TABLE events", ROWS - 1]))
    assert rows == [(ROWS, "it's; DROP TABLE events")]
    assert text == b"id,note\n30000,it's; DROP TABLE events\n"


def test_bytes_are_the_whole_csv_file(events_url: str) -> None:
    with psycopg.connect(events_url) as conn:
        blocks = list(copy_bytes(conn, "SELECT id, user_id FROM events ORDER BY id"))
        assert conn.info.transaction_status is TransactionStatus.IDLE
    rows = list(csv.reader(b"".join(blocks).decode().splitlines()))
    assert rows == [["id", "user_id"], *([str(n), str(n % 100)] for n in range(1, ROWS + 1))]
    assert all(type(block) is bytes for block in blocks)
    assert all(block.endswith(b"\n") for block in blocks)
    assert [len(block) // 65_536 for block in blocks] == [1] * (len(blocks) - 1) + [0]


def test_a_block_of_one_byte_is_a_line(events_url: str) -> None:
    with psycopg.connect(events_url) as conn:
        query: LiteralString = "SELECT id FROM events WHERE id < 3 ORDER BY id"
        assert list(copy_bytes(conn, query, size=1)) == [b"id\n", b"1\n", b"2\n"]


def test_what_copy_writes_csv_rows_reads(postgres_url: str) -> None:
    query: LiteralString = "SELECT * FROM (VALUES ('a'), (NULL), ('')) AS v (c)"
    with psycopg.connect(postgres_url) as conn:
        file = io.BytesIO(b"".join(copy_bytes(conn, query)))
    assert list(csv_rows(file, ["c"])) == [{"c": "a"}, {"c": ""}, {"c": ""}]


def test_bytes_are_utf_8_whatever_the_client_speaks(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, client_encoding="latin1") as conn:
        assert b"".join(copy_bytes(conn, "SELECT 'é' AS c")) == "c\né\n".encode()


@pytest.mark.parametrize("copy", [copy_rows, copy_bytes])
def test_an_error_after_the_first_rows_is_not_an_end(postgres_url: str, copy: type) -> None:
    query = "SELECT 100 / (20000 - n), repeat('x', 100) FROM generate_series(1, 30000) AS n"
    with psycopg.connect(postgres_url) as conn:
        rows = copy(conn, query)
        next(rows)
        with pytest.raises(psycopg.errors.DivisionByZero):
            list(rows)
        assert conn.info.transaction_status is TransactionStatus.IDLE


@pytest.mark.parametrize("copy", [copy_rows, copy_bytes])
def test_an_abandoned_copy_frees_the_connection(events_url: str, copy: type) -> None:
    with psycopg.connect(events_url) as conn:
        with closing(copy(conn, "SELECT * FROM events")) as rows:
            next(rows)
        assert conn.info.transaction_status is TransactionStatus.IDLE
        assert conn.execute("SELECT count(*) FROM pg_cursors").fetchone() == (0,)


@pytest.mark.parametrize("stream", [stream_rows, stream_chunks, copy_rows, copy_bytes])
def test_under_closing_an_exception_leaves_a_half_read_stream(
    events_url: str, stream: Callable[..., Any]
) -> None:
    """Without it the connection's own `with` waits for the lock that the stream holds."""
    program = f"""
import contextlib, psycopg
from {stream.__module__} import {stream.__name__}
with psycopg.connect({events_url!r}) as conn:
    with contextlib.closing({stream.__name__}(conn, "SELECT * FROM events")) as rows:
        for row in rows:
            raise KeyError("arrived")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr.splitlines()[-1] == "KeyError: 'arrived'"


def test_the_demo_copies_both_ways(demo: Demo, postgres_url: str) -> None:
    assert demo("copy_out_reader", postgres_url) == [
        "20001 lines of CSV, the first: b'id,amount'",
        "sum of the amounts: 6930400.00",
    ]
