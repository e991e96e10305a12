"""Snapshots: one moment for every query, read-only, ended when they take too long."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from typing import Any, LiteralString

import psycopg
import pytest

from lab.eventually import eventually
from lab.postgres import server_connections
from snippets.large_datasets.bounded_snapshot import snapshot, snapshot_holders
from snippets.large_datasets.copy_out_reader import copy_bytes
from snippets.large_datasets.server_side_cursor import stream_chunks, stream_rows

from .conftest import Demo

Connection = psycopg.Connection[Any]
COUNT = "SELECT count(*)::int FROM numbers"


@pytest.fixture
def reader(postgres_url: str) -> Iterator[Connection]:
    with psycopg.connect(postgres_url, application_name="report") as conn:
        conn.execute("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 100) AS n")
        conn.commit()
        yield conn


@pytest.fixture
def writer(postgres_url: str) -> Iterator[Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        yield conn


def test_every_query_sees_the_same_moment(reader: Connection, writer: Connection) -> None:
    with snapshot(reader, statement_s=5, idle_s=5):
        assert reader.execute(COUNT).fetchone() == (100,)
        writer.execute("DELETE FROM numbers WHERE n <= 40")
        assert reader.execute(COUNT).fetchone() == (100,)
        assert len(list(stream_rows(reader, "SELECT n FROM numbers", batch=10))) == 100
    assert reader.execute(COUNT).fetchone() == (60,)


def test_a_snapshot_cannot_write(reader: Connection) -> None:
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        snapshot(reader, statement_s=5, idle_s=5),
    ):
        reader.execute("DELETE FROM numbers")
    assert reader.execute(COUNT).fetchone() == (100,)


def test_the_limits_end_with_the_snapshot(reader: Connection) -> None:
    settings = (
        "SELECT current_setting('statement_timeout'),"
        " current_setting('idle_in_transaction_session_timeout')"
    )
    with snapshot(reader, statement_s=1.5, idle_s=0.25):
        assert reader.execute(settings).fetchone() == ("1500ms", "250ms")
    assert reader.execute(settings).fetchone() == ("0", "0")


def test_a_query_over_its_time_is_cancelled(reader: Connection) -> None:
    with (
        pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"),
        snapshot(reader, statement_s=0.02, idle_s=5),
    ):
        reader.execute("SELECT pg_sleep(30)")
    assert reader.execute(COUNT).fetchone() == (100,)


def test_a_reader_that_dawdles_loses_its_connection(reader: Connection, postgres_url: str) -> None:
    def read_then_think() -> None:
        with snapshot(reader, statement_s=5, idle_s=0.02):
            eventually(lambda: server_connections(postgres_url, "report") == 0)
            reader.execute(COUNT)

    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        read_then_think()


@pytest.mark.parametrize(("statement_s", "idle_s"), [(0, 1), (1, 0), (-1, 1), (0.0009, 1)])
def test_no_limit_is_refused(reader: Connection, statement_s: float, idle_s: float) -> None:
    with (
        pytest.raises(ValueError, match="below 1 ms"),
        snapshot(reader, statement_s=statement_s, idle_s=idle_s),
    ):
        raise AssertionError


def test_a_snapshot_inside_a_running_transaction_is_refused(reader: Connection) -> None:
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # the server would not mind
    reader.execute(COUNT)
    with (
        pytest.raises(psycopg.errors.ActiveSqlTransaction),
        snapshot(reader, statement_s=5, idle_s=5),
    ):
        raise AssertionError
    assert reader.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_who_holds_back_vacuum_is_named_oldest_first(
    reader: Connection, writer: Connection, postgres_url: str
) -> None:
    def ours() -> list[tuple[str, bool]]:
        mine = (reader.info.backend_pid, second.info.backend_pid)
        found = [holder for holder in snapshot_holders(writer) if holder.pid in mine]
        return [(holder.application, holder.seconds >= 0) for holder in found]

    with psycopg.connect(postgres_url, application_name="export") as second:
        assert ours() == []
        with snapshot(reader, statement_s=5, idle_s=5):
            reader.execute(COUNT)
            writer.execute("INSERT INTO numbers VALUES (0)")
            writer.execute("INSERT INTO numbers VALUES (0)")
            with snapshot(second, statement_s=5, idle_s=5):
                second.execute(COUNT)
                assert ours() == [("report", True), ("export", True)]
                ages = [
                    holder.transactions
                    for holder in snapshot_holders(writer)
                    if holder.application in ("report", "export")
                ]
                # Alike when a transaction elsewhere on the server is older than both.
                assert ages[0] >= ages[1]
        assert ours() == []


def test_a_session_that_wrote_and_sits_there_is_named_too(
    reader: Connection, writer: Connection
) -> None:
    """It has no snapshot between two statements, and VACUUM waits for it all the same."""
    reader.execute("INSERT INTO numbers VALUES (0)")
    writer.execute("INSERT INTO numbers VALUES (0)")
    (holder,) = (h for h in snapshot_holders(writer) if h.pid == reader.info.backend_pid)
    assert holder.application == "report"
    assert holder.transactions >= 2
    reader.rollback()
    assert reader.info.backend_pid not in [h.pid for h in snapshot_holders(writer)]


def test_who_asks_is_not_named(reader: Connection) -> None:
    with snapshot(reader, statement_s=5, idle_s=5):
        assert reader.info.backend_pid not in [h.pid for h in snapshot_holders(reader)]


STREAMS: dict[str, Callable[[Connection, LiteralString], Generator[object, None, None]]] = {
    "cursor": stream_rows,
    "chunks": stream_chunks,
    "copy": copy_bytes,
}


def test_a_slow_consumer_counts_for_chunks_and_copy_and_not_for_a_cursor(
    postgres_url: str, writer: Connection
) -> None:
    """They are one statement, in which the server waits for its reader."""
    query: LiteralString = "SELECT repeat('x', 1000) FROM generate_series(1, 20000)"
    ended: dict[str, str] = {}
    with ExitStack() as stack:
        rows = {}
        for name, stream in STREAMS.items():
            conn = stack.enter_context(psycopg.connect(postgres_url, application_name=name))
            stack.enter_context(snapshot(conn, statement_s=0.5, idle_s=30))
            rows[name] = stack.enter_context(closing(stream(conn, query)))
            next(rows[name])
        waited = (
            "SELECT min(clock_timestamp() - query_start) > interval '0.6 s' FROM pg_stat_activity"
            " WHERE application_name IN ('cursor', 'chunks', 'copy')"
        )
        eventually(lambda: writer.execute(waited).fetchone() == (True,))
        for name, rest in rows.items():
            try:
                ended[name] = f"{len(list(rest))} more"
            except psycopg.errors.QueryCanceled as error:
                ended[name] = str(error.diag.message_primary)
    too_late = "canceling statement due to statement timeout"
    assert ended == {"cursor": "19999 more", "chunks": too_late, "copy": too_late}


def test_a_session_of_another_database_holds_nothing_back_here(
    writer: Connection, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, dbname="postgres") as elsewhere:
        with snapshot(elsewhere, statement_s=5, idle_s=5):
            elsewhere.execute("SELECT 1 FROM pg_class")
            pids = [holder.pid for holder in snapshot_holders(writer)]
        assert elsewhere.info.backend_pid not in pids


def test_the_demo_sees_one_moment_and_is_found_out(demo: Demo, postgres_url: str) -> None:
    assert demo("bounded_snapshot", postgres_url) == [
        "tables of that name: (0,), and after CREATE: (0,)",
        "nightly_report holds VACUUM: True",
        "a new snapshot: (1,)",
    ]
