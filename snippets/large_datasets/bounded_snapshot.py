# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""One consistent view over several queries, with limits on what it may cost.

A long transaction keeps every row version that it might still need: VACUUM
removes nothing newer than the oldest snapshot, in any table of the database.
So give each long reader a time limit, and watch `snapshot_holders`.

From PostgreSQL 17, `transaction_timeout` bounds the whole transaction too.

Source: https://www.postgresql.org/docs/current/routine-vacuuming.html,
https://www.postgresql.org/docs/current/runtime-config-client.html
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus


# --8<-- [start:snapshot]
@contextmanager
def snapshot(
    conn: psycopg.Connection[Any], *, statement_s: float, idle_s: float
) -> Iterator[None]:
    """Hold a read-only snapshot: every query inside sees the same moment.

    The server ends a query that runs for more than `statement_s` seconds with
    QueryCanceled (each FETCH of a cursor counts anew; chunked rows and COPY
    are one query, their reader's own work included), and the connection
    when the reader lets more than `idle_s` seconds pass between two queries,
    with IdleInTransactionSessionTimeout. Both limits must be at least 1 ms:
    0 would switch them off. Raises ActiveSqlTransaction inside a transaction:
    its snapshot may be older, and it would keep the limits.
    """
    if min(statement_s, idle_s) < 0.001:
        raise ValueError(f"limits below 1 ms: {statement_s=}, {idle_s=}")
    if conn.info.transaction_status is not TransactionStatus.IDLE:
        raise psycopg.errors.ActiveSqlTransaction("commit or roll back first")
    with conn.transaction():
        conn.execute(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        )
        conn.execute(
            "SELECT set_config('statement_timeout', %s, true),"
            " set_config('idle_in_transaction_session_timeout', %s, true)",
            (f"{statement_s * 1000:.0f}ms", f"{idle_s * 1000:.0f}ms"),
        )
        yield


# --8<-- [end:snapshot]


# --8<-- [start:holders]
class Holder(NamedTuple):
    """A server process that keeps VACUUM from removing dead rows."""

    pid: int
    application: str
    seconds: float  # since its transaction began
    transactions: int  # its age, in transactions begun since


def snapshot_holders(conn: psycopg.Connection[Any]) -> list[Holder]:
    """Return who holds back VACUUM here, the oldest first, except us.

    A session does so by its snapshot, by having written in a transaction
    still open, or by sending to a replica with hot_standby_feedback. Those of
    other databases hold back only the shared catalogs and are left out. Shows
    other users' sessions to superusers and members of pg_monitor. Look into
    pg_replication_slots and pg_prepared_xacts too: both hold it back.
    """
    rows = conn.execute("""
        SELECT pid, application_name,
               extract(epoch FROM clock_timestamp() - xact_start)::float8,
               greatest(age(backend_xmin), age(backend_xid)) AS age
        FROM pg_stat_activity
        WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL
              AND pid <> pg_backend_pid()
              AND backend_type IN ('client backend', 'walsender')
              AND coalesce(datname, current_database()) = current_database()
        ORDER BY age DESC, xact_start""")
    return [Holder(*row) for row in rows]


# --8<-- [end:holders]


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Read twice while another session writes, then be found out."""
    count = "SELECT count(*) FROM pg_class WHERE relname = %s"
    name = f"firedrill_{os.getpid()}"
    with (
        psycopg.connect(url, application_name="nightly_report") as reader,
        psycopg.connect(url, autocommit=True) as other,
    ):
        with snapshot(reader, statement_s=5, idle_s=5):
            before = reader.execute(count, [name]).fetchone()
            other.execute(f"CREATE TABLE {name} ()")
            after = reader.execute(count, [name]).fetchone()
            print(f"tables of that name: {before}, and after CREATE: {after}")
            holders = {holder.application for holder in snapshot_holders(other)}
            print(f"nightly_report holds VACUUM: {'nightly_report' in holders}")
        print(f"a new snapshot: {reader.execute(count, [name]).fetchone()}")
        reader.rollback()
        other.execute(f"DROP TABLE {name}")


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
