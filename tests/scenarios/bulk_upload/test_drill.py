"""How bulk uploads fail, and what holds under the identical load."""

import asyncio
import csv
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from redis import Redis

from lab.eventually import eventually
from lab.process import spawn
from lab.race import race
from lab.story import Story
from snippets.bulk_upload import (
    import_api,
    import_worker,
    naive_fire_and_forget,
    naive_row_by_row,
    naive_select_then_update,
)
from snippets.bulk_upload import skip_locked_queue as queue
from snippets.bulk_upload.celery_import import make_celery
from snippets.bulk_upload.import_worker import OvertakenError, Parsed
from tests.scenarios.bulk_upload.imports import (
    HEADER,
    SNIPPETS,
    Db,
    count,
    good_rows,
    shown,
    store,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("beside")]
ROOT = Path(__file__).parents[3]


class Nothing:
    """A lease that is never lost."""

    def beat(self, _conn: Db) -> None:
        """Say nothing."""

    def complete(self, _conn: Db) -> None:
        """Say nothing."""


def import_all(db: Db, import_id: str, batch: int = 1000) -> None:
    assert import_worker.run_slice(db, import_id, Nothing(), **import_worker.tools(), batch=batch)


async def test_completed_means_that_the_rows_are_stored(db_url: str, db: Db, story: Story) -> None:
    """The status says "completed" while no row is stored; when the process ends, none ever is."""
    rows = good_rows(20_000)
    story.scene("a file of 20,000 rows, in batches of 1,000")
    db.execute("CREATE TABLE customers (id text, email text, price text, stock text)")
    job = naive_fire_and_forget.Job()
    async with AsyncConnectionPool(db_url) as pool:
        text = (row.decode() for row in rows)
        await naive_fire_and_forget.import_csv(pool, job, text)
        at_once, stored = job.in_flight, count(db, "customers")
        for task in job.tasks:  # asyncio.run cancels what is left when it ends
            task.cancel()
        await asyncio.gather(*job.tasks, return_exceptions=True)
    story.naive(f"says {job.status}", stored=stored, of=job.seen, batches_in_memory=at_once)
    assert (job.status, stored, at_once, job.seen) == ("completed", 0, 20, 20_000)
    assert count(db, "customers") == 0

    tools = import_worker.tools()
    import_id, held, most = store(db, HEADER + b"".join(rows)), 0, 0

    def parse(*arguments: object) -> Iterator[Parsed]:
        nonlocal held, most
        for record in tools["parse"](*arguments):
            held += 1
            most = max(most, held)
            yield record

    def load(*arguments: object) -> tuple[int, int, int, int]:
        nonlocal held
        held = 0
        told: tuple[int, int, int, int] = tools["load"](*arguments)
        return told

    assert import_worker.run_slice(db, import_id, Nothing(), parse=parse, load=load, batch=1000)
    state, stored = shown(db, import_id)["state"], count(db, "products")
    story.good(f"says {state}", stored=stored, of=20_000, batches_in_memory=most // 1000)
    assert (state, stored, most) == ("completed", 20_000, 1000)


async def test_progress_is_of_the_file_not_of_what_was_read(
    db_url: str, db: Db, story: Story
) -> None:
    """The bar divides what is done by what has been read, and stands near 100 % from the start."""
    db.execute("CREATE TABLE customers (id text, email text)")
    job = naive_fire_and_forget.Job(seen=1000)
    async with AsyncConnectionPool(db_url) as pool:
        story.scene("1,000 of 4,000 rows are done")
        await naive_fire_and_forget.insert(pool, job, [["1", "x"]] * 1000)
    story.naive("processed / seen", percent=job.percent)
    assert job.percent == 100

    body = HEADER + b"".join(good_rows(4000))
    import_id = store(db, body)
    assert not import_worker.run_slice(
        db, import_id, Nothing(), **import_worker.tools(), batch=1000, until=lambda: True
    )
    now = shown(db, import_id)
    percent = round(100 * now["bytes_done"] / now["bytes_total"])
    story.good("bytes done / bytes of the file", percent=percent)
    assert 24 <= percent <= 25


async def test_a_bad_row_costs_one_row(db_url: str, db: Db, story: Story) -> None:
    """One bad row in a batch of 1,000 loses the other 999, and nobody learns which it was."""
    rows = good_rows(10_000)
    for n in range(0, 10_000, 100):
        rows[n] = b"SKU-%06d,Product,1;50,1\n" % n
    story.scene("10,000 rows, every hundredth has a price of 1;50")
    db.execute("CREATE TABLE customers (id text, email text, price numeric, stock int)")
    job = naive_fire_and_forget.Job()
    async with AsyncConnectionPool(db_url) as pool:
        for at in range(0, 10_000, 1000):
            batch = list(csv.reader(row.decode() for row in rows[at : at + 1000]))
            job.seen += len(batch)
            await insert_all_columns(pool, job, batch)
    story.naive("an INSERT of 1,000 rows", stored=count(db, "customers"), failed=job.failed)
    assert (count(db, "customers"), job.failed) == (0, 10_000)

    import_id = store(db, HEADER + b"".join(rows))
    import_all(db, import_id)
    now = shown(db, import_id)
    first = db.execute('SELECT line, "column", code, value FROM rejects ORDER BY line').fetchone()
    story.good("staging and rules", stored=now["inserted"], rejected=now["rejected"],
               first=str(first))  # fmt: skip
    assert (now["inserted"], now["rejected"], count(db, "rejects")) == (9900, 100, 100)
    assert first == (2, "price", "number", "1;50")


async def insert_all_columns(
    pool: AsyncConnectionPool, job: naive_fire_and_forget.Job, batch: list[list[str]]
) -> None:
    """The naive insert, for four columns in place of two."""

    class FourColumns(psycopg.AsyncCursor[Any]):
        async def executemany(self, query: Any, params: Any, *, returning: bool = False) -> None:  # noqa: ANN401 - as in psycopg
            four = query.replace("(id, email) VALUES (%s, %s)", "VALUES (%s, %s, %s, %s)")
            await super().executemany(four, params, returning=returning)

    async with pool.connection() as conn:
        conn.cursor_factory = FourColumns
    await naive_fire_and_forget.insert(pool, job, batch)


async def test_a_retry_is_the_same_import(db_url: str, db: Db, story: Story) -> None:
    """The proxy gives up, the client sends the file again, and every row is stored twice."""
    rows = good_rows(300)
    story.scene("a client sends 300 rows, gets no answer, and sends them again")
    db.execute("CREATE TABLE contacts (email text, name text, price text, stock text)")
    db.execute("CREATE TABLE job (id int, done int)")
    db.execute("INSERT INTO job VALUES (1, 0)")
    pairs = [b",".join(row.split(b",")[:2]).decode() for row in rows]
    for _ in range(2):
        naive_row_by_row.import_csv(db, 1, pairs)
    story.naive("a POST that imports", stored=count(db, "contacts"))
    assert count(db, "contacts") == 600

    app = import_api.build(db_url)
    body = HEADER + b"".join(rows)
    headers = {"Idempotency-Key": "monday", "Content-Type": "text/csv"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="http://test",
            cookies={"tenant": "acme"},
            headers=headers,
        ) as client,
    ):
        both = await asyncio.gather(*(client.post("/imports", content=body) for _ in range(2)))
        late = await client.post("/imports", content=body)
    statuses = sorted(answer.status_code for answer in both)
    ids = {answer.json().get("id") for answer in (*both, late)} - {None}
    assert statuses in ([202, 202], [202, 409])
    assert late.status_code == 202
    stop = threading.Event()
    worker = threading.Thread(target=import_worker.work, args=(db_url, stop), kwargs={"idle": 0.01})
    worker.start()
    try:
        eventually(lambda: shown(db, ids.copy().pop())["state"] == "completed", 30)
    finally:
        stop.set()
        worker.join()
    story.good("an Idempotency-Key", imports=len(ids), stored=count(db, "products"))
    assert (len(ids), count(db, "imports"), count(db, "products")) == (1, 1, 300)


