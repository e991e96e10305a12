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


# --8<-- [start:snapshot]
@contextmanager
def snapshot(
    conn: psycopg.Connection[Any], *, statement_s: float, idle_s: float
) -> Iterator[None]:
    """Hold a read-only snapshot: every query inside sees the same moment.

    The server ends a query (each FETCH of a cursor counts anew) that runs
    for more than `statement_s` seconds with QueryCanceled, and the connection
    when the reader lets more than `idle_s` seconds pass between two queries,
    with IdleInTransactionSessionTimeout. Both limits must be at least 1 ms:
    0 would switch them off. Raises ActiveSqlTransaction inside a transaction
    that has already run a query.
    """
    if min(statement_s, idle_s) < 0.001:
        raise ValueError(f"limits below 1 ms: {statement_s=}, {idle_s=}")
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
    transactions: int  # age of its snapshot, in transactions begun since


def snapshot_holders(conn: psycopg.Connection[Any]) -> list[Holder]:
    """Return who holds back VACUUM here, the oldest snapshot first, except us.

    Sessions of other databases hold back only the shared catalogs and are
    left out. Shows other users' sessions to superusers and members of
    pg_monitor. Replication slots and prepared transactions hold it back too.
    """
    rows = conn.execute("""
        SELECT pid, application_name,
               extract(epoch FROM clock_timestamp() - xact_start)::float8,
               age(backend_xmin)
        FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
              AND backend_type = 'client backend'
              AND datname = current_database()
        ORDER BY age(backend_xmin) DESC""")
    return [Holder(*row) for row in rows]


# --8<-- [end:holders]


# --8<-- [start:demo]
def main() -> None:
    """Read twice while another session writes, then be found out."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
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


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
