"""The leaky bucket lets requests leave evenly, or refuses them."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.clock import FakeClock
from snippets.rate_limiting.leaky_bucket import BucketFullError, LeakyBucket, shaped
from tests.scenarios.rate_limiting.traffic import Hit, hits, most_in_any_window, run_demo


@given(load=hits(), rate=st.floats(0.2, 5.0), window=st.integers(1, 20))
def test_departures_never_bunch(load: list[Hit], rate: float, window: int) -> None:
    bucket = LeakyBucket(rate, longest_wait=5.0)
    departures = []
    for now, _ in load:
        try:
            departures.append((now + bucket.reserve(now), 1))
        except BucketFullError:
            continue
    assert departures == sorted(departures)
    assert most_in_any_window(departures, window) <= math.ceil(rate * window)


def test_waits_grow_by_the_spacing_up_to_the_longest() -> None:
    bucket = LeakyBucket(rate=2, longest_wait=1.0)
    assert [bucket.reserve(0.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    with pytest.raises(BucketFullError) as refused:
        bucket.reserve(0.0)
    assert refused.value.retry_after == 0.5
    assert bucket.reserve(0.5) == 1.0


def test_idle_time_is_not_saved_up() -> None:
    bucket = LeakyBucket(rate=2, longest_wait=1.0)
    assert bucket.reserve(0.0) == 0.0
    assert [bucket.reserve(100.0) for _ in range(3)] == [0.0, 0.5, 1.0]


def test_never_exceeds_a_rate_that_is_no_whole_spacing() -> None:
    bucket = LeakyBucket(rate=700_000, longest_wait=1.0)  # 1.43 microseconds become 2
    assert [bucket.reserve(0.0) for _ in range(4)] == [0.0, 2e-6, 4e-6, 6e-6]


def refusal(bucket: LeakyBucket, now: float) -> float:
    """Reserve; give `retry_after`, or 0 when there was room."""
    try:
        bucket.reserve(now)
    except BucketFullError as full:
        return full.retry_after
    return 0.0


@given(load=hits(), rate=st.floats(0.2, 5.0))
def test_who_waits_as_told_gets_a_turn_and_nobody_sooner(load: list[Hit], rate: float) -> None:
    bucket, now = LeakyBucket(rate, longest_wait=2.0), 0.0
    for now, _ in load:
        refusal(bucket, now)
    while (retry := refusal(bucket, now)) == 0.0:
        pass
    assert refusal(bucket, now + retry - 1e-6) > 0.0
    assert bucket.reserve(now + retry) == pytest.approx(2.0, abs=2e-6)


def test_a_clock_set_back_lets_nobody_leave_sooner() -> None:
    bucket = LeakyBucket(rate=2, longest_wait=9.0)
    assert [bucket.reserve(now) for now in (100.0, 50.0, 100.0)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("rate", "longest_wait"),
    [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, -0.5), (1.0, math.nan)],
)
def test_refuses_a_rate_or_a_wait_that_is_none(rate: float, longest_wait: float) -> None:
    with pytest.raises(ValueError, match="rate > 0 a second and a longest wait >= 0"):
        LeakyBucket(rate, longest_wait)


@pytest.mark.anyio
async def test_a_caller_sleeps_until_its_turn() -> None:
    bucket, clock, slept = LeakyBucket(rate=2, longest_wait=5.0), FakeClock(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    for _ in range(3):
        await shaped(bucket, clock, sleep)
    clock.advance(1.25)
    await shaped(bucket, clock, sleep)
    assert slept == [0.0, 0.5, 1.0, 0.25]


@pytest.mark.anyio
async def test_a_caller_that_is_cancelled_keeps_its_turn() -> None:
    bucket, clock, asleep, slept = LeakyBucket(2, 5.0), FakeClock(), asyncio.Event(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        asleep.set()
        await asyncio.Event().wait()

    for _ in range(3):
        asleep.clear()
        caller = asyncio.create_task(shaped(bucket, clock, sleep))
        await asleep.wait()
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled()
    assert slept == [0.0, 0.5, 1.0]


def test_demo_refuses_the_sixth(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("leaky_bucket")
    lines = capsys.readouterr().out.splitlines()
    assert lines[4] == "request 5 leaves at 1.00 s"
    assert lines[5].startswith("request 6 refused")
