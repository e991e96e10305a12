# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The worker: batch by batch, each with its checkpoint, its counts, its lease.

One transaction holds a batch's rows, its rejects, the progress and the place
to go on. SIGKILL at any moment leaves all of it or nothing; the next worker
goes on behind the last commit. The place is also a fence: it is moved only
from where this worker read, so a second worker on the same import, or a
cancelled import, makes the update miss and the batch is undone. So it does
not matter which queue delivers the job, nor how often.

A large import works in slices and then stands in line again, so a small one
of another tenant waits for one slice, not for five million rows.

Memory: one batch as text, which ends at MAX_BATCH bytes of the file, and one
block of it.

Source: "Idempotent Receiver" in Hohpe and Woolf, Enterprise Integration
Patterns, https://www.enterpriseintegrationpatterns.com/patterns/messaging/
IdempotentReceiver.html
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import ModuleType
from typing import Any, LiteralString, NamedTuple, Protocol

import psycopg
from psycopg import errors

MAX_BATCH = 8 * 1024**2  # bytes of the file; a record may have 64 KiB

Connection = psycopg.Connection[tuple[Any, ...]]

# --8<-- [start:types]
Row = tuple[Any, ...]  # line, then the columns as text


class Parsed(NamedTuple):
    """One record of the file: values, or the fault that refuses it."""

    line: int
    end: int  # offset behind it, in bytes
    values: tuple[str, ...] | None
    fault: tuple[str, str, str] | None  # column, code, value


Parse = Callable[[bytes, Iterable[bytes], int, int], Iterator[Parsed]]
# Rows, import, tenant, number: inserted, updated, rejected, stale.
Load = Callable[
    [Connection, Sequence[Row], str, str, int], tuple[int, int, int, int]
]


class Lease(Protocol):
    """What the queue gives; both may raise, and the batch is undone."""

    def beat(self, conn: Connection) -> None:
        """Say that this worker lives."""

    def complete(self, conn: Connection) -> None:
        """Take the job off the queue."""
        # --8<-- [end:types]


class OvertakenError(RuntimeError):
    """The import was cancelled, or another worker has moved on."""


# --8<-- [start:read]
def read_from(
    conn: Connection, import_id: str, at: int, total: int
) -> Iterator[bytes]:
    """Yield the stored file from byte `at` on, one block in memory.

    Raises:
        ValueError: the file ends before byte `total`.
    """
    while at < total:
        row = conn.execute(
            "SELECT at, body FROM import_blocks WHERE import_id = %s"
            " AND at <= %s ORDER BY at DESC LIMIT 1",
            (import_id, at),
        ).fetchone()
        if row is None or at >= row[0] + len(row[1]):
            raise ValueError(f"the block with byte {at} is missing")
        yield row[1][at - row[0] :]
        at = row[0] + len(row[1])


def batches(
    records: Iterable[Parsed], place: int, most: int
) -> Iterator[list[Parsed]]:
    """Yield lists of up to `most` records, of fewer when they are large."""
    found: list[Parsed] = []
    for record in records:
        found.append(record)
        if len(found) == most or record.end - place >= MAX_BATCH:
            yield found
            place, found = record.end, []
    if found:
        yield found


# --8<-- [end:read]


FREE: LiteralString = "DELETE FROM import_blocks WHERE import_id = %s"


# --8<-- [start:slice]
def run_slice(  # noqa: PLR0913 - each is a decision of the caller
    conn: Connection,
    import_id: str,
    lease: Lease,
    *,
    parse: Parse,
    load: Load,
    batch: int = 5_000,
    until: Callable[[], bool] = lambda: False,
    max_rejects: int = 10_000,
) -> bool:
    """Go on with an import until `until()` says stop; True when it has ended.

    The connection is in autocommit. A file that is refused as a whole
    (ValueError from `parse`, or over `max_rejects` bad rows) has ended, too:
    trying again would not help.

    Raises:
        OvertakenError: this worker's last batch was undone; drop the job.
        psycopg.Error: the batch was undone; fail the job, it may be repeated.
    """
    start = conn.execute(
        "UPDATE imports SET state = 'running' WHERE id = %s"
        " AND state IN ('queued', 'running')"
        " RETURNING tenant, bytes_done, line, rejected, bytes_total, no",
        (import_id,),
    ).fetchone()
    if start is None:  # cancelled, or ended long ago
        conn.execute(FREE, (import_id,))
        return True
    tenant, place, line, rejected, total, no = start
    try:
        first = next(read_from(conn, import_id, 0, total), b"")
        header = next(iter(first.splitlines(keepends=True)), b"")
        place = max(place, len(header))
        blocks = read_from(conn, import_id, place, total)
        records = parse(header, blocks, line + 1, place)
        old = start[1]
        for found in batches(records, place, batch):
            old, bad = _commit(
                conn,
                import_id,
                tenant,
                no,
                old,
                found=found,
                lease=lease,
                load=load,
            )
            rejected += bad
            if rejected > max_rejects:
                raise ValueError(  # noqa: TRY301 - ends as a bad file does
                    f"over {max_rejects} rows were rejected"
                )
            if until():
                return False
    except ValueError as error:
        _end(conn, import_id, lease, "failed", str(error)[:500])
    else:
        _end(conn, import_id, lease, "completed", None)
    return True


