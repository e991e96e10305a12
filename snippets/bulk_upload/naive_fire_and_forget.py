# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg-pool>=3.3,<4", "psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""An import that is "completed" before a single row is stored.

A batch becomes a task, the loop goes on, and at its end the job is said to be
done. Nothing was awaited: the status is a wish, and every batch of the file
is in memory at once. If the process ends now, no row was ever stored.
"""

import asyncio
import csv
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import psycopg
from psycopg_pool import AsyncConnectionPool

SIZE = 1000


@dataclass
class Job:
    """What the status page shows."""

    status: str = "processing"
    seen: int = 0
    processed: int = 0
    failed: int = 0
    in_flight: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    # --8<-- [start:progress]
    @property
    def percent(self) -> float:
        """How far it is."""
        # BUG: rows read so far instead of the file's size: always near 100 %.
        return 100 * (self.processed + self.failed) / max(1, self.seen)
        # --8<-- [end:progress]


# --8<-- [start:import]
async def insert(
    pool: AsyncConnectionPool, job: Job, batch: list[list[str]]
) -> None:
    """Store one batch."""
    try:
        async with pool.connection() as conn, conn.cursor() as cur:
            await cur.executemany(
                "INSERT INTO customers (id, email) VALUES (%s, %s)", batch
            )
        job.processed += len(batch)
    except psycopg.Error:
        # BUG: one bad row loses its 999 neighbours, and nobody learns which.
        job.failed += len(batch)
    finally:
        job.in_flight -= 1


async def import_csv(
    pool: AsyncConnectionPool, job: Job, lines: Iterable[str]
) -> None:
    """Import a file."""
    batch: list[list[str]] = []

    def send(rows: list[list[str]]) -> None:
        job.in_flight += 1
        # BUG: nothing awaits the task: no error is seen, no bound is kept.
        job.tasks.append(asyncio.create_task(insert(pool, job, rows)))

    for row in csv.reader(lines):
        job.seen += 1
        batch.append(row)
        if len(batch) == SIZE:
            send(batch)
            batch = []
    if batch:
        send(batch)
    # BUG: the loop has ended, the work has not begun.
    job.status = "completed"
    # --8<-- [end:import]


# --8<-- [start:demo]
async def demo(url: str) -> None:
    """Import 100,000 rows and look at the table when it says "completed"."""
    schema = f"firedrill_{os.getpid()}"
    options = {"options": f"-c search_path={schema}"}
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5, options=options["options"]
    ) as conn:
        await conn.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            await conn.execute("CREATE TABLE customers (id int, email text)")
            async with AsyncConnectionPool(url, kwargs=options) as pool:
                job = Job()
                lines = (f"{n},{n}@example.com" for n in range(100_000))
                await import_csv(pool, job, lines)
                cur = await conn.execute("SELECT count(*) FROM customers")
                stored = sum([n async for (n,) in cur])
                print(f"{job.status}: {stored} of {job.seen} rows stored,")
                print(f"{job.in_flight} batches in flight")
                for task in job.tasks:  # the process ends here
                    task.cancel()
                await asyncio.gather(*job.tasks, return_exceptions=True)
        finally:
            await conn.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def main() -> None:
    """Run the demo against DATABASE_URL."""
    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    try:
        asyncio.run(demo(url))
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
