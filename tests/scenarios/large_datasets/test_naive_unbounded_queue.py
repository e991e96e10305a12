"""The unbounded queue: every item is worked on, and all of them wait in memory first."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from snippets.large_datasets.naive_unbounded_queue import run

from .conftest import Demo

pytestmark = pytest.mark.anyio


async def numbers(count: int) -> AsyncGenerator[int, None]:
    for number in range(count):
        yield number


async def test_every_item_is_worked_on_and_all_were_queued_first() -> None:
    seen: list[int] = []

    async def worker(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    assert await run(numbers(100), worker, workers=3) == 100
    assert sorted(seen) == list(range(100))


def test_the_demo_queues_everything(demo: Demo) -> None:
    assert demo("naive_unbounded_queue") == ["200 items, and 200 of them were in the queue at once"]
