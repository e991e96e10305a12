# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A job queue in PostgreSQL: SKIP LOCKED, leases, backoff, dead letter.

Delivery is at least once. A claim is a lease: whoever does not finish, beat
or fail in time is presumed dead, and another worker gets the job. Each claim
has a new token; a worker whose lease ran out finds its token spent, so it can
neither complete nor delay a job that is somebody else's by now.

Enqueue inside the transaction that makes the work necessary, complete inside
the one that does it: then neither can be without the other. A job that was
claimed `max_attempts` times without success is dead: it stays in the table,
out of the way, until somebody has looked. Also when it kills its workers.

For most readers a library is the better answer: Procrastinate (PostgreSQL),
or Celery where a broker runs anyway. Take this where a job must commit
together with your data, and forty lines are less than a dependency.

Source: PostgreSQL documentation, SELECT, "The Locking Clause",
https://www.postgresql.org/docs/current/sql-select.html
"""

import os
import random
import sys
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[tuple[Any, ...]]

# --8<-- [start:schema]
# Claiming moves `due` into the future, so one index finds fresh jobs, delayed
# ones and those whose worker died.
SCHEMA: LiteralString = """
CREATE TABLE IF NOT EXISTS jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    dedupe_key text UNIQUE,
    due timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL DEFAULT 5,
    token bigint NOT NULL DEFAULT 0,
    dead boolean NOT NULL DEFAULT false,
    error text);
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (kind, due) WHERE NOT dead;
"""
ENQUEUE: LiteralString = """
INSERT INTO jobs (kind, payload, dedupe_key) VALUES (%s, %s, %s)
ON CONFLICT (dedupe_key) DO NOTHING RETURNING id
"""
# --8<-- [end:schema]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is yours until the lease ends."""

    id: int
    payload: dict[str, Any]
    attempts: int
    """This claim included: 1 for the first."""
    token: int


class LeaseLostError(RuntimeError):
    """Another worker has the job, or it is gone: undo and stop."""


def enqueue(
    conn: Connection,
    kind: str,
    payload: dict[str, Any],
    *,
    dedupe_key: str | None = None,
) -> int | None:
    """Add a job in the caller's transaction; None when the key is taken."""
    row = conn.execute(ENQUEUE, (kind, Jsonb(payload), dedupe_key)).fetchone()
    return row[0] if row else None


# --8<-- [start:claim]
def claim(
    conn: Connection, kind: str, n: int = 1, *, lease: float = 30.0
) -> list[Job]:
    """Take up to `n` due jobs for `lease` seconds, the longest due first.

    Commit before you work: a transaction that is open as long as the job
    holds back VACUUM, and its locks hide the job from everybody.
    """
    rows = conn.execute(
        """
        WITH picked AS MATERIALIZED (
            SELECT id FROM jobs
            WHERE kind = %s AND NOT dead AND due <= now()
              AND attempts < max_attempts
            ORDER BY due, id LIMIT %s FOR UPDATE SKIP LOCKED)
        UPDATE jobs SET due = clock_timestamp() + %s * interval '1 second',
                        attempts = attempts + 1, token = token + 1
        FROM picked WHERE jobs.id = picked.id
        RETURNING jobs.id, payload, attempts, token""",
        (kind, n, lease),
    ).fetchall()
    return [Job(*row) for row in sorted(rows)]
    # --8<-- [end:claim]


# --8<-- [start:settle]
def heartbeat(conn: Connection, job: Job, *, lease: float = 30.0) -> None:
    """Let the lease start anew; LeaseLostError when it is lost."""
    _settle(
        conn,
        "UPDATE jobs SET due = clock_timestamp() + %s * interval '1 second'",
        (lease,),
        job,
    )


def complete(conn: Connection, job: Job) -> None:
    """Remove the job, in the transaction of its effect; LeaseLostError."""
    _settle(conn, "DELETE FROM jobs", (), job)


def release(conn: Connection, job: Job) -> None:
    """Put it back to the end of the line: more is to do, nothing failed."""
    _settle(
        conn,
        "UPDATE jobs SET due = clock_timestamp(), attempts = 0",
        (),
        job,
    )


def fail(
    conn: Connection,
    job: Job,
    error: str,
    *,
    backoff: float = 1.0,
    most: float = 600.0,
) -> None:
    """Try again later, or never when the attempts are used up.

    The pause doubles with each attempt up to `most` seconds, and half of it
    is random, so that what failed together does not return together.
    """
    pause = min(most, backoff * 2 ** min(job.attempts - 1, 30))
    _settle(
        conn,
        "UPDATE jobs SET dead = attempts >= max_attempts, error = left(%s, 500)"
        ", due = clock_timestamp() + %s * interval '1 second'",
        (error, pause * random.uniform(0.5, 1.0)),
        job,
    )


def reap(conn: Connection) -> list[int]:
    """Bury jobs that used up their attempts without a word: give their ids.

    Such a job kills its worker, or outlives every lease. Call it each minute.
    """
    rows = conn.execute("""
        UPDATE jobs SET dead = true,
               error = coalesce(error, 'no worker lived to tell')
        WHERE NOT dead AND due <= now() AND attempts >= max_attempts
        RETURNING id""").fetchall()
    return sorted(row[0] for row in rows)


def _settle(
    conn: Connection, do: LiteralString, values: tuple[Any, ...], job: Job
) -> None:
    # The token is the fence: a later claim has a higher one.
    cur = conn.execute(
        do + " WHERE id = %s AND token = %s AND NOT dead",
        (*values, job.id, job.token),
    )
    if not cur.rowcount:
        raise LeaseLostError(f"job {job.id}, token {job.token}")
        # --8<-- [end:settle]


# --8<-- [start:demo]
def main() -> None:
    """Let a worker lose its lease, and a poison job die."""
    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            conn.execute("SET search_path = pg_temp")  # leaves nothing behind
            conn.execute(SCHEMA)
            enqueue(conn, "import", {"id": 1}, dedupe_key="import 1")
            again = enqueue(conn, "import", {"id": 1}, dedupe_key="import 1")
            print(f"enqueued a second time: {again}")
            (slow,) = claim(conn, "import", lease=0.0)
            (quick,) = claim(conn, "import")
            print(f"claimed twice, tokens {slow.token} and {quick.token}")
            complete(conn, quick)
            try:
                complete(conn, slow)
            except LeaseLostError as lost:
                print(f"the slow worker: LeaseLostError, {lost}")
            enqueue(conn, "import", {"id": 2})
            while jobs := claim(conn, "import"):
                fail(conn, jobs[0], "poison", backoff=0.0)
            print(*conn.execute("SELECT id, attempts, dead, error FROM jobs"))
    except psycopg.OperationalError as error:
        sys.exit(
            f"No PostgreSQL at DATABASE_URL ({str(error).splitlines()[0]}). "
            "For example: docker run --rm -d -p 127.0.0.1:5432:5432 "
            "-e POSTGRES_PASSWORD=x postgres:18; export DATABASE_URL="
            "postgresql://postgres:x@127.0.0.1/postgres; then run this file "
            "again (in the Firedrill repository: make lab)"
        )


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