async def test_a_corrected_file_is_not_overwritten_by_the_one_before_it(
    db: Db, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The long old file stands in line again, and its last slices overwrite the correction."""
    import copy_staging_merge  # type: ignore[import-not-found,unused-ignore]  # as tools() does

    rows = good_rows(2000)
    corrected = rows[1500].replace(b"Product", b"Corrected")
    story.scene("2,000 rows; half way its customer sends a correction of row 1,500")

    def run(tenant: str) -> tuple[str, int, int]:
        old = store(db, HEADER + b"".join(rows), tenant=tenant)
        new = store(db, HEADER + corrected, tenant=tenant)
        half = import_worker.run_slice(
            db, old, Nothing(), **import_worker.tools(), batch=1000, until=lambda: True
        )
        assert not half
        import_all(db, new)  # its turn, between two slices of the old one
        import_all(db, old)
        row = db.execute(
            "SELECT name FROM products WHERE tenant = %s AND sku = 'SKU-001500'", (tenant,)
        ).fetchone()
        assert row is not None
        return row[0], shown(db, old)["updated"], shown(db, old)["stale"]

    guard = "WHERE p.import_no <= excluded.import_no"
    with monkeypatch.context() as patch:
        merge = copy_staging_merge.MERGE
        assert merge.count(guard) == 1
        patch.setattr(copy_staging_merge, "MERGE", merge.replace(guard, ""))
        name, updated, stale = run("naive")
    story.naive("an upsert: the last batch wins", name=name, updated=updated, stale=stale)
    assert (name, updated, stale) == ("Product 1500", 1, 0)

    name, updated, stale = run("good")
    story.good("an upsert that keeps the import's number", name=name, updated=updated, stale=stale)
    assert (name, updated, stale) == ("Corrected 1500", 0, 1)


async def test_a_job_is_claimed_once(
    db_url: str, db: Db, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight workers read the same job before one of them marks it, and all eight do it."""
    jobs, workers = 100, 8
    db.execute("CREATE TABLE tasks (id int, state text)")
    db.execute("INSERT INTO tasks SELECT n, 'ready' FROM generate_series(1, %s) AS n", (jobs,))
    together = threading.Barrier(workers, timeout=30)
    find = naive_select_then_update.find

    def find_together(conn: Db) -> int | None:
        together.wait()
        found = find(conn)
        together.wait()
        return found

    monkeypatch.setattr(naive_select_then_update, "find", find_together)
    story.scene(f"{jobs} jobs, {workers} workers that ask at the same moment")

    def naive(_: int) -> list[int]:
        claimed = []
        with psycopg.connect(db_url, autocommit=True) as conn:
            while (job := naive_select_then_update.claim(conn)) is not None:
                claimed.append(job)
        return claimed

    claims = [job for found in race(workers, naive) for job in found]
    story.naive("SELECT, then UPDATE", claims=len(claims), jobs=len(set(claims)))
    assert len(claims) == workers * jobs

    for _ in range(jobs):
        queue.enqueue(db, "k", {})

    def good(_: int) -> list[int]:
        claimed = []
        with psycopg.connect(db_url, autocommit=True) as conn:
            while found := queue.claim(conn, "k", 3):
                claimed += [job.id for job in found]
        return claimed

    claims = [job for found in race(workers, good) for job in found]
    story.good("FOR UPDATE SKIP LOCKED", claims=len(claims), jobs=len(set(claims)))
    assert len(claims) == len(set(claims)) == jobs


async def test_no_count_is_overwritten(
    db_url: str, db: Db, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers read the count, add to it and write it back over one another's."""
    workers, each = 8, 50
    db.execute("CREATE TABLE job (id int, done int)")
    db.execute("INSERT INTO job VALUES (1, 0)")
    together = threading.Barrier(workers, timeout=30)
    read = naive_row_by_row.read_progress

    def read_together(conn: Db, job_id: int) -> int:
        together.wait()
        done = read(conn, job_id)
        together.wait()
        return done

    monkeypatch.setattr(naive_row_by_row, "read_progress", read_together)
    story.scene(f"{workers} workers count {each} rows each")

    def naive(_: int) -> None:
        with psycopg.connect(db_url, autocommit=True) as conn:
            for _ in range(each):
                naive_row_by_row.add_progress(conn, 1, 1)

    race(workers, naive)
    done = read(db, 1)
    story.naive("read, add, write", counted=done, of=workers * each)
    assert done == each

    # The worst case for the good one: all eight are delivered the same import at once.
    import_id = store(db, HEADER + b"".join(good_rows(workers * each)))

    def good(_: int) -> int:
        overtaken = 0
        with psycopg.connect(db_url, autocommit=True) as conn:
            while True:
                try:
                    import_all(conn, import_id, batch=20)
                except OvertakenError:
                    overtaken += 1
                else:
                    return overtaken

    overtaken = sum(race(workers, good))
    now = shown(db, import_id)
    story.good("done = done + n where the place is still ours", counted=now["inserted"],
               of=workers * each, batches_undone=overtaken)  # fmt: skip
    assert now["inserted"] == count(db, "products") == workers * each
    assert (now["state"], now["updated"]) == ("completed", 0)


KILLED = """
import os, signal, sys, psycopg
sys.path.insert(0, "snippets/bulk_upload")
import import_worker, naive_row_by_row
how, url, moment = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if how == "naive":
    class Deadly(psycopg.Connection):
        count = 0
        def execute(self, query, *rest, **more):
            self.count += query.startswith("INSERT")
            if moment and self.count == 1500:
                die()
            return super().execute(query, *rest, **more)
    with open(sys.argv[0] if sys.argv[0] != "-c" else os.environ["FILE"]) as lines:
        with Deadly.connect(url, autocommit=True) as conn:
            naive_row_by_row.import_csv(conn, 1, lines)
else:
    import threading, skip_locked_queue
    beat, commit, stop, batches = skip_locked_queue.heartbeat, import_worker._commit, None, 0
    def in_batch(*a, **k):
        beat(*a, **k)
        if moment == "in the transaction" and batches == 3:
            die()
    def counted(*a, **k):
        global batches
        batches += 1
        done = commit(*a, **k)
        if moment == "behind the commit" and batches == 3:
            die()
        return done
    skip_locked_queue.heartbeat, import_worker._commit = in_batch, counted
    class Once(threading.Event):
        def wait(self, timeout=None):
            self.set()
    import_worker.work(url, Once(), lease=float(os.environ["LEASE"]), batch=500)
"""


@pytest.mark.beside
async def test_sigkill_in_mid_import_loses_no_row_and_doubles_none(
    db_url: str, db: Db, story: Story, tmp_path: Path
) -> None:
    """A deploy kills the worker; the import begins again and stores its first rows twice."""
    rows = good_rows(3000)
    rows[700] = b"one bad row\n"
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{n},x\n" for n in range(3000)))
    story.scene("3,000 rows; the worker gets SIGKILL half way, and is started again")

    def run(how: str, moment: str, lease: float = 0.0) -> int:
        environment = {"FILE": str(file), "LEASE": str(lease)}
        argv = [sys.executable, "-c", KILLED, how, db_url, moment]
        with spawn(argv, env=environment, cwd=ROOT) as child:
            output, _ = child.communicate(timeout=60)
        assert output == ""
        return int(child.returncode)

    db.execute("CREATE TABLE contacts (email text, name text)")
    db.execute("CREATE TABLE job (id int, done int)")
    db.execute("INSERT INTO job VALUES (1, 0)")
    assert run("naive", "half way") == -signal.SIGKILL
    assert run("naive", "") == 0
    story.naive("row by row, from the start again", stored=count(db, "contacts"), of=3000)
    assert count(db, "contacts") == 4499

    import_id = store(db, HEADER + b"".join(rows))
    seen = []
    for moment in ("in the transaction", "behind the commit"):
        # The lease has run out by the time of the restart, as after a real one.
        assert run("good", moment) == -signal.SIGKILL
        now = shown(db, import_id)
        assert count(db, "products") == now["inserted"]
        assert count(db, "rejects") == now["rejected"]
        seen.append(now["inserted"] + now["rejected"])
    assert seen == [1000, 2500]  # two batches of 500, then three more
    assert run("good", "", lease=60.0) == 0
    now = shown(db, import_id)
    story.good("rows, counts and place in one commit; killed in a batch, then behind a commit",
               after_each_kill=str(seen), stored=count(db, "products"),
               rejected=now["rejected"])  # fmt: skip
    assert (now["state"], now["inserted"], now["updated"]) == ("completed", 2999, 0)
    assert (count(db, "products"), count(db, "rejects"), count(db, "jobs")) == (2999, 1, 0)


async def test_a_poison_job_is_buried_and_no_job_hangs_for_ever(db: Db, story: Story) -> None:
    """A job that kills its worker stays "running" for ever; nobody takes it, nobody is told."""
    db.execute("CREATE TABLE tasks (id int, state text)")
    db.execute("INSERT INTO tasks SELECT n, 'ready' FROM generate_series(1, 3) AS n")
    story.scene("three jobs; the first kills every worker that takes it")
    died, done = 0, 0
    while (task := naive_select_then_update.claim(db)) is not None:
        if task == 1:
            died += 1  # the worker is gone: it can say nothing more
            continue
        db.execute("UPDATE tasks SET state = 'done' WHERE id = %s", (task,))
        done += 1
    states = Counter(state for (state,) in db.execute("SELECT state FROM tasks"))
    story.naive("a state without a lease", done=done, running_for_ever=states["running"])
    assert states == {"done": 2, "running": 1}

    for number in range(1, 4):
        queue.enqueue(db, "k", {"n": number})
    died, done = 0, 0
    for _ in range(12):
        for job in queue.claim(db, "k", lease=0.0):
            if job.payload["n"] == 1:
                died += 1
                continue
            queue.complete(db, job)
            done += 1
        queue.reap(db)
    dead = db.execute("SELECT payload ->> 'n', error FROM jobs WHERE dead").fetchall()
    story.good("lease, attempts, dead letter", done=done, workers_it_killed=died, dead=len(dead))
    assert (done, died, dead) == (2, 5, [("1", "no worker lived to tell")])


CONSUMER = """
import os, signal, sys, threading
from redis import Redis
from snippets.bulk_upload import naive_blpop
from snippets.bulk_upload.stream_consumer import StreamConsumer
how, url, name = sys.argv[1:]
redis = Redis.from_url(url, decode_responses=True)

def work(n):
    redis.rpush(f"{how}:started", n)
    if n in ("20", "40") and redis.incr(f"{how}:{n}") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    redis.rpush(f"{how}:done", n)

if how == "naive":
    while naive_blpop.step(redis, "naive", work):
        pass
else:
    consumer = StreamConsumer(
        redis, "good", name, lambda fields, beat: work(fields["n"]), min_idle_ms=1500)
    while redis.llen("good:done") < 60:
        consumer.step(100)
"""


@pytest.mark.beside
async def test_killed_workers_take_no_job_along(redis_url: str, story: Story) -> None:
    """Two of four workers get SIGKILL in mid-job, and their two jobs are gone."""
    redis = Redis.from_url(redis_url, decode_responses=True)
    for n in range(60):
        redis.rpush("naive", n)
        redis.xadd("good", {"n": n})
    story.scene("60 jobs, four workers; two of them get SIGKILL in mid-job")
    outcome: dict[str, list[int]] = {}
    with ExitStack() as stack:
        children = {
            how: [
                stack.enter_context(
                    spawn([sys.executable, "-c", CONSUMER, how, redis_url, f"worker {n}"], cwd=ROOT)
                )
                for n in range(4)
            ]
            for how in ("naive", "good")
        }
        said = [child.communicate(timeout=60)[0] for four in children.values() for child in four]
    assert set(said) == {""}
    for how, four in children.items():
        assert sorted(child.returncode for child in four) == [-9, -9, 0, 0]
        outcome[how] = [len(redis.lrange(f"{how}:{what}", 0, -1)) for what in ("started", "done")]
        done = redis.lrange(f"{how}:done", 0, -1)
        assert len(done) == len(set(done))
    story.naive("BLPOP", started=outcome["naive"][0], done=outcome["naive"][1])
    story.good("a stream and XAUTOCLAIM", started=outcome["good"][0], done=outcome["good"][1])
    assert outcome == {"naive": [60, 58], "good": [62, 60]}
    assert redis.xlen("good") == 0
    redis.close()


CELERY = """
import os, signal, sys
sys.path.insert(0, os.environ["SNIPPETS"])
import import_worker, psycopg
from celery import Celery
from redis import Redis
from celery_import import build
broker, url = os.environ["BROKER"], os.environ["DATABASE"]
redis = Redis.from_url(broker)
tools = import_worker.tools()

def load(conn, rows, import_id, tenant, no):
    told = tools["load"](conn, rows, import_id, tenant, no)
    if rows[0][0] == 102 and import_id == redis.get("victim:" + os.environ["APP"]).decode():
        if redis.incr("deaths:" + os.environ["APP"]) == 1:
            os.kill(os.getpid(), signal.SIGKILL)  # stored, not committed
    if tenant == "good poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return told

import_worker.tools = lambda: {**tools, "load": load, "batch": 100}
app = build(broker, url)
app.conf.update(task_default_queue=os.environ["APP"], worker_prefetch_multiplier=1)
app.tasks["import_slice"].default_retry_delay = 0.1
if os.environ["APP"] == "naive":
    run = app.tasks["import_slice"].run
    app = Celery("naive", broker=broker)  # as it comes
    app.conf.task_default_queue = "naive"

    @app.task(name="import_slice", shared=False)
    def import_slice(import_id):
        run(import_id)
"""


@pytest.mark.beside
async def test_celery_hands_the_task_of_a_killed_worker_to_another(
    db: Db, db_url: str, redis_url: str, story: Story, tmp_path: Path
) -> None:
    """Celery acknowledges before it works: a killed worker process takes its import along."""
    (tmp_path / "deployed.py").write_text(CELERY)
    redis = Redis.from_url(redis_url, decode_responses=True)
    story.scene("10 imports of 300 rows, two worker processes; one gets SIGKILL in mid-batch")
    story.scene("and for the good one an eleventh import that kills whoever works on it")
    sender = make_celery(redis_url, lambda _: True, lambda _id, _why: None)
    logs = {name: tmp_path / f"{name}.log" for name in ("naive", "good")}
    for name in logs:
        body = HEADER + b"".join(good_rows(300))
        ids = [store(db, body, tenant=f"{name} {n}", enqueue=False) for n in range(10)]
        redis.set(f"victim:{name}", ids[4])
        for import_id in ids:
            sender.send_task("import_slice", (import_id,), queue=name)
    poison = store(db, HEADER + b"".join(good_rows(300)), tenant="good poison", enqueue=False)
    sender.send_task("import_slice", (poison,), queue="good")
    sender.close()

    def states(name: str) -> Counter[str]:
        query = "SELECT state FROM imports WHERE tenant LIKE %s"
        return Counter(state for (state,) in db.execute(query, (f"{name} %",)))

    def settled() -> bool:
        said = logs["naive"].read_text() if logs["naive"].exists() else ""
        waiting = redis.llen("naive") + redis.llen("good") + redis.hlen("unacked")
        ended = states("naive")["completed"], states("good")["completed"]
        # Celery's last word on the lost task, and nothing left that could bring it back.
        return (
            "WorkerLostError" in said
            and not waiting
            and (ended == (9, 10) and states("good")["failed"] == 1)
        )

    with ExitStack() as stack:
        for name, log in logs.items():
            options = (
                "-A deployed worker -c 2 --without-gossip --without-mingle --without-heartbeat"
            )
            argv = [sys.executable, "-m", "celery", *options.split(), "-l", "info", "-f", str(log)]
            environment = {"APP": name, "BROKER": redis_url, "DATABASE": db_url,
                           "SNIPPETS": str(SNIPPETS), "C_FORCE_ROOT": "1"}  # fmt: skip
            stack.enter_context(spawn(argv, env=environment, cwd=tmp_path))
        eventually(settled, 120)
    message = "Worker exited prematurely: signal 9 (SIGKILL)"
    assert all(message in log.read_text() for log in logs.values())
    starts = {name: log.read_text().count("] received") for name, log in logs.items()}

    def rows(name: str) -> int:
        found = db.execute("SELECT count(*) FROM products WHERE tenant LIKE %s", (f"{name} %",))
        return sum(number for (number,) in found)

    story.naive("Celery as it comes", starts=starts["naive"], running_for_ever=1,
                rows=rows("naive"), of=3000)  # fmt: skip
    assert states("naive") == {"completed": 9, "running": 1}
    assert (starts["naive"], rows("naive")) == (10, 9 * 300 + 100)

    story.good("acks_late; a lost worker counts as a retry", starts=starts["good"],
               completed=10, rows=rows("good"), of=3000)  # fmt: skip
    assert states("good") == {"completed": 10, "failed": 1}
    # One redelivery, and five deliveries of the poison, of which no batch was ever committed.
    assert (starts["good"], rows("good")) == (16, 3000)
    assert "WorkerLostError" in str(shown(db, poison)["error"])
    updated = db.execute("SELECT sum(updated) FROM imports WHERE tenant LIKE 'good %'").fetchone()
    assert updated == (0,)
    redis.close()
