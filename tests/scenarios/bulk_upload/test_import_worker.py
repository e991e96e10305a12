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
        "state": "completed", "inserted": 947, "updated": 0, "rejected": 3,
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

    def load(*arguments: object) -> tuple[int, int, int]:
        if not loaded:  # this worker has read the place, and hangs before it stores
            loaded.append(overtake())
        inserted, updated, rejected = tools["load"](*arguments)
        return inserted, updated, rejected

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
    assert [b"".join(read_from(db, import_id, at)) for at in (0, 1, 7, 99, 100, 200)] == [
        body, body[1:], body[7:], body[99:], b"", b"",
    ]  # fmt: skip


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
    small = store(db, HEADER + b"".join(good_rows(5)), tenant="small")
    stop = threading.Event()
    # A slice of no length is one batch: the large import stands in line again after it.
    thread = in_thread(db_url, stop, slice_=0.0, batch=10)
    try:
        eventually(lambda: shown(db, small)["state"] == "completed", 30)
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
    assert count(db, "jobs") == 0


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
    finally:
        stop.set()
        thread.join()
    assert "violates check constraint" in shown(db, poison)["error"]
    assert shown(db, killer)["error"] == "no worker lived to tell"
    assert count(db, "jobs") == 2  # the dead ones, to be looked at


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
