"""Scenario 2: how each way of loading rows does beside psql's own COPY, and what a queue costs."""

import asyncio
import io
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from evidence.charts import bars
from lab import servers
from lab.ratio import Timing
from lab.servers.binaries import postgres_folder
from snippets.bulk_upload import copy_staging_merge as merge
from snippets.bulk_upload import import_api, import_worker, naive_row_by_row
from snippets.bulk_upload import skip_locked_queue as queue
from snippets.bulk_upload.csv_validator import Ok, read_header, split_lines, validate
from snippets.bulk_upload.stream_consumer import StreamConsumer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evidence.harness import Run

ROWS = 100_000
FEW = ROWS // 4  # for ways that take some times as long
FEWEST = ROWS // 50  # for the way that takes a hundred times as long
JOBS = 1000
COLUMNS = ("sku", "name", "price", "stock")
HEADER = b"sku,name,price,stock\n"
Db = psycopg.Connection[tuple[Any, ...]]
COPY = "COPY products (tenant, sku, name, price, stock) FROM STDIN WITH (FORMAT csv)"


class Input:
    """The same rows in the form that each way begins with; making them is not measured."""

    def __init__(self, folder: Path) -> None:
        import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own

        self.rows: list[merge.Row] = [
            (
                n + 2,
                f"SKU-{n * 7919 % ROWS:08}",
                f"Product number {n}",
                f"{n % 900}.50",
                str(n % 99),
            )
            for n in range(ROWS)
        ]
        self.tuples = [("acme", *row[1:]) for row in self.rows]
        self.csv = "".join(",".join(row) + "\n" for row in self.tuples).encode()
        self.upload = HEADER + "".join(",".join(row[1:]) + "\n" for row in self.rows).encode()
        self.path = folder / "rows.csv"
        self.path.write_bytes(self.csv)
        names = ["tenant", *COLUMNS]
        self.frame = pd.DataFrame(self.tuples, columns=names)
        self.frame["price"] = self.frame["price"].astype(float)
        self.frame["stock"] = self.frame["stock"].astype(int)


# -- the ways to load -----------------------------------------------------------------------------


def psql_copy(url: str, data: Input) -> None:
    """Let psql copy the file: what the server and the protocol can do."""
    command = [str(postgres_folder() / "psql"), "-X", "-q", url, "-c", COPY]
    with data.path.open("rb") as file:
        subprocess.run(command, stdin=file, check=True)


def copy_bytes(db: Db, data: Input) -> None:
    """Run the snippet: blocks of the file, passed on."""
    file = io.BytesIO(data.csv)
    assert merge.copy_in(db, COPY, iter(partial(file.read, 65536), b"")) == ROWS


def copy_rows(db: Db, data: Input) -> None:
    """COPY with one Python tuple a row."""
    statement = "COPY products (tenant, sku, name, price, stock) FROM STDIN"
    with db.cursor().copy(statement) as copy:
        for row in data.tuples:
            copy.write_row(row)


def staging_merge(db: Db, data: Input, batch: int = 5000, rows: int = ROWS) -> None:
    """Run the snippet: batches, each judged and merged in a transaction."""
    import_id = str(uuid.uuid4())
    for at in range(0, rows, batch):
        with db.transaction():
            merge.load(
                db,
                data.rows[at : min(rows, at + batch)],
                import_id=import_id,
                tenant="acme",
                import_no=1,
            )


def whole_import(db: Db, data: Input) -> None:
    """Run the worker: blocks, records, batches, checkpoints, progress, and the end."""
    import_id = str(uuid.uuid4())
    with db.transaction():
        db.execute(
            "INSERT INTO imports (id, tenant, idempotency_key, sha256, state, bytes_total)"
            " VALUES (%s, 'acme', %s, '', 'queued', %s)",
            (import_id, import_id, len(data.upload)),
        )
        for at in range(0, len(data.upload), import_api.BLOCK):
            block = data.upload[at : at + import_api.BLOCK]
            db.execute("INSERT INTO import_blocks VALUES (%s, %s, %s)", (import_id, at, block))
    assert import_worker.run_slice(db, import_id, NoLease(), parse=parse, load=load)


class NoLease:
    """The queue's part is measured by itself."""

    def beat(self, _conn: Db) -> None:
        """Say nothing."""

    def complete(self, _conn: Db) -> None:
        """Say nothing."""


def parse(
    header: bytes, blocks: "Iterator[bytes]", line: int, at: int
) -> "Iterator[import_worker.Parsed]":
    """Wire the validator, as import_worker.tools does."""
    indexes = read_header(header, COLUMNS)
    for it in validate(split_lines(blocks), COLUMNS, indexes, line=line, offset=at):
        assert isinstance(it, Ok)
        yield import_worker.Parsed(it.line, it.end, it.values, None)


