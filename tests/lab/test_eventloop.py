"""Loop lag is what the other requests would have waited."""

import asyncio
import time

import pytest

from lab.eventloop import LoopLag

pytestmark = pytest.mark.anyio


async def test_a_blocking_call_shows_as_lag() -> None:
    async with LoopLag() as lag:
        time.sleep(0.2)  # noqa: ASYNC251 (the fault under test)
        await asyncio.sleep(0)
    assert lag.worst == pytest.approx(0.2, abs=0.08)


async def test_a_blocking_call_right_before_the_end_shows_too() -> None:
    async with LoopLag() as lag:
        await asyncio.sleep(0.02)
        time.sleep(0.2)  # noqa: ASYNC251 (the fault under test)
    assert lag.worst > 0.1


async def test_waiting_is_not_lag() -> None:
    async with LoopLag() as waiting:
        await asyncio.sleep(0.3)
    assert waiting.worst < 0.1


async def test_the_watcher_ends_with_the_block() -> None:
    before = asyncio.all_tasks()
    async with LoopLag():
        pass
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan")])
async def test_an_interval_must_be_above_zero(interval: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        LoopLag(interval)
