"""A queue that loses nothing: each job is done once, or dead and to be seen."""

import random
from collections.abc import Callable

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from snippets.bulk_upload import skip_locked_queue as queue
from snippets.bulk_upload.skip_locked_queue import Job, LeaseLostError
from tests.scenarios.bulk_upload.imports import Db, count

NOW = 0.0  # a lease that has ended when it begins


def add(db: Db, n: int = 1) -> None:
    for number in range(n):
        assert queue.enqueue(db, "k", {"n": number}) is not None


def claim(db: Db, n: int = 1, lease: float = 60.0) -> list[Job]:
    return queue.claim(db, "k", n, lease=lease)


def test_jobs_come_in_order_with_their_payload_and_only_once(db: Db) -> None:
    add(db, 5)
    jobs = [*claim(db, 2), *claim(db, 10)]
    assert [job.payload["n"] for job in jobs] == [0, 1, 2, 3, 4]
    assert {(job.attempts, job.token) for job in jobs} == {(1, 1)}
    assert claim(db) == []


def test_another_kind_is_not_seen(db: Db) -> None:
    add(db)
    assert queue.claim(db, "other") == []


def test_a_dedupe_key_admits_one_job_as_long_as_that_lives(db: Db) -> None:
    assert queue.enqueue(db, "k", {}, dedupe_key="x") is not None
    assert queue.enqueue(db, "k", {}, dedupe_key="x") is None
    queue.complete(db, claim(db)[0])
    assert queue.enqueue(db, "k", {}, dedupe_key="x") is not None


def test_a_job_is_enqueued_with_the_transaction_or_not_at_all(db: Db) -> None:
    with db.transaction(force_rollback=True):
        add(db)
    assert count(db, "jobs") == 0


def test_a_claim_passes_over_jobs_that_are_being_claimed(db_url: str, db: Db) -> None:
    add(db, 3)
    with psycopg.connect(db_url) as other, psycopg.connect(db_url, autocommit=True) as third:
        third.execute("SET statement_timeout = '5s'")
        first = claim(other, 2)  # not committed
        assert [job.payload["n"] for job in claim(third, 3)] == [2]
        other.rollback()
        assert [job.id for job in claim(third, 3)] == [job.id for job in first]


def test_a_spent_lease_can_settle_nothing(db: Db) -> None:
    add(db)
    (old,) = claim(db, lease=NOW)
    (new,) = claim(db)
    for settle in (queue.complete, queue.heartbeat, queue.release):
        with pytest.raises(LeaseLostError, match="token 1"):
            settle(db, old)
    with pytest.raises(LeaseLostError):
        queue.fail(db, old, "late")
    queue.heartbeat(db, new)
    queue.complete(db, new)
    with pytest.raises(LeaseLostError):
        queue.complete(db, new)
    assert count(db, "jobs") == 0


def test_a_heartbeat_keeps_the_job(db: Db) -> None:
    add(db)
    (job,) = claim(db, lease=NOW)
    queue.heartbeat(db, job)
    assert claim(db) == []
    queue.heartbeat(db, job, lease=NOW)
    assert [again.attempts for again in claim(db)] == [2]


def test_a_released_job_goes_to_the_end_and_its_attempts_start_anew(db: Db) -> None:
    add(db, 2)
    (first,) = claim(db)
    queue.release(db, first)
    jobs = [*claim(db), *claim(db)]
    assert [(job.payload["n"], job.attempts) for job in jobs] == [(1, 1), (0, 1)]


def due_in(db: Db) -> float:
    row = db.execute("SELECT extract(epoch FROM due - clock_timestamp()) FROM jobs").fetchone()
    assert row is not None
    return float(row[0])


@pytest.mark.parametrize(("attempts", "low", "high"), [(1, 50, 100), (3, 200, 400), (9, 300, 600)])
def test_the_pause_after_a_failure_doubles_up_to_a_bound(
    db: Db, attempts: int, low: float, high: float
) -> None:
    add(db)
    (job,) = claim(db)
    queue.fail(db, Job(job.id, {}, attempts, job.token), "no", backoff=100.0)
    assert low - 5 <= due_in(db) <= high