def load(
    db: Db,
    rows: Any,  # noqa: ANN401
    import_id: str,
    tenant: str,
    no: int,
) -> tuple[int, int, int, int]:
    """Wire the merge, as import_worker.tools does."""
    told = merge.load(db, rows, import_id=import_id, tenant=tenant, import_no=no)
    return tuple(told)  # type: ignore[return-value]


def unnest(db: Db, data: Input) -> None:
    """Upsert 5,000 rows a statement from arrays."""
    for at in range(0, ROWS, 5000):
        columns = list(zip(*data.tuples[at : at + 5000], strict=True))
        db.execute(
            "INSERT INTO products SELECT * FROM"
            " unnest(%s::text[], %s::text[], %s::text[], %s::numeric[], %s::int[])"
            " ON CONFLICT (tenant, sku) DO UPDATE SET name = excluded.name",
            [list(column) for column in columns],
        )


def executemany(db: Db, data: Input) -> None:
    """Call psycopg's executemany, which sends in pipeline mode, in one transaction."""
    with db.transaction(), db.cursor() as cur:
        cur.executemany("INSERT INTO products VALUES (%s, %s, %s, %s, %s)", data.tuples)


def by_copy(table: Any, conn: Any, keys: list[str], rows: "Iterable[tuple[Any, ...]]") -> None:  # noqa: ANN401 - as pandas calls it
    """Insert by COPY: pandas' guide offers such a callable as `method`."""
    names = ", ".join(keys)
    with conn.connection.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def to_sql(url: str, data: Input, method: Any = None, rows: int = FEW) -> None:  # noqa: ANN401
    """pandas.to_sql; its documentation offers method='multi' to send several rows a statement."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    # A statement has at most 65,535 parameters.
    size = 5000 if method else None
    data.frame[:rows].to_sql(
        "products", engine, if_exists="append", index=False, method=method, chunksize=size
    )
    engine.dispose()


def row_by_row(db: Db, data: Input) -> None:
    """Run the naive snippet on a fiftieth of the rows."""
    lines = (f"{row[1]},{row[2]}" for row in data.tuples[:FEWEST])
    naive_row_by_row.import_csv(db, 1, lines)


def one_transaction(db: Db, data: Input) -> None:
    """One INSERT a row, one commit at the end, on a quarter of the rows."""
    with db.transaction():
        for row in data.tuples[:FEW]:
            db.execute("INSERT INTO products VALUES (%s, %s, %s, %s, %s)", row)


def measure_loading(run: "Run", url: str, db: Db, data: Input) -> None:
    """Record rows per second of each way, in turns."""
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "psql COPY": (ROWS, partial(psql_copy, url, data)),
        "COPY, bytes": (ROWS, partial(copy_bytes, db, data)),
        "COPY, rows": (ROWS, partial(copy_rows, db, data)),
        "unnest upsert": (ROWS, partial(unnest, db, data)),
        "staging and merge": (ROWS, partial(staging_merge, db, data)),
        "whole import": (ROWS, partial(whole_import, db, data)),
        "executemany": (ROWS, partial(executemany, db, data)),
        "pandas.to_sql": (FEW, partial(to_sql, url, data)),
        "to_sql, multi": (FEW, partial(to_sql, url, data, "multi")),
        "to_sql, COPY": (ROWS, partial(to_sql, url, data, by_copy, ROWS)),
        "INSERTs, one commit": (FEW, partial(one_transaction, db, data)),
        "row by row": (FEWEST, partial(row_by_row, db, data)),
    }

    def emptied(way: Callable[[], object]) -> None:
        db.execute("TRUNCATE products, contacts")
        way()

    times = run.compare({name: partial(emptied, way) for name, (_, way) in ways.items()}, rounds=5)
    rates = {name: count / times[name].best for name, (count, _) in ways.items()}
    rows = [{"way": name, "rows per second": round(rate)} for name, rate in rates.items()]
    run.chart(
        "load",
        bars(rows, "way", "rows per second", width=180, digits=".2~s"),
        columns=["way", "rows per second"],
    )

    def ratio(key: str, name: str, base: str) -> None:
        counts = [ways[n][0] for n in (name, base)]
        each = [
            (counts[0] / a) / (counts[1] / b)
            for a, b in zip(times[name].seconds, times[base].seconds, strict=True)
        ]
        best = rates[name] / rates[base]
        note = f"rows per second of {name} against {base}; best of 5 rounds"
        run.value(key, best, "times", spread=(min(*each, best), max(*each, best)), note=note)

    ratio("copy-bytes-of-psql", "COPY, bytes", "psql COPY")
    ratio("copy-rows-of-psql", "COPY, rows", "psql COPY")
    ratio("merge-of-psql", "staging and merge", "psql COPY")
    ratio("import-of-psql", "whole import", "psql COPY")
    ratio("copy-bytes-of-to-sql", "COPY, bytes", "pandas.to_sql")
    ratio("merge-of-to-sql", "staging and merge", "pandas.to_sql")
    ratio("import-of-to-sql", "whole import", "pandas.to_sql")
    ratio("import-of-row", "whole import", "row by row")
    ratio("copy-bytes-of-row", "COPY, bytes", "row by row")
    ratio("copy-bytes-of-executemany", "COPY, bytes", "executemany")
    ratio("multi-of-to-sql", "to_sql, multi", "pandas.to_sql")


def measure_batch(run: "Run", db: Db, data: Input) -> None:
    """Record how the merge's speed depends on the rows of a batch."""
    sizes = (100, 500, 1000, 5000, 10_000, FEW)

    def emptied(size: int) -> None:
        db.execute("TRUNCATE products")
        staging_merge(db, data, size, FEW)

    times = run.compare({str(size): partial(emptied, size) for size in sizes}, rounds=5)
    rows = [
        {"rows a batch": size, "rows per second": round(FEW / times[str(size)].best)}
        for size in sizes
    ]
    run.chart("batch", line(rows, "rows a batch", "rows per second"), columns=list(rows[0]))
    quicker(run, "batch-5000-of-100", times["5000"], times["100"], "5,000 against 100 rows a batch")


