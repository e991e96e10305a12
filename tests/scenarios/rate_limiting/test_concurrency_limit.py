"""The concurrency limit bounds work in flight and finds how much is right."""

import asyncio
import math
from decimal import Decimal

import pytest

from lab.clock import FakeClock
from snippets.rate_limiting.concurrency_limit import ConcurrencyLimit, OverloadedError
from tests.scenarios.rate_limiting.traffic import run_demo

pytestmark = pytest.mark.anyio


async def test_refuses_what_does_not_fit_and_frees_the_slot_afterwards() -> None:
    limiter = ConcurrencyLimit(2, 2, in_time=1.0)
    async with limiter.slot(), limiter.slot():
        with pytest.raises(OverloadedError, match="2 requests are in flight"):
            async with limiter.slot():
                raise AssertionError
        assert limiter.in_flight == 2
    assert limiter.in_flight == 0
    async with limiter.slot():
        assert limiter.in_flight == 1


async def test_never_more_in_flight_than_allowed_under_a_crowd() -> None:
    limiter, worst, refused = ConcurrencyLimit(5, 5, in_time=1.0), 0, 0

    async def request() -> None:
        nonlocal worst, refused
        try:
            async with limiter.slot():
                worst = max(worst, limiter.in_flight)
                await asyncio.sleep(0)
        except OverloadedError:
            refused += 1

    await asyncio.gather(*(request() for _ in range(100)))
    assert (worst, refused, limiter.in_flight) == (5, 95, 0)


async def test_grows_by_one_per_full_round_of_requests_in_time() -> None:
    limiter = ConcurrencyLimit(1, 3, in_time=1.0)
    async with limiter.slot():
        pass
    assert limiter.limit == 2.0
    async with limiter.slot():
        pass
    assert limiter.limit == 2.5
    for _ in range(9):
        async with limiter.slot(), limiter.slot():
            pass
    assert limiter.limit == 3


async def test_an_idle_service_proves_nothing() -> None:
    limiter = ConcurrencyLimit(4, 9, in_time=1.0)
    async with limiter.slot():
        pass
    assert limiter.limit == 4.0


async def test_a_late_answer_cuts_the_limit_by_a_tenth() -> None:
    clock = FakeClock()
    limiter = ConcurrencyLimit(1, 10, in_time=1.0, clock=clock)
    limiter.limit = 10.0
    async with limiter.slot():
        clock.advance(1.0)  # exactly in time
    assert limiter.limit == 10.0
    async with limiter.slot():
        clock.advance(1.5)
    assert limiter.limit == 9.0


async def test_a_timeout_cuts_the_limit_and_is_passed_on() -> None:
    limiter = ConcurrencyLimit(1, 10, in_time=1.0)
    limiter.limit = 10.0
    with pytest.raises(TimeoutError):
        async with limiter.slot():
            raise TimeoutError
    assert (limiter.limit, limiter.in_flight) == (9.0, 0)


async def test_another_error_says_nothing_about_load() -> None:
    limiter = ConcurrencyLimit(1, 10, in_time=1.0)
    limiter.limit = 2.0
    with pytest.raises(KeyError):
        async with limiter.slot():
            raise KeyError
    assert (limiter.limit, limiter.in_flight) == (2.0, 0)  # neither cut nor grown


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
async def test_late_is_late_however_it_ends(error: type[BaseException]) -> None:
    clock = FakeClock()
    limiter = ConcurrencyLimit(1, 10, in_time=1.0, clock=clock)
    limiter.limit = 10.0

    async def request() -> None:
        async with limiter.slot():
            clock.advance(1.5)
            raise error

    with pytest.raises(error):
        await request()
    assert (limiter.limit, limiter.in_flight) == (9.0, 0)


async def test_a_crowd_of_late_ones_cuts_once_in_the_time_allowed() -> None:
    clock = FakeClock()
    limiter = ConcurrencyLimit(1, 10, in_time=1.0, clock=clock)
    limiter.limit = 10.0
    after = []
    for wait in (0.0, 0.0, 0.875, 0.125):
        clock.advance(wait)
        with pytest.raises(TimeoutError):
            async with limiter.slot():
                raise TimeoutError
        after.append(limiter.limit)
    assert after == [9.0, 9.0, 9.0, 8.1]


async def test_a_part_of_a_slot_is_none() -> None:
    limiter = ConcurrencyLimit(1, 10, in_time=1.0)
    limiter.limit = 2.75
    async with limiter.slot(), limiter.slot():
        with pytest.raises(OverloadedError):
            async with limiter.slot():
                raise AssertionError


async def test_never_falls_below_the_least() -> None:
    clock = FakeClock()
    limiter = ConcurrencyLimit(2, 10, in_time=1.0, clock=clock)
    for _ in range(50):
        async with limiter.slot():
            clock.advance(9.0)
    assert limiter.limit == 2


@pytest.mark.parametrize(
    ("least", "most", "in_time"),
    [
        *[(0, 5, 1.0), (6, 5, 1.0), (1.5, 5, 1.0), (1, 5.0, 1.0), (True, 5, 1.0)],
        *[(1, Decimal(5), 1.0), (1, 5, 0.0), (1, 5, -1.0), (1, 5, math.nan)],
    ],
)
async def test_refuses_bounds_that_are_none_or_cross(least: int, most: int, in_time: float) -> None:
    with pytest.raises(ValueError, match="1 <= least <= most and in_time > 0"):
        ConcurrencyLimit(least, most, in_time)


def test_demo_grows_and_falls_back(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("concurrency_limit")
    assert capsys.readouterr().out.splitlines() == [
        "backend healthy: limit is 17 in flight",
        "backend slow: limit is 2 in flight",
    ]
