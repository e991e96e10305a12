# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""An import inside the request, row by row, with a progress column.

Each row waits for a round trip and a commit, a retry stores every row again,
and workers overwrite one another's progress.
"""

import csv
import os
import sys
from collections.abc import Iterable
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]


# --8<-- [start:import]
def import_csv(conn: Connection, job_id: int, lines: Iterable[str]) -> int:
    """Import rows (email, name); the connection is in autocommit."""
    count = 0
    for row in csv.reader(lines):
        # BUG: a round trip and a commit for each row.
        # BUG: no key says which import and line it is: a retry doubles it.
        # BUG: the first bad row ends the import, and half of it stays.
        conn.execute("INSERT INTO contacts (email, name) VALUES (%s, %s)", row)
        add_progress(conn, job_id, 1)
        count += 1
    return count


def add_progress(conn: Connection, job_id: int, n: int) -> None:
    """Count n more rows of a job."""
    done = read_progress(conn, job_id)
    # BUG: another worker has added since; its count is overwritten.
    conn.execute("UPDATE job SET done = %s WHERE id = %s", (done + n, job_id))


def read_progress(conn: Connection, job_id: int) -> int:
    """Tell how many rows are done."""
    row = conn.execute("SELECT done FROM job WHERE id = %s", (job_id,))
    return sum(done for (done,) in row)
    # --8<-- [end:import]


# --8<-- [start:demo]
def main() -> None:
    """Import a file whose last row is bad, mend it, and try again."""
    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            conn.execute("SET search_path = pg_temp")  # leaves nothing behind
            conn.execute("CREATE TABLE contacts (email text, name text)")
            conn.execute("CREATE TABLE job (id int, done int)")
            conn.execute("INSERT INTO job VALUES (1, 0)")
            lines = [f"{n}@example.com,Name {n}" for n in range(200)]
            try:
                import_csv(conn, 1, [*lines, "no comma"])
            except psycopg.ProgrammingError as error:
                print(f"failed: {error}")
            import_csv(conn, 1, lines)
            cur = conn.execute("SELECT count(*) FROM contacts")
            print(f"after the retry: {sum(n for (n,) in cur)} rows of 200")
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