def quicker(run: "Run", key: str, quick: Timing, slow: Timing, note: str) -> None:
    """Record how many times as long the slow one takes, by the best rounds."""
    ratios = [b / a for a, b in zip(quick.seconds, slow.seconds, strict=True)]
    best = slow.best / quick.best
    spread = (min(*ratios, best), max(*ratios, best))
    run.value(key, best, "times", spread=spread, note=f"{note}; best of 5 rounds")


# -- queues ---------------------------------------------------------------------------------------


def ours(db: Db, batch: int) -> float:
    """Work off empty jobs: claim a batch, complete each with the others in one transaction."""
    fill(db)
    began = time.perf_counter()
    left = JOBS
    while left:
        jobs = queue.claim(db, "k", batch)
        with db.transaction():
            for job in jobs:
                queue.complete(db, job)
        left -= len(jobs)
    return JOBS / (time.perf_counter() - began)


def fill(db: Db) -> None:
    """Enqueue empty jobs."""
    db.execute("TRUNCATE jobs")
    db.execute(
        "INSERT INTO jobs (kind, payload) SELECT 'k', '{}' FROM generate_series(1, %s)", (JOBS,)
    )
    db.execute("VACUUM ANALYZE jobs")


def four_workers(url: str, db: Db, how: str) -> float:
    """Four workers hold a job's lock for a millisecond of work each, waiting or skipping."""
    fill(db)
    done = [0] * 4

    def work(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            while sum(done) < JOBS // 4:
                with conn.transaction():
                    row = conn.execute(
                        f"SELECT id FROM jobs ORDER BY due, id LIMIT 1 FOR UPDATE {how}".encode()
                    ).fetchone()
                    if row:  # not, when the row it waited for is gone
                        time.sleep(0.001)
                        conn.execute("DELETE FROM jobs WHERE id = %s", row)
                        done[number] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def stream(redis_url: str) -> float:
    """Work off empty messages with the stream snippet."""
    from redis import Redis

    with Redis.from_url(redis_url, decode_responses=True) as redis:
        redis.flushdb()
        for n in range(JOBS):
            redis.xadd("s", {"n": n})
        consumer = StreamConsumer(redis, "s", "a", lambda _fields, _beat: None)
        began = time.perf_counter()
        for _ in range(JOBS):
            assert consumer.step()
        return JOBS / (time.perf_counter() - began)


def procrastinate_jobs(url: str) -> float:
    """Work off empty jobs with Procrastinate, one at a time."""
    import procrastinate

    async def run() -> float:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

        @app.task(name="nothing")  # type: ignore[untyped-decorator]
        async def nothing() -> None:
            pass

        async with app.open_async():
            if not await app.check_connection_async():
                await app.schema_manager.apply_schema_async()
            await nothing.batch_defer_async(*({} for _ in range(JOBS)))
            began = time.perf_counter()
            await app.run_worker_async(
                wait=False, concurrency=1, install_signal_handlers=False, listen_notify=False
            )
            return JOBS / (time.perf_counter() - began)

    return asyncio.run(run())


def celery_jobs(redis_url: str) -> float:
    """Work off empty tasks with Celery, one process, acknowledged late."""
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    app = Celery("measured", broker=redis_url)
    app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)
    moments: list[float] = []
    ended = threading.Event()

    @app.task(name="nothing", shared=False)  # type: ignore[untyped-decorator]
    def nothing() -> None:
        moments.append(time.perf_counter())
        if len(moments) == JOBS:
            ended.set()

    for _ in range(JOBS):
        app.send_task("nothing")
    with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
        assert ended.wait(120)
    app.close()
    return (JOBS - 1) / (moments[-1] - moments[0])  # without its start


