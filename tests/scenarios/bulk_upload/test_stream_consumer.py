"""A stream's messages survive the consumers that die with them."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis, ResponseError

from snippets.bulk_upload.stream_consumer import Beat, Fields, StreamConsumer, TakenOverError

STREAM = "imports"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


class Recorder:
    """A handler that remembers, and raises when it is told to."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.error: BaseException | None = None

    def __call__(self, fields: Fields, beat: Beat) -> None:
        self.seen.append(fields["n"])
        beat()
        if self.error:
            raise self.error


def consumer(
    redis: Redis, name: str, handler: Callable[[Fields, Beat], None], idle: int = 0, most: int = 5
) -> StreamConsumer:
    return StreamConsumer(redis, STREAM, name, handler, min_idle_ms=idle, most=most)


def ids(redis: Redis) -> list[Any]:
    """What is pending, oldest first; lists, as xclaim takes them."""
    rows: Any = redis.xpending_range(STREAM, "workers", "-", "+", 100)
    return [[row["message_id"]] for row in rows]


def dead(redis: Redis) -> list[dict[str, str]]:
    rows: Any = redis.xrange(f"{STREAM}:dead")
    return [fields for _, fields in rows]


def add(redis: Redis, *numbers: int) -> None:
    for n in numbers:
        redis.xadd(STREAM, {"n": n})


def test_messages_come_in_order_and_leave_no_memory_behind(redis: Redis) -> None:
    add(redis, 1, 2, 3)
    recorder = Recorder()
    worker = consumer(redis, "a", recorder)
    assert [worker.step() for _ in range(3)] == [True] * 3
    assert (redis.xlen(STREAM), ids(redis)) == (0, [])  # before XAUTOCLAIM sweeps
    assert not worker.step()
    assert recorder.seen == ["1", "2", "3"]


def test_messages_from_before_the_group_are_not_skipped(redis: Redis) -> None:
    add(redis, 1)
    recorder = Recorder()
    consumer(redis, "a", recorder)
    consumer(redis, "b", recorder).step()  # the group exists by now
    assert recorder.seen == ["1"]


