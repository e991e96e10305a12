# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Backpressure: a bounded queue makes the producer wait for the workers.

`put` on a full queue suspends the producer until a worker takes an item, so at
most `maxsize + workers + 1` items exist at once, however slow the workers are.
For work that spends its time waiting (HTTP, a database); work that computes
wants processes. From Python 3.13, Queue.shutdown() can replace the sentinels.

Source: https://docs.python.org/3/library/asyncio-queue.html,
https://www.reactive-streams.org/
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class _End(Enum):
    """A type of its own, so no item (None, "", 0) is taken for the end."""

    OF_STREAM = 1


@dataclass(slots=True)
class Stats:
    """What happened: items worked on, and the longest the queue ever was."""

    items: int = 0
    high_watermark: int = 0


# --8<-- [start:run]
async def run(
    producer: AsyncGenerator[T, None],
    worker: Callable[[T], Awaitable[object]],
    *,
    workers: int,
    maxsize: int,
) -> Stats:
    """Hand each item of `producer` to one of `workers` concurrent workers.

    Returns when all items are worked on. When the producer or a worker
    raises, the others are cancelled, the producer is closed, and the error
    arrives in an ExceptionGroup; so does a RuntimeError when what a worker
    waits for was cancelled elsewhere. Raises ValueError unless workers and
    maxsize are at least 1: to asyncio.Queue, 0 means no bound.
    """
    if workers < 1 or maxsize < 1:
        raise ValueError(
            f"workers and maxsize must be at least 1, got {workers}, {maxsize}"
        )
    queue: asyncio.Queue[T | _End] = asyncio.Queue(maxsize)
    stats = Stats()

    async def work() -> None:
        while not isinstance(item := await queue.get(), _End):
            try:
                await worker(item)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task and task.cancelling():  # it is us who must stop
                    raise
                # A TaskGroup would take it for the end of this worker.
                raise RuntimeError(f"{item!r} was cancelled") from error
            stats.items += 1

    async with aclosing(producer), asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
        async for item in producer:
            await queue.put(item)  # waits here while the queue is full
            stats.high_watermark = max(stats.high_watermark, queue.qsize())
        for _ in range(workers):
            await queue.put(_End.OF_STREAM)  # one each, behind every item
    return stats


# --8<-- [end:run]


# --8<-- [start:demo]
async def numbers(count: int) -> AsyncGenerator[int, None]:
    """Yield 0 to count - 1, as quickly as the consumer lets it."""
    for number in range(count):
        yield number


async def main() -> None:
    """Let 300 quick items meet four slow workers."""

    async def slow(number: int) -> None:
        await asyncio.sleep(0.001)
        if number == 250:
            raise ConnectionError(f"item {number}: the far end hung up")

    stats = await run(numbers(200), slow, workers=4, maxsize=8)
    print(f"{stats.items} items, never more than {stats.high_watermark} queued")
    try:
        await run(numbers(300), slow, workers=4, maxsize=8)
    except* ConnectionError as group:
        print(f"stopped: {group.exceptions[0]}")


if __name__ == "__main__":
    asyncio.run(main())
# --8<-- [end:demo]
