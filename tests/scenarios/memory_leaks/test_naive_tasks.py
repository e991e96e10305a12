"""A task is held by nobody, or for ever."""

import asyncio

from snippets.memory_leaks import naive_tasks
from tests.scenarios.memory_leaks.conftest import Demo


def test_kept_tasks_keep_their_results() -> None:
    async def run() -> None:
        naive_tasks.fire_and_keep(naive_tasks.answer(10))
        await asyncio.sleep(0)

    asyncio.run(run())
    assert [task.result() for task in naive_tasks.TASKS] == [bytes(10)]


def test_demo_of_the_tasks(demo: Demo) -> None:
    assert demo("naive_tasks") == [
        "held by nobody: 0 of 10 still wait, 0 finished",
        "held for ever:  10 of 10 finished, 10 are still held",
    ]
