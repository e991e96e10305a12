# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A job table whose jobs are read first and marked afterwards.

Between the two statements every other worker reads the same job. And a job
whose worker died stays "running" for ever.
"""

import os
import sys
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]


# --8<-- [start:claim]
def find(conn: Connection) -> int | None:
    """Look for a job."""
    row = conn.execute(
        "SELECT id FROM tasks WHERE state = 'ready' ORDER BY id LIMIT 1"
    ).fetchone()
    return row[0] if row else None


def claim(conn: Connection) -> int | None:
    """Take a job; the connection is in autocommit."""
    job_id = find(conn)
    # BUG: the row is not locked: whoever asks now finds the same job.
    if job_id is not None:
        # BUG: no lease: if this worker dies, the job is "running" for ever.
        conn.execute(
            "UPDATE tasks SET state = 'running' WHERE id = %s", (job_id,)
        )
    return job_id
    # --8<-- [end:claim]


# --8<-- [start:demo]
def main() -> None:
    """Let two workers ask at the same moment."""
    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            conn.execute("SET search_path = pg_temp")  # leaves nothing behind
            conn.execute("CREATE TABLE tasks (id int, state text)")
            conn.execute("INSERT INTO tasks VALUES (1, 'ready'), (2, 'ready')")
            print(f"the other worker reads: job {find(conn)}")
            print(f"this worker claims:     job {claim(conn)}")
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