def dramatiq_jobs(redis_url: str) -> float:
    """Work off empty messages with Dramatiq, one thread."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=redis_url)
    dramatiq.set_broker(broker)
    moments: list[float] = []

    def nothing() -> None:
        moments.append(time.perf_counter())

    actor = dramatiq.actor(nothing, broker=broker)
    for _ in range(JOBS):
        actor.send()
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    broker.join("default")
    worker.stop()
    broker.close()
    return (JOBS - 1) / (moments[-1] - moments[0])


def measure_queue(run: "Run", url: str, db: Db, redis_url: str) -> None:
    """Record jobs per second of each queue, in turns; the jobs do nothing."""
    run.packages("procrastinate", "celery", "dramatiq", "redis")
    queues: dict[str, Callable[[], float]] = {
        "SKIP LOCKED, 50 a claim": partial(ours, db, 50),
        "SKIP LOCKED, one": partial(ours, db, 1),
        "Streams": partial(stream, redis_url),
        "Dramatiq, Valkey": partial(dramatiq_jobs, redis_url),
        "Celery, Valkey": partial(celery_jobs, redis_url),
        "Procrastinate": partial(procrastinate_jobs, url),
    }
    rates: dict[str, list[float]] = {name: [] for name in queues}
    for number in range(3):
        for name, work in queues.items():
            rates[name].append(work())
            run.step(f"{name}, round {number + 1} of 3")
    rows = [{"queue": name, "jobs per second": round(max(found))} for name, found in rates.items()]
    run.chart(
        "queue",
        bars(rows, "queue", "jobs per second", width=180, digits=".2~s"),
        columns=["queue", "jobs per second"],
    )
    for key, name, base in (
        ("claim-50-of-1", "SKIP LOCKED, 50 a claim", "SKIP LOCKED, one"),
        ("skip-locked-of-procrastinate", "SKIP LOCKED, one", "Procrastinate"),
    ):
        each = [a / b for a, b in zip(rates[name], rates[base], strict=True)]
        best = max(rates[name]) / max(rates[base])
        run.value(key, best, "times", spread=(min(*each, best), max(*each, best)),
                  note=f"jobs per second of {name} against {base}; best of 3")  # fmt: skip
    each = []
    for number in range(3):
        waiting = four_workers(url, db, "")
        each.append(four_workers(url, db, "SKIP LOCKED") / waiting)
        run.step(f"locks, round {number + 1} of 3")
    run.median("skip-of-wait", each, "times", note="four workers, 1 ms of work under the lock")


# -- charts ---------------------------------------------------------------------------------------


def line(rows: list[dict[str, Any]], x: str, y: str) -> dict[str, Any]:
    """Specify a line with points; its x axis is logarithmic."""
    axis = {"tickCount": 5, "format": "~s"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 320,
        "height": 200,
        "data": {"values": rows},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": x, "type": "quantitative", "axis": axis, "scale": {"type": "log"}},
            "y": {"field": y, "type": "quantitative", "axis": axis},
        },
    }


@contextmanager
def tables(url: str) -> "Iterator[Db]":
    """Give a connection to a database with the scenario's tables."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(import_api.SCHEMA)
        db.execute(merge.SCHEMA)
        db.execute(queue.SCHEMA)
        db.execute("CREATE TABLE contacts (email text PRIMARY KEY, name text)")
        db.execute("CREATE TABLE job (id int, done int)")
        db.execute("INSERT INTO job VALUES (1, 0)")
        yield db


def measure(run: "Run") -> None:
    """Measure loading, the batch's size, and queues. Commits reach the disk."""
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.postgres(fsync="on", max_wal_size="8GB") as server,
        servers.valkey() as valkey,
        tables(server.url) as db,
    ):
        data = Input(Path(folder))
        measure_loading(run, server.url, db, data)
        measure_batch(run, db, data)
        measure_queue(run, server.url, db, valkey.url)


if __name__ == "__main__":
    sys.exit("run it by: make evidence SCENARIO=bulk-upload")