def test_a_key_of_another_type_is_no_group_that_exists(redis: Redis) -> None:
    redis.set(STREAM, "text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        consumer(redis, "a", Recorder())


def test_the_message_of_a_dead_consumer_is_taken_over_when_its_time_is_up(redis: Redis) -> None:
    add(redis, 1)
    dying, living = Recorder(), Recorder()
    dying.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        consumer(redis, "a", dying).step()
    assert not consumer(redis, "b", living, idle=60_000).step()
    assert consumer(redis, "b", living).step()
    assert (dying.seen, living.seen) == (["1"], ["1"])
    assert redis.xlen(STREAM) == 0


def test_an_orphan_behind_many_messages_that_others_hold_is_found(redis: Redis) -> None:
    # One XAUTOCLAIM looks at ten pending messages: without its cursor, the 31st is never seen.
    add(redis, *range(31))
    recorder = Recorder()
    worker = consumer(redis, "b", recorder, idle=60_000)
    redis.xreadgroup("workers", "a", {STREAM: ">"}, 31)
    newest = ids(redis)[-1]
    redis.xclaim(STREAM, "workers", "a", 0, newest, idle=120_000)
    assert [worker.step() for _ in range(4)] == [False, False, False, True]
    assert recorder.seen == ["30"]


def test_an_error_leaves_the_message_for_the_next_try_until_it_is_buried(redis: Redis) -> None:
    add(redis, 1, 2)
    poison = Recorder()
    poison.error = ValueError("cannot be read " * 100)
    worker = consumer(redis, "a", poison, most=3)
    for _ in range(3):
        assert worker.step()
    assert poison.seen == ["1", "1", "1"]
    assert ids(redis) == []
    poison.error = None
    assert worker.step()
    assert poison.seen[-1] == "2"
    (fields,) = dead(redis)
    assert fields["n"] == "1"
    assert fields["dead_error"].startswith("ValueError('cannot be read")
    assert len(fields["dead_error"]) == 500


def test_a_message_that_kills_every_consumer_is_buried(redis: Redis) -> None:
    add(redis, 1, 2)
    killer, living = Recorder(), Recorder()
    killer.error = KeyboardInterrupt()
    for n in range(2):
        with pytest.raises(KeyboardInterrupt):
            consumer(redis, f"dead {n}", killer, most=2).step()
    assert consumer(redis, "b", living, most=2).step()
    assert living.seen == ["2"]
    (fields,) = dead(redis)
    assert fields["dead_error"] == "no consumer lived to tell"


def test_a_beat_keeps_a_message_and_fails_once_it_is_somebody_elses(redis: Redis) -> None:
    add(redis, 1)
    other = Recorder()
    taken: list[bool] = []

    def slow(_: Fields, beat: Beat) -> None:  # what it raises, step() keeps to itself
        redis.xclaim(STREAM, "workers", "a", 0, ids(redis)[0], idle=50_000)
        beat()
        taken.append(consumer(redis, "b", other, idle=40_000).step())
        taken.append(consumer(redis, "b", other).step())
        beat()  # what a handler does not catch is no failure of the message

    assert consumer(redis, "a", slow, most=1).step()
    assert (taken, other.seen) == ([False, True], ["1"])
    assert redis.xlen(f"{STREAM}:dead") == 0


def test_a_beat_does_not_take_a_message_back(redis: Redis) -> None:
    add(redis, 1)
    lost: list[bool] = []

    def overtaken(_: Fields, beat: Beat) -> None:
        redis.xclaim(STREAM, "workers", "b", 0, ids(redis)[0])
        try:
            beat()
        except TakenOverError:
            lost.append(True)
            raise

    assert consumer(redis, "a", overtaken).step()
    (row,) = redis.xpending_range(STREAM, "workers", "-", "+", 1)
    assert (lost, row["consumer"]) == ([True], "b")


def test_what_fails_after_another_consumer_took_it_over_is_not_buried(redis: Redis) -> None:
    redis.xadd(STREAM, {"n": 1, "id": "the job's own"})
    other = Recorder()

    def overtaken(_: Fields, __: Beat) -> None:
        redis.xclaim(STREAM, "workers", "b", 0, ids(redis)[0])
        raise ValueError("too late")

    assert consumer(redis, "a", overtaken, most=2).step()
    assert (dead(redis), redis.xlen(STREAM)) == ([], 1)
    other.error = ValueError("no")
    assert consumer(redis, "b", other, most=3).step()
    (fields,) = dead(redis)
    assert fields["id"] == "the job's own"
    assert fields["dead_id"] != fields["id"]


def test_it_runs_until_it_is_told_to_stop(redis: Redis) -> None:
    add(redis, 1, 2)
    stop = threading.Event()
    seen: list[str] = []

    def last(fields: Fields, _: Beat) -> None:
        seen.append(fields["n"])
        if fields["n"] == "2":
            stop.set()

    consumer(redis, "a", last).run(stop, block_ms=10)
    assert seen == ["1", "2"]


def test_a_poison_message_pending_alone_leaves_nothing(redis: Redis) -> None:
    add(redis, 1)
    killer, living = Recorder(), Recorder()
    killer.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        consumer(redis, "a", killer).step()
    assert not consumer(redis, "b", living, most=1).step()
    assert living.seen == []
    assert redis.xlen(f"{STREAM}:dead") == 1


def test_any_number_of_poison_messages_is_buried_at_once(redis: Redis) -> None:
    with redis.pipeline() as pipe:
        for n in range(1100):
            pipe.xadd(STREAM, {"n": n})
        pipe.execute()
    worker = consumer(redis, "b", Recorder(), most=1)
    redis.xreadgroup("workers", "a", {STREAM: ">"}, 1100)
    while worker.step():
        pass
    assert (redis.xlen(STREAM), redis.xlen(f"{STREAM}:dead")) == (0, 1100)


def test_the_demo_buries_the_poison(
    redis_url: str, demo: Callable[..., list[str]], refused: Callable[[str, str], None]
) -> None:
    lines = demo("stream_consumer", REDIS_URL=redis_url)
    assert lines[1] == "second consumer did a.csv"
    assert lines[-1] == "dead: poison, ValueError('cannot be read')"
    refused("stream_consumer", "REDIS_URL")