def test_half_of_the_pause_is_random(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[tuple[float, float]] = []

    def least(low: float, high: float) -> float:
        shares.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", least)
    add(db)
    queue.fail(db, claim(db)[0], "no", backoff=100.0)
    assert shares == [(0.5, 1.0)]
    assert 45 < due_in(db) <= 50


def test_a_poison_job_dies_after_its_attempts_and_others_go_on(db: Db) -> None:
    add(db, 2)
    done: list[int] = []
    for _ in range(6):
        for job in claim(db):
            if job.payload["n"] == 0:
                queue.fail(db, job, "poison " * 100, backoff=0.0)
            else:
                queue.complete(db, job)
                done.append(job.payload["n"])
    assert done == [1]
    row = db.execute("SELECT dead, attempts, length(error) FROM jobs").fetchone()
    assert row == (True, 5, 500)
    assert claim(db) == []


def test_a_job_that_kills_its_workers_is_buried(db: Db) -> None:
    add(db, 2)
    for _ in range(5):
        (job,) = [job for job in claim(db, 2, lease=NOW) if job.payload["n"] == 0]
        db.execute("UPDATE jobs SET attempts = 0 WHERE id <> %s", (job.id,))
    assert [other.payload["n"] for other in claim(db, 2, lease=NOW)] == [1]
    assert queue.reap(db) == [job.id]
    assert queue.reap(db) == []
    assert db.execute("SELECT error FROM jobs WHERE dead").fetchone() == (
        "no worker lived to tell",
    )
    with pytest.raises(LeaseLostError):  # the last one wakes up: too late
        queue.complete(db, job)
    assert [other.payload["n"] for other in claim(db)] == [1]


def test_a_job_at_its_last_attempt_is_not_buried_while_its_worker_lives(db: Db) -> None:
    add(db)
    for _ in range(4):
        claim(db, lease=NOW)
    (last,) = claim(db)
    assert last.attempts == 5
    assert queue.reap(db) == []
    queue.complete(db, last)


def test_the_index_finds_the_due_job_among_many(db: Db) -> None:
    db.execute(
        "INSERT INTO jobs (kind, payload, due) SELECT 'k', '{}', now() + n * interval '1 hour'"
        " FROM generate_series(0, 20000) AS n"
    )
    db.execute("ANALYZE jobs")
    plan = db.execute(
        "EXPLAIN SELECT id FROM jobs WHERE kind = 'k' AND NOT dead AND due <= now()"
        " AND attempts < max_attempts ORDER BY due, id LIMIT 1 FOR UPDATE SKIP LOCKED"
    ).fetchall()
    assert any("jobs_due" in line for (line,) in plan)


class Workers(RuleBasedStateMachine):
    """Enqueue, claim, complete, fail, crash and reap, in any order."""

    db: Db

    def __init__(self) -> None:
        super().__init__()
        self.db.execute("TRUNCATE jobs")
        self.added: set[int] = set()
        self.done: list[int] = []
        self.held: list[Job] = []

    @rule()
    def add(self) -> None:
        """A request enqueues."""
        id_ = queue.enqueue(self.db, "k", {})
        assert id_ is not None
        self.added.add(id_)

    @rule(n=st.integers(1, 3), crash=st.booleans())
    def claim(self, n: int, crash: bool) -> None:
        """A worker claims, and perhaps hangs beyond its lease."""
        self.held += queue.claim(self.db, "k", n, lease=NOW if crash else 60.0)

    @rule(data=st.data(), how=st.sampled_from(["complete", "fail", "release", "forget"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        """Somebody settles a job that he has, or once had."""
        if not self.held:
            return
        job = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        try:
            if how == "complete":
                queue.complete(self.db, job)
                self.done.append(job.id)
            elif how == "fail":
                queue.fail(self.db, job, "no", backoff=0.0)
            elif how == "release":
                queue.release(self.db, job)
        except LeaseLostError:
            pass

    @rule()
    def reap(self) -> None:
        """The minute is over."""
        queue.reap(self.db)

    @invariant()
    def each_job_is_once_done_or_still_there(self) -> None:
        """Nothing is lost and nothing is done twice."""
        left = {id_ for (id_,) in self.db.execute("SELECT id FROM jobs")}
        assert len(self.done) == len(set(self.done))
        assert left | set(self.done) == self.added
        assert not left & set(self.done)


def test_no_order_of_events_loses_a_job_or_does_it_twice(db: Db) -> None:
    Workers.db = db
    run_state_machine_as_test(
        Workers,
        settings=settings(
            max_examples=15, stateful_step_count=20, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_demo_shows_a_lost_lease_and_a_dead_job(
    db_url: str, demo: Callable[..., list[str]], refused: Callable[[str, str], None]
) -> None:
    lines = demo("skip_locked_queue", DATABASE_URL=db_url)
    assert "the slow worker: LeaseLostError, job 1, token 1" in [
        line.replace("LeaseLost,", "LeaseLostError,") for line in lines
    ]
    assert lines[-1] == "(3, 5, True, 'poison')"
    refused("skip_locked_queue", "DATABASE_URL")
