"""Snapshots: one moment for every query, read-only, ended when they take too long."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lab.eventually import eventually
from lab.postgres import server_connections
from snippets.large_datasets.bounded_snapshot import snapshot, snapshot_holders
from snippets.large_datasets.server_side_cursor import stream_rows

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
    reader.execute(COUNT)
    with (
        pytest.raises(psycopg.errors.ActiveSqlTransaction),
        snapshot(reader, statement_s=5, idle_s=5),
    ):
        raise AssertionError


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
                assert ages[0] - ages[1] == 2
        assert ours() == []


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
