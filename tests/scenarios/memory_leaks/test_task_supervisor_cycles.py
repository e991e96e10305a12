"""Cancelled at its end, it leaves no cycle; a browser's event loop leaves some of its own."""

import asyncio
import gc

import pytest

from snippets.memory_leaks.task_supervisor import BackgroundTasks

pytestmark = pytest.mark.anyio


async def test_cancelled_at_the_end_of_the_block_it_cancels_and_awaits_what_runs() -> None:
    ended: list[str] = []
    started, ending = asyncio.Event(), asyncio.Event()
    tasks = BackgroundTasks(1)

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("work")

    async def serve() -> None:
        async with tasks:
            await tasks.spawn(work())
            await started.wait()
            ending.set()

    serving = asyncio.create_task(serve())
    await ending.wait()
    await asyncio.sleep(0)  # now it waits for its task
    gc.collect()
    serving.cancel()
    try:
        async with asyncio.timeout(5):
            await serving
    except asyncio.CancelledError:
        ended.append("serving")
    assert (ended, len(tasks)) == (["work", "serving"], 0)
    del serving
    await asyncio.sleep(0)  # the loop lets go of it
    assert gc.collect() == 0  # its error is in no cycle with its frame