# --8<-- [end:slice]


# --8<-- [start:commit]
def _commit(  # noqa: PLR0913 - all that one transaction needs
    conn: Connection,
    import_id: str,
    tenant: str,
    no: int,
    old: int,
    *,
    found: Sequence[Parsed],
    lease: Lease,
    load: Load,
) -> tuple[int, int]:
    """Store a batch, its rejects, the counts and the place: all or none."""
    rows = [(p.line, *p.values) for p in found if p.values is not None]
    faults = [(import_id, p.line, *p.fault) for p in found if p.fault]
    with conn.transaction():
        inserted, updated, bad, stale = load(conn, rows, import_id, tenant, no)
        conn.cursor().executemany(
            "INSERT INTO rejects VALUES (%s, %s, %s, %s, %s)", faults
        )
        bad += len(faults)
        moved = conn.execute(
            "UPDATE imports SET bytes_done = %s, line = %s,"
            " inserted = inserted + %s, updated = updated + %s,"
            " rejected = rejected + %s, stale = stale + %s"
            " WHERE id = %s AND bytes_done = %s AND state = 'running'",
            (found[-1].end, found[-1].line, inserted, updated, bad, stale,
             import_id, old),
        )  # fmt: skip
        if not moved.rowcount:
            raise OvertakenError(import_id)
        lease.beat(conn)  # last: a lease that was lost undoes the batch
    return found[-1].end, bad


def _end(
    conn: Connection, import_id: str, lease: Lease, state: str, why: str | None
) -> None:
    """Say that it is over, where it is over: with the job, in one commit."""
    with conn.transaction():
        ended = conn.execute(
            "UPDATE imports SET state = %s, error = %s,"
            " bytes_done = CASE WHEN %s::text IS NULL"
            " THEN bytes_total ELSE bytes_done END"
            " WHERE id = %s AND state = 'running'",
            (state, why, why, import_id),
        )
        if not ended.rowcount:
            raise OvertakenError(import_id)
        conn.execute(FREE, (import_id,))
        lease.complete(conn)
        # --8<-- [end:commit]


# A dead job must not leave an import that says "running" for ever.
BURY: LiteralString = """
UPDATE imports SET state = 'failed', error = left(jobs.error, 500) FROM jobs
WHERE jobs.dead AND jobs.payload ->> 'import_id' = imports.id::text
  AND imports.state IN ('queued', 'running')
"""


def redrive(conn: Connection, import_id: str) -> bool:
    """Let a dead import go on where it stood, once its cause is mended."""
    with conn.transaction():
        job = conn.execute(
            "UPDATE jobs SET dead = false, attempts = 0, error = NULL,"
            " due = now() WHERE dead AND payload ->> 'import_id' = %s",
            (import_id,),
        )
        if job.rowcount:  # `dead = false` alone: the worker would drop it
            conn.execute(
                "UPDATE imports SET state = 'queued', error = NULL"
                " WHERE id = %s AND state = 'failed'",
                (import_id,),
            )
    return bool(job.rowcount)


# --8<-- [start:work]
def work(  # noqa: PLR0913 - each is a decision of the caller
    url: str,
    stop: threading.Event,
    *,
    lease: float = 60.0,
    slice_: float = 10.0,
    idle: float = 1.0,
    batch: int = 5_000,
) -> None:
    """Work off imports until `stop` is set, at the next commit.

    Wired with copy_staging_merge.py, csv_validator.py, skip_locked_queue.py
    beside this file. The lease, in seconds, must be several batches long: a
    batch that outlasts it is undone as soon as somebody else has claimed.
    """
    import skip_locked_queue as queue

    reap_at = time.monotonic()
    with psycopg.connect(url, autocommit=True) as conn:
        # A batch that waits for a lock fails, with a reason, within its lease.
        wait = f"{int(lease * 500)}ms"
        conn.execute("SELECT set_config('lock_timeout', %s, false)", (wait,))
        while not stop.is_set():
            if time.monotonic() >= reap_at:  # also while there is work
                reap_at = time.monotonic() + 60
                with _unless_locked(), conn.transaction():
                    queue.reap(conn)
                    conn.execute(BURY)
            jobs = queue.claim(conn, "import", lease=lease)
            if not jobs:
                stop.wait(idle)
                continue
            (job,) = jobs
            ends = time.monotonic() + slice_
            over = partial(_over, stop, ends)
            mine = _Lease(queue, job, lease)
            import_id = job.payload["import_id"]
            try:
                if run_slice(
                    conn, import_id, mine, **tools(), batch=batch, until=over
                ):  # perhaps long ago: cancelled, or completed by another
                    conn.execute("DELETE FROM jobs WHERE id = %s", (job.id,))
                else:
                    queue.release(conn, job)
            except (OvertakenError, queue.LeaseLostError) as why:
                print(f"dropped, somebody else has it: {why}", file=sys.stderr)
            except psycopg.DatabaseError as error:
                # With a dead connection this raises: let a supervisor restart.
                with (
                    suppress(queue.LeaseLostError),
                    _unless_locked(),
                    conn.transaction(),
                ):
                    queue.fail(conn, job, str(error))
                    conn.execute(BURY)


