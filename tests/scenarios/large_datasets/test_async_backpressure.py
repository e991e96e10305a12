"""Backpressure: bounded, complete, and quick to stop when something fails."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from snippets.large_datasets.async_backpressure import Stats, run

from .conftest import Demo

pytestmark = pytest.mark.anyio


class Source:
    """A producer that knows how far it came and whether it was closed."""

    def __init__(self, items: list[object], *, fails: bool = False) -> None:
        self.items = items
        self.fails = fails
        self.produced = 0
        self.closed = False

    async def stream(self) -> AsyncGenerator[object, None]:
        try:
            for item in self.items:
                self.produced += 1
                yield item
            if self.fails:
                raise OSError("the source broke")
        finally:
            self.closed = True


@pytest.mark.parametrize(("workers", "maxsize"), [(1, 1), (4, 1), (3, 8), (50, 200)])
async def test_every_item_is_worked_on_once(workers: int, maxsize: int) -> None:
    items: list[object] = [None, 0, "", False, *range(1, 97)]
    seen: list[object] = []

    async def worker(item: object) -> None:
        await asyncio.sleep(0)
        seen.append(item)

    source = Source(items)
    async with asyncio.timeout(5):
        stats = await run(source.stream(), worker, workers=workers, maxsize=maxsize)
    assert sorted(map(repr, seen)) == sorted(map(repr, items))
    assert stats.items == 100
    assert 1 <= stats.high_watermark <= maxsize
    assert source.closed


async def test_nothing_to_do_is_done() -> None:
    async def worker(_: object) -> None:
        raise AssertionError

    assert await run(Source([]).stream(), worker, workers=2, maxsize=2) == Stats(0, 0)


async def test_one_item_in_the_queue_is_counted() -> None:
    async def worker(_: object) -> None:
        await asyncio.sleep(0)

    assert await run(Source([1]).stream(), worker, workers=1, maxsize=1) == Stats(1, 1)


async def test_the_producer_waits_for_the_workers() -> None:
    source = Source(list(range(100)))
    release = asyncio.Event()
    started = 0

    async def worker(_: object) -> None:
        nonlocal started
        started += 1
        await release.wait()

    task = asyncio.create_task(run(source.stream(), worker, workers=4, maxsize=8))
    for _ in range(200):  # turns of the event loop: far more than it can use
        await asyncio.sleep(0)
    assert started == 4
    assert source.produced == 4 + 8 + 1  # in work, in the queue, in the producer's hand
    release.set()
    stats = await task
    assert (stats.items, stats.high_watermark) == (100, 8)


async def test_workers_work_at_the_same_time() -> None:
    together = asyncio.Barrier(4)

    async def worker(_: object) -> None:
        await together.wait()

    async with asyncio.timeout(5):
        stats = await run(Source(list(range(8))).stream(), worker, workers=4, maxsize=1)
    assert stats.items == 8


async def test_a_worker_that_fails_stops_everything() -> None:
    source = Source(list(range(1000)))
    cancelled: list[tuple[object, bool]] = []

    async def worker(item: object) -> None:
        if item == 3:
            raise ValueError("item 3 is broken")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for _ in range(9):  # a worker that cleans up may still need what the source holds
                await asyncio.sleep(0)
            cancelled.append((item, source.closed))
            raise

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as failed:
            await run(source.stream(), worker, workers=4, maxsize=2)
    assert [str(error) for error in failed.value.exceptions] == ["item 3 is broken"]
    assert {str(item): closed for item, closed in cancelled} == {"0": False, "1": False, "2": False}
    assert source.produced <= 4 + 2 + 1
    assert source.closed


@pytest.mark.parametrize("workers", [1, 4])
async def test_work_that_was_cancelled_elsewhere_is_an_error_not_a_lost_item(workers: int) -> None:
    async def worker(item: object) -> None:
        if item == 3:
            shared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            shared.cancel()
            await shared

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as failed:
            await run(Source(list(range(10))).stream(), worker, workers=workers, maxsize=2)
    assert [str(error) for error in failed.value.exceptions] == ["3 was cancelled"]


async def test_a_producer_that_fails_stops_the_workers() -> None:
    source = Source(list(range(10)), fails=True)
    cancelled = 0

    async def worker(_: object) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as failed:
            await run(source.stream(), worker, workers=2, maxsize=20)
    assert [str(error) for error in failed.value.exceptions] == ["the source broke"]
    assert source.closed


async def test_cancelling_the_run_closes_the_producer() -> None:
    source = Source(list(range(100)))
    busy = asyncio.Event()

    async def worker(_: object) -> None:
        busy.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run(source.stream(), worker, workers=2, maxsize=2))
    await busy.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed


@pytest.mark.parametrize(("workers", "maxsize"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
async def test_no_workers_or_no_bound_is_refused(workers: int, maxsize: int) -> None:
    async def worker(_: object) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match=f"at least 1, got {workers}, {maxsize}"):
        await run(Source([1]).stream(), worker, workers=workers, maxsize=maxsize)


def test_the_demo_stays_within_its_bound(demo: Demo) -> None:
    assert demo("async_backpressure") == [
        "200 items, never more than 8 queued",
        "stopped: item 250: the far end hung up",
    ]
