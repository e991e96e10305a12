"""The same import on Celery: slices, retries, and an end that is told."""

import json
from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from celery.app import autoretry
from celery.result import EagerResult
from redis import Redis

from snippets.bulk_upload.celery_import import build, make_celery
from tests.scenarios.bulk_upload.imports import HEADER, Db, good_rows, shown, store


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


class Buried:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, import_id: str, why: str) -> None:
        self.told.append((import_id, why))


def run(app: Celery, import_id: str) -> EagerResult:
    outcome: EagerResult = app.tasks["import_slice"].apply((import_id,))
    app.close()
    return outcome


def test_an_unfinished_import_stands_in_line_again(redis: Redis, redis_url: str) -> None:
    buried = Buried()
    assert run(make_celery(redis_url, lambda _: False, buried), "7").successful()
    assert redis.llen("celery") == 1
    assert run(make_celery(redis_url, lambda _: True, buried), "7").successful()
    assert redis.llen("celery") == 1
    assert buried.told == []


def test_a_slice_that_fails_is_tried_again_and_given_up_in_the_end(redis_url: str) -> None:
    buried, tries = Buried(), []

    def fails(import_id: str) -> bool:
        tries.append(import_id)
        raise RuntimeError("no")

    app = make_celery(redis_url, fails, buried, retries=3, pause=0.0)
    assert run(app, "7").failed()
    assert tries == ["7"] * 4
    assert buried.told == [("7", "RuntimeError('no')")]


def test_what_fails_in_one_application_is_not_buried_in_another(redis_url: str) -> None:
    mine, other = Buried(), Buried()

    def fails(_: str) -> bool:
        raise RuntimeError("no")

    beside = make_celery(redis_url, fails, other)
    assert run(make_celery(redis_url, fails, mine), "7").failed()
    assert (len(mine.told), other.told) == (1, [])
    beside.close()


@pytest.mark.usefixtures("beside")
def test_an_import_that_fails_while_the_database_is_away_comes_again(
    db_url: str, db: Db, redis: Redis, redis_url: str
) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(3)), enqueue=False)
    db.execute("UPDATE imports SET state = 'running'")
    assert run(build(redis_url, "postgresql://127.0.0.1:1/none"), import_id).failed()
    assert redis.llen("celery") == 1  # so "running" is still true
    (again,) = redis.lrange("celery", 0, -1)
    assert json.loads(again)["headers"]["eta"]
    assert import_id in json.loads(again)["headers"]["argsrepr"]
    assert run(build(redis_url, db_url), import_id).successful()
    assert shown(db, import_id)["state"] == "completed"


def test_the_pause_after_an_error_doubles_and_is_random_and_below_the_visibility_timeout(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def at_once(**options: object) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(autoretry, "get_exponential_backoff_interval", at_once)

    def fails(_: str) -> bool:
        raise RuntimeError("no")

    assert run(make_celery(redis_url, fails, Buried(), retries=2, pause=7.0), "7").failed()
    same = {"factor": 7, "maximum": 150, "full_jitter": True}
    assert asked == [{**same, "retries": n} for n in range(3)]


def test_a_killed_worker_is_configured_not_to_take_its_task_along(redis_url: str) -> None:
    app = make_celery(
        redis_url, lambda _: True, Buried(), visibility_timeout=77, retries=2, pause=7
    )
    task = app.tasks["import_slice"]
    assert (task.acks_late, task.reject_on_worker_lost, task.retry_on_worker_lost) == (True,) * 3
    assert (task.max_retries, app.conf.worker_prefetch_multiplier) == (2, 1)
    assert task.default_retry_delay == 7
    assert app.conf.broker_transport_options == {"visibility_timeout": 77}
    assert app.conf.worker_cancel_long_running_tasks_on_connection_loss
    assert app.conf.task_ignore_result
    app.close()


@pytest.mark.usefixtures("beside")
def test_wired_it_imports_a_file(db_url: str, db: Db, redis_url: str) -> None:
    import_id = store(db, HEADER + b"".join(good_rows(30)), enqueue=False)
    assert run(build(redis_url, db_url), import_id).successful()
    assert shown(db, import_id)["state"] == "completed"
    assert run(build(redis_url, db_url), import_id).successful()  # delivered twice: nothing to do
    assert shown(db, import_id)["inserted"] == 30


@pytest.mark.usefixtures("beside")
def test_wired_it_leaves_an_import_to_whoever_overtook_it_and_buries_a_poison(
    db_url: str, db: Db, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import import_worker  # type: ignore[import-not-found,unused-ignore]  # as build() does

    import_id = store(db, HEADER + b"A,forbidden,1,1\n", enqueue=False)

    def overtaken(*_: object, **__: object) -> bool:
        raise import_worker.OvertakenError

    def broken(*_: object, **__: object) -> bool:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(import_worker, "run_slice", overtaken)
        assert run(build(redis_url, db_url), import_id).successful()
    assert (shown(db, import_id)["state"], redis.llen("celery")) == ("queued", 0)
    db.execute("ALTER TABLE products ADD CHECK (name <> 'forbidden')")
    assert run(build(redis_url, db_url), import_id).failed()
    now = shown(db, import_id)
    assert now["state"] == "failed"
    assert "violates check constraint" in now["error"]
    # A task that is given up late says nothing about an import that has ended.
    db.execute("UPDATE imports SET state = 'cancelled', error = NULL")
    with monkeypatch.context() as patch:
        patch.setattr(import_worker, "run_slice", broken)
        assert run(build(redis_url, db_url), import_id).failed()
    assert (shown(db, import_id)["state"], shown(db, import_id)["error"]) == ("cancelled", None)


def test_the_demo_takes_three_slices(
    redis: Redis,
    redis_url: str,
    demo: Callable[..., list[str]],
    refused: Callable[[str, str], None],
) -> None:
    lines = demo("celery_import", REDIS_URL=redis_url)
    assert lines == [f"import 7: {left} slices left" for left in (2, 1, 0)]
    assert not list(redis.scan_iter("*firedrill*"))
    refused("celery_import", "REDIS_URL")
