"""The worker: every batch is there with its counts and its place, or not at all."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import errors

from lab.eventually import eventually
from snippets.bulk_upload import import_worker
from snippets.bulk_upload import skip_locked_queue as queue
from snippets.bulk_upload.import_worker import OvertakenError, read_from, run_slice, work
from tests.scenarios.bulk_upload.imports import HEADER, Db, count, good_rows, shown, store

pytestmark = pytest.mark.usefixtures("beside")

Told = tuple[int, int, int, int]


class Held:
    """A lease that does what the test says at each beat."""

    def __init__(self, at_beat: Callable[[int, Db], None] = lambda _n, _conn: None) -> None:
        self.beats = 0
        self.completed = 0
        self._at_beat = at_beat

    def beat(self, conn: Db) -> None:
        self.beats += 1
        self._at_beat(self.beats, conn)

    def complete(self, _conn: Db) -> None:
        self.completed += 1


def go_on(db: Db, import_id: str, held: Held, **options: Any) -> bool:  # noqa: ANN401 - as run_slice takes
    return run_slice(db, import_id, held, **import_worker.tools(), **{"batch": 100, **options})


def test_a_file_is_stored_counted_and_its_blocks_are_freed(db: Db) -> None:
    rows = good_rows(950)
    rows[10] = b'bad sku,"n",1,1\n'
    rows[20] = b"SKU-1,too few\n"
    rows[30] = b"SKU-000029,again,1,1\n"  # the key of the row before it
    body = HEADER + b"".join(rows) + b"\n\n"
    import_id, held = store(db, body, block=777), Held()
    assert go_on(db, import_id, held)
    assert shown(db, import_id) == {
        "state": "completed", "inserted": 947, "updated": 0, "rejected": 3, "stale": 0,
        "bytes_done": len(body), "bytes_total": len(body), "error": None,
    }  # fmt: skip
    assert (held.beats, held.completed) == (10, 1)
    assert count(db, "products") == 947
    assert count(db, "import_blocks") == 0
    refused = db.execute("SELECT line, code FROM rejects ORDER BY line").fetchall()
    assert refused == [(12, "format"), (22, "columns"), (31, "duplicate")]


def test_an_error_at_any_batch_leaves_whole_batches_and_the_next_run_the_rest(db: Db) -> None:
    class Killed(BaseException):
        pass

    def die(n: int, _: Db) -> None:
        if n == 2:
            raise Killed

    rows = good_rows(400)
    for n in (50, 150, 250):
        rows[n] = b"no commas\n"
    import_id = store(db, HEADER + b"".join(rows))
    for batches in range(1, 4):
        with pytest.raises(Killed):
            go_on(db, import_id, Held(die))
        now = shown(db, import_id)
        assert now["inserted"] + now["rejected"] == 100 * batches
        assert count(db, "products") == now["inserted"]
        assert count(db, "rejects") == now["rejected"] == batches
    assert go_on(db, import_id, Held())
    assert shown(db, import_id)["inserted"] == count(db, "products") == 397


def test_of_two_workers_on_one_import_one_is_overtaken(db_url: str, db: Db) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(250)))

    def overtake() -> bool:
        with psycopg.connect(db_url, autocommit=True) as other:
            return not go_on(other, import_id, Held(), until=lambda: True)

    assert not go_on(db, import_id, Held(), until=lambda: True)
    tools = import_worker.tools()
    loaded: list[bool] = []

    def load(*arguments: object) -> Told:
        if not loaded:  # this worker has read the place, and hangs before it stores
            loaded.append(overtake())
        told: Told = tools["load"](*arguments)
        return told

    with pytest.raises(OvertakenError):
        run_slice(db, import_id, Held(), parse=tools["parse"], load=load, batch=100)
    assert loaded == [True]
    now = shown(db, import_id)
    assert (now["state"], now["inserted"], now["updated"]) == ("running", 200, 0)
    assert go_on(db, import_id, Held())
    assert shown(db, import_id)["inserted"] == count(db, "products") == 250


def test_a_cancelled_import_stops_at_the_next_batch_and_is_not_completed(
    db_url: str, db: Db
) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(300)))

    def cancel() -> bool:
        with psycopg.connect(db_url, autocommit=True) as other:
            other.execute("UPDATE imports SET state = 'cancelled' WHERE id = %s", (import_id,))
        return False

    with pytest.raises(OvertakenError):
        go_on(db, import_id, Held(), until=cancel)
    assert count(db, "products") == 100
    assert shown(db, import_id)["state"] == "cancelled"
    assert count(db, "import_blocks") > 0
    held = Held()
    assert go_on(db, import_id, held)
    assert (held.beats, held.completed) == (0, 0)
    assert count(db, "import_blocks") == 0


def test_an_import_cancelled_behind_its_last_batch_stays_cancelled(db_url: str, db: Db) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(10)))

    def cancel() -> bool:
        with psycopg.connect(db_url, autocommit=True) as other:
            other.execute("UPDATE imports SET state = 'cancelled' WHERE id = %s", (import_id,))
        return False

    with pytest.raises(OvertakenError):
        go_on(db, import_id, Held(), until=cancel)
    assert shown(db, import_id)["state"] == "cancelled"


def test_a_lost_lease_undoes_the_batch(db: Db) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(100)))

    def lost(_: int, __: Db) -> None:
        raise queue.LeaseLostError

    with pytest.raises(queue.LeaseLostError):
        go_on(db, import_id, Held(lost))
    assert (count(db, "products"), shown(db, import_id)["bytes_done"]) == (0, 0)


@pytest.mark.parametrize(
    ("body", "error", "stored"),
    [
        (b"sku,price\nA,1\n", "column 'name' is missing; column 'stock' is missing", 0),
        (HEADER + b"x\n" * 5, "over 3 rows were rejected", 0),
        (b"", "column 'sku' is missing", 0),
    ],
)
def test_a_file_that_is_refused_as_a_whole_fails_once(
    db: Db, body: bytes, error: str, stored: int
) -> None:
    import_id, held = store(db, body), Held()
    assert go_on(db, import_id, held, max_rejects=3)
    now = shown(db, import_id)
    assert now["state"] == "failed"
    assert now["error"].startswith(error)
    assert held.completed == 1
    assert count(db, "products") == stored


def test_a_file_without_rows_is_complete(db: Db) -> None:
    import_id = store(db, HEADER)
    assert go_on(db, import_id, Held())
    now = shown(db, import_id)
    assert (now["state"], now["bytes_done"]) == ("completed", len(HEADER))


def test_a_file_can_be_read_from_any_byte(db: Db) -> None:
    body = bytes(range(100))
    import_id = store(db, body, block=7)
    assert [b"".join(read_from(db, import_id, at, 100)) for at in (0, 1, 7, 99, 100, 200)] == [
        body, body[1:], body[7:], body[99:], b"", b"",
    ]  # fmt: skip


def test_a_file_with_a_block_missing_is_not_completed(db: Db) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(200)), block=1000)
    db.execute("DELETE FROM import_blocks WHERE at = 4000")
    assert go_on(db, import_id, Held())
    now = shown(db, import_id)
    assert (now["state"], now["error"]) == ("failed", "the block with byte 4000 is missing")
    assert 0 < now["inserted"] < 200
    assert now["bytes_done"] < 4000


def test_a_nul_costs_its_row(db: Db) -> None:
    import_id = store(db, HEADER + b"A,fine,1,1\nB,a\0b,1,1\nC,fine,1,1\n")
    assert go_on(db, import_id, Held())
    assert (shown(db, import_id)["inserted"], shown(db, import_id)["rejected"]) == (2, 1)
    refused = db.execute('SELECT line, "column", code, value FROM rejects').fetchall()
    assert refused == [(3, "name", "nul", "a\ufffdb")]


def test_a_batch_is_bounded_in_bytes_too(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_worker, "MAX_BATCH", 1000)
    rows = [b"S-%03d,%s,1,1\n" % (n, b"n" * 49) for n in range(100)]  # 60 bytes each
    import_id, held = store(db, HEADER + b"".join(rows)), Held()
    assert go_on(db, import_id, held, batch=5000)
    assert (held.beats, shown(db, import_id)["inserted"]) == (6, 100)


def test_a_bomb_of_empty_lines_ends_the_import(db: Db) -> None:
    import_id, held = store(db, HEADER + b"\n" * 3000), Held()
    assert go_on(db, import_id, held, max_rejects=500)
    assert shown(db, import_id)["error"] == "over 500 rows were rejected"
    assert held.beats == 6


def test_when_each_claim_undoes_the_batch_before_it_nothing_is_stored_and_the_job_dies(
    db_url: str, db: Db
) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(10)))
    tools = import_worker.tools()
    lost: list[int] = []

    def claims() -> None:
        """Take the job under a lease that ends before the batch does."""
        with psycopg.connect(db_url, autocommit=True) as conn:
            jobs = queue.claim(conn, "import", lease=0.0)
            if not jobs:  # as work() does each minute
                assert queue.reap(conn)
                conn.execute(import_worker.BURY)
            for job in jobs:
                mine = import_worker._Lease(queue, job, 0.0)
                with pytest.raises((OvertakenError, queue.LeaseLostError)):
                    run_slice(conn, import_id, mine, parse=tools["parse"], load=slow)
                lost.append(job.attempts)

    def slow(*arguments: object) -> Told:
        claims()  # by another worker, in mid-batch
        told: Told = tools["load"](*arguments)
        return told

    claims()
    assert lost == [5, 4, 3, 2, 1]
    now = shown(db, import_id)
    assert (now["state"], now["error"]) == ("failed", "no worker lived to tell")
    assert (count(db, "products"), now["bytes_done"]) == (0, 0)


def is_in(db: Db, import_id: str, state: str) -> bool:
    return bool(shown(db, import_id)["state"] == state)


def in_thread(url: str, stop: threading.Event, **options: float) -> threading.Thread:
    thread = threading.Thread(target=work, args=(url, stop), kwargs={"idle": 0.01, **options})
    thread.start()
    return thread


def test_workers_share_imports_and_a_small_one_does_not_wait_for_a_large_one(
    db_url: str, db: Db
) -> None:
    large = store(db, HEADER + b"".join(good_rows(3000)), tenant="large")
    killer = store(db, HEADER + b"".join(good_rows(1)), tenant="killer")
    db.execute("UPDATE jobs SET attempts = 5 WHERE payload ->> 'import_id' = %s", (killer,))
    small = store(db, HEADER + b"".join(good_rows(5)), tenant="small")
    stop = threading.Event()
    # A slice of no length is one batch: the large import stands in line again after it.
    thread = in_thread(db_url, stop, slice_=0.0, batch=10)
    try:
        eventually(lambda: shown(db, small)["state"] == "completed", 30)
        assert shown(db, killer)["state"] == "failed"
        assert shown(db, large)["state"] == "running"
    finally:
        stop.set()
        thread.join()
    before = shown(db, large)["inserted"]
    assert 0 < before < 3000
    stop.clear()
    thread = in_thread(db_url, stop)
    try:
        eventually(lambda: shown(db, large)["state"] == "completed", 30)
    finally:
        stop.set()
        thread.join()
    assert shown(db, large)["inserted"] == 3000
    assert count(db, "jobs") == 1  # the dead one


def test_a_poison_import_is_failed_after_its_attempts_and_others_go_on(db_url: str, db: Db) -> None:
    db.execute("ALTER TABLE products ADD CHECK (name <> 'forbidden')")
    poison = store(db, HEADER + b"A,forbidden,1,1\n")
    good = store(db, HEADER + b"B,fine,1,1\n")
    db.execute("UPDATE jobs SET max_attempts = 1 WHERE payload ->> 'import_id' = %s", (poison,))
    killer = store(db, HEADER + b"C,fine,1,1\n")
    db.execute("UPDATE jobs SET attempts = 5 WHERE payload ->> 'import_id' = %s", (killer,))
    gone = store(db, HEADER, enqueue=False)
    db.execute("UPDATE imports SET state = 'cancelled' WHERE id = %s", (gone,))
    queue.enqueue(db, "import", {"import_id": gone})
    stop = threading.Event()
    thread = in_thread(db_url, stop)
    try:
        for import_id, state in ((good, "completed"), (poison, "failed"), (killer, "failed")):
            eventually(partial(is_in, db, import_id, state), 30)
        eventually(lambda: count(db, "jobs") == 2, 30)  # the dead ones, to be looked at
    finally:
        stop.set()
        thread.join()
    assert "violates check constraint" in shown(db, poison)["error"]
    assert shown(db, killer)["error"] == "no worker lived to tell"
    assert count(db, "jobs") == 2


def until_it_is(db: Db, db_url: str, import_id: str, state: str, **options: float) -> None:
    stop = threading.Event()
    thread = in_thread(db_url, stop, **options)
    try:
        eventually(lambda: is_in(db, import_id, state) or not thread.is_alive(), 30)
        assert is_in(db, import_id, state)
    finally:
        stop.set()
        thread.join()


def test_a_dead_import_goes_on_where_it_stood_once_its_cause_is_mended(db_url: str, db: Db) -> None:
    db.execute("ALTER TABLE products ADD CONSTRAINT rule CHECK (name <> 'Product 9')")
    import_id = store(db, HEADER + b"".join(good_rows(20)))
    db.execute("UPDATE jobs SET max_attempts = 1")
    until_it_is(db, db_url, import_id, "failed", batch=5)
    assert shown(db, import_id)["inserted"] == 5
    db.execute("ALTER TABLE products DROP CONSTRAINT rule")
    assert import_worker.redrive(db, import_id)
    assert shown(db, import_id)["error"] is None
    until_it_is(db, db_url, import_id, "completed", batch=5)
    now = shown(db, import_id)
    assert (now["inserted"], now["updated"], count(db, "jobs")) == (20, 0, 0)
    assert not import_worker.redrive(db, import_id)
    assert shown(db, import_id)["state"] == "completed"


def test_a_dead_job_says_nothing_about_an_import_that_was_cancelled(db: Db) -> None:
    import_id = store(db, HEADER)
    db.execute("UPDATE jobs SET dead = true, due = now() + interval '1 hour'")
    db.execute("UPDATE imports SET state = 'cancelled'")
    db.execute(import_worker.BURY)
    assert is_in(db, import_id, "cancelled")
    assert import_worker.redrive(db, import_id)
    assert is_in(db, import_id, "cancelled")
    assert len(queue.claim(db, "import")) == 1  # at once; the worker drops it and frees the blocks


@pytest.mark.parametrize("attempts", [0, 5])
def test_a_row_that_somebody_holds_ends_no_worker(db_url: str, db: Db, attempts: int) -> None:
    held = store(db, HEADER + b"".join(good_rows(1)))
    db.execute("UPDATE jobs SET max_attempts = 1, attempts = %s", (attempts,))
    good = store(db, HEADER + b"".join(good_rows(1)))
    with psycopg.connect(db_url) as other:
        other.execute("UPDATE imports SET error = 'looked at' WHERE id = %s", (held,))
        until_it_is(db, db_url, good, "completed", lease=1.0)
    assert not is_in(db, held, "failed")
    db.execute("UPDATE jobs SET due = now()")
    until_it_is(db, db_url, held, "failed")


@pytest.mark.parametrize("attempts", [0, 5])
def test_a_job_does_not_die_without_its_import(
    db_url: str, db: Db, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    db.execute("ALTER TABLE products ADD CHECK (name <> 'Product 0')")
    store(db, HEADER + b"".join(good_rows(1)))
    db.execute("UPDATE jobs SET max_attempts = 1, attempts = %s", (attempts,))
    one_dead = "SELECT 1 / (count(*) - 1) FROM jobs WHERE dead"
    monkeypatch.setattr(import_worker, "BURY", one_dead)
    with pytest.raises(errors.DivisionByZero):  # as if it were killed there
        work(db_url, threading.Event())
    assert db.execute("SELECT dead FROM jobs").fetchall() == [(False,)]


def test_a_batch_that_waits_for_a_lock_fails_within_its_lease(db_url: str, db: Db) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(10)))
    db.execute("UPDATE jobs SET max_attempts = 1")
    # What lock_timeout does not end in time, this does, and with another reason.
    bounded = f"{db_url}?options=-c%20statement_timeout%3D1800ms"
    with psycopg.connect(db_url) as other:
        other.execute("LOCK TABLE products")
        until_it_is(db, bounded, import_id, "failed", lease=2.0)
    assert "lock timeout" in shown(db, import_id)["error"]


def test_a_worker_that_lost_its_lease_drops_the_job(
    db_url: str, db: Db, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(10)))
    import skip_locked_queue  # type: ignore[import-not-found,unused-ignore]  # as work() does

    real = skip_locked_queue.heartbeat
    stop = threading.Event()

    def hangs(conn: Db, job: queue.Job, *, lease: float) -> None:
        monkeypatch.setattr(skip_locked_queue, "heartbeat", real)
        with psycopg.connect(db_url, autocommit=True) as other:
            other.execute("UPDATE jobs SET token = token + 1, due = now() + interval '1 hour'")
        real(conn, job, lease=lease)

    monkeypatch.setattr(skip_locked_queue, "heartbeat", hangs)
    thread = in_thread(db_url, stop)
    try:
        eventually(lambda: skip_locked_queue.heartbeat is real, 30)
    finally:
        stop.set()
        thread.join()
    assert "somebody else has it" in capsys.readouterr().err
    assert shown(db, import_id)["inserted"] == 0


def test_an_error_under_a_lost_lease_is_told_to_nobody(
    db_url: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(db, HEADER + b"".join(good_rows(10)))
    import skip_locked_queue  # type: ignore[import-not-found,unused-ignore]

    stop = threading.Event()

    def breaks(*_: object, **__: object) -> None:
        with psycopg.connect(db_url, autocommit=True) as other:
            other.execute("UPDATE jobs SET token = token + 1, due = now() + interval '1 hour'")
        stop.set()
        raise errors.SerializationFailure

    monkeypatch.setattr(skip_locked_queue, "heartbeat", breaks)
    work(db_url, stop, idle=0.01)
    assert db.execute("SELECT error, attempts FROM jobs").fetchall() == [(None, 1)]


def test_a_worker_that_is_told_to_stop_does_so_behind_its_next_commit(
    db_url: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(100)))
    import skip_locked_queue  # type: ignore[import-not-found,unused-ignore]

    real = skip_locked_queue.heartbeat
    stop = threading.Event()

    def told(conn: Db, job: queue.Job, *, lease: float) -> None:
        stop.set()
        left = conn.execute("SELECT due > now() + interval '400 s' FROM jobs").fetchall()
        assert left == [(True,)]  # of the lease that was asked for
        real(conn, job, lease=lease)

    monkeypatch.setattr(skip_locked_queue, "heartbeat", told)
    work(db_url, stop, lease=500.0, slice_=60.0, batch=10)
    assert shown(db, import_id)["inserted"] == 10
    assert len(queue.claim(db, "import")) == 1  # given back: nobody waits for the lease


def test_sigterm_stops_a_worker(db_url: str, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: dict[int, Callable[..., None]] = {}
    monkeypatch.setattr(signal, "signal", handlers.setdefault)
    import_id = store(db, HEADER + b"".join(good_rows(10)))
    thread = threading.Thread(target=import_worker.serve, args=(db_url,))
    thread.start()
    try:
        eventually(lambda: shown(db, import_id)["state"] == "completed", 30)
    finally:
        handlers[signal.SIGTERM](15, None)
        thread.join(20)
    assert not thread.is_alive()


def test_the_demo_goes_on_behind_the_kill(
    db_url: str, demo: Callable[..., list[str]], refused: Callable[[str, str], None]
) -> None:
    assert demo("import_worker", DATABASE_URL=db_url) == [
        "killed:  ('running', 200, 200)",
        "completed",
        "resumed: ('completed', 1000, 1000)",
        "stored:  1000 rows",
    ]
    refused("import_worker", "DATABASE_URL")
