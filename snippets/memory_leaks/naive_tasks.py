# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Background tasks held by nobody, and background tasks held for ever.

The event loop keeps weak references to tasks only. A task that nobody holds
may be collected before it has finished; a task in a list that nobody empties
keeps its result, its exception and its context for the life of the process.
"""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

Work = Coroutine[Any, Any, object]


# --8<-- [start:forget]
def fire_and_forget(work: Work) -> None:
    """Run it in the background."""
    asyncio.create_task(work)  # BUG: nobody holds the task.
    # --8<-- [end:forget]


# --8<-- [start:keep]
TASKS: list[asyncio.Task[object]] = []


def fire_and_keep(work: Work) -> None:
    """Run it in the background, safe from the garbage collector."""
    TASKS.append(asyncio.create_task(work))  # BUG: never removed again.
    # --8<-- [end:keep]


async def answer(size: int) -> bytes:
    """Do some work that has a result."""
    return bytes(size)


# --8<-- [start:demo]
async def demo() -> None:
    """Start ten of each and look for them."""
    finished = []
    loop = asyncio.get_running_loop()

    async def wait_for_answer(number: int) -> None:
        # What it waits for is held by nobody else, as a reply that is lost.
        finished.append((number, await loop.create_future()))

    loop.set_exception_handler(lambda *_: None)  # it says "was destroyed"
    for number in range(10):
        fire_and_forget(wait_for_answer(number))
    await asyncio.sleep(0)
    gc.collect()
    alive = len(asyncio.all_tasks()) - 1  # this one
    print(f"held by nobody: {alive} of 10 still wait, {len(finished)} finished")
    for _ in range(10):
        fire_and_keep(answer(size=10_000))
    await asyncio.gather(*TASKS)
    print(f"held for ever:  10 of 10 finished, {len(TASKS)} are still held")


def main() -> None:
    """Show both faults."""
    asyncio.run(demo())
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
