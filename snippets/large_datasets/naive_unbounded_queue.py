# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""A queue without a bound: the slow side's backlog becomes this process's heap.

It looks like streaming, and with quick workers it is. When the workers slow
down, the producer does not notice, and every item waits in memory. The same
happens with `writer.write()` without `await writer.drain()`.

Source: https://docs.python.org/3/library/asyncio-queue.html
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


# --8<-- [start:run]
async def run(
    producer: AsyncGenerator[T, None],
    worker: Callable[[T], Awaitable[object]],
    *,
    workers: int,
) -> int:
    """Work on each item; return the longest the queue ever was."""
    queue: asyncio.Queue[T] = asyncio.Queue()  # BUG: no maxsize, no bound.
    high_watermark = 0

    async def work() -> None:
        while True:
            await worker(await queue.get())
            queue.task_done()

    # BUG: nobody awaits these; when a worker raises, join() waits for ever.
    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    async for item in producer:
        queue.put_nowait(item)  # BUG: never waits for the workers.
        high_watermark = max(high_watermark, queue.qsize())
    await queue.join()
    for task in tasks:
        task.cancel()
    return high_watermark


# --8<-- [end:run]


# --8<-- [start:demo]
async def numbers(count: int) -> AsyncGenerator[int, None]:
    """Yield 0 to count - 1, as quickly as the consumer lets it."""
    for number in range(count):
        yield number


async def main() -> None:
    """Let 200 quick items meet four slow workers."""

    async def slow(_: int) -> None:
        await asyncio.sleep(0.001)

    longest = await run(numbers(200), slow, workers=4)
    print(f"200 items, and {longest} of them were in the queue at once")


if __name__ == "__main__":
    asyncio.run(main())
# --8<-- [end:demo]