@contextmanager
def _unless_locked() -> Iterator[None]:
    """Leave to a later minute what somebody's open transaction holds."""
    try:
        yield
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        print(f"nothing buried: {error}", file=sys.stderr)


def _over(stop: threading.Event, ends: float) -> bool:
    return stop.is_set() or time.monotonic() > ends


def serve(url: str) -> None:
    """Be a worker process: SIGTERM ends it behind the next commit."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    work(url, stop)


def tools() -> dict[str, Any]:
    """Give `parse` and `load` of the files beside this one."""
    from copy_staging_merge import load as load_batch
    from csv_validator import Ok, read_header, split_lines, validate

    columns = ("sku", "name", "price", "stock")

    def parse(
        header: bytes, blocks: Iterable[bytes], line: int, at: int
    ) -> Iterator[Parsed]:
        lines = split_lines(blocks)
        indexes = read_header(header, columns)
        for it in validate(lines, columns, indexes, line=line, offset=at):
            if isinstance(it, Ok):
                yield Parsed(it.line, it.end, it.values, None)
            else:
                fault = (it.column, it.code, it.value)
                yield Parsed(it.line, it.end, None, fault)

    def load(
        conn: Connection,
        rows: Sequence[Row],
        import_id: str,
        tenant: str,
        no: int,
    ) -> tuple[int, int, int, int]:
        inserted, updated, rejected, stale = load_batch(
            conn, rows, import_id=import_id, tenant=tenant, import_no=no
        )
        return inserted, updated, rejected, stale

    return {"parse": parse, "load": load}


class _Lease:
    def __init__(self, queue: ModuleType, job: object, seconds: float) -> None:
        self._queue, self._job, self._seconds = queue, job, seconds

    def beat(self, conn: Connection) -> None:
        self._queue.heartbeat(conn, self._job, lease=self._seconds)

    def complete(self, conn: Connection) -> None:
        self._queue.complete(conn, self._job)
        # --8<-- [end:work]


# --8<-- [start:demo]
def main() -> None:
    """Kill a worker in its third batch; the next one goes on behind it."""

    def parse(
        _header: bytes, blocks: Iterable[bytes], line: int, at: int
    ) -> Iterator[Parsed]:
        for number, raw in enumerate(b"".join(blocks).splitlines(True), line):
            at += len(raw)
            yield Parsed(number, at, (raw.decode().strip(),), None)

    def load(
        conn: Connection, rows: Sequence[Row], *_: object
    ) -> tuple[int, int, int, int]:
        conn.cursor().executemany("INSERT INTO stored VALUES (%s, %s)", rows)
        return len(rows), 0, 0, 0

    class Mortal:
        beats = 0

        def beat(self, conn: Connection) -> None:  # noqa: ARG002
            self.beats += 1
            if self.beats == 3:
                raise KeyboardInterrupt

        def complete(self, conn: Connection) -> None:  # noqa: ARG002
            print("completed")

    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    mortal = Mortal()
    key = "00000000-0000-4000-8000-000000000001"
    show = "SELECT state, line - 1, inserted FROM imports"
    body = b"sku\n" + b"".join(b"B-%d\n" % n for n in range(1000))
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            conn.execute("SET search_path = pg_temp")  # leaves nothing behind
            conn.execute("""
                CREATE TABLE imports (id uuid, no int, tenant text, state text,
                    bytes_total int, bytes_done int DEFAULT 0,
                    line int DEFAULT 1, inserted int DEFAULT 0,
                    updated int DEFAULT 0, rejected int DEFAULT 0,
                    stale int DEFAULT 0, error text);
                CREATE TABLE import_blocks (import_id uuid, at int, body bytea);
                CREATE TABLE rejects (import_id uuid, line int, c text,
                    code text, value text);
                CREATE TABLE stored (line int PRIMARY KEY, sku text)""")
            conn.execute(
                "INSERT INTO imports (id, no, tenant, state, bytes_total)"
                " VALUES (%s, 1, 'acme', 'queued', %s)",
                (key, len(body)),
            )
            conn.execute(
                "INSERT INTO import_blocks VALUES (%s, 0, %s)", (key, body)
            )
            try:
                run_slice(conn, key, mortal, parse=parse, load=load, batch=100)
            except KeyboardInterrupt:
                print("killed: ", conn.execute(show).fetchone())
            run_slice(conn, key, mortal, parse=parse, load=load, batch=100)
            print("resumed:", conn.execute(show).fetchone())
            print("stored: ", conn.execute("TABLE stored").rowcount, "rows")
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
