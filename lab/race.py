"""Start many calls at the same moment, to make a race that is there show itself."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

MEET_SECONDS = 30.0
"""How long the threads wait for one another before the race is given up."""


def race(n: int, fn: Callable[[int], T]) -> list[T]:
    """Call `fn(0)` to `fn(n - 1)` in `n` threads that start together, and give the results.

    All threads meet at a barrier first, so the calls begin within a fraction of a millisecond of
    one another. Give each its own connection, opened before the race or inside `fn`: a shared one
    would serialise what should collide. Returns when every thread has ended.

    Args:
        n: how many threads, at least 1.
        fn: called with its number, 0 to `n - 1`.

    Returns:
        The results in the order of the numbers.

    Raises:
        ValueError: `n` is below 1.
        Exception: what a call raised; an `ExceptionGroup` when several did.
    """
    _check(n)
    barrier = threading.Barrier(n, timeout=MEET_SECONDS)

    def runner(number: int) -> T:
        barrier.wait()
        return fn(number)

    with ThreadPoolExecutor(max_workers=n, thread_name_prefix="race") as pool:
        futures = [pool.submit(runner, number) for number in range(n)]
    _reraise([future.exception() for future in futures])
    return [future.result() for future in futures]


async def race_async(n: int, fn: Callable[[int], Awaitable[T]]) -> list[T]:
    """Await `fn(0)` to `fn(n - 1)` in `n` tasks of this event loop that start together.

    Like `race`, with tasks in place of threads: each waits until all are there, and none is
    cancelled when another fails.

    Raises:
        ValueError: `n` is below 1.
        Exception: what a call raised; an `ExceptionGroup` when several did.
    """
    _check(n)
    barrier = asyncio.Barrier(n)

    async def runner(number: int) -> T:
        await barrier.wait()
        return await fn(number)

    answers = await asyncio.gather(*(runner(number) for number in range(n)), return_exceptions=True)
    _reraise([answer if isinstance(answer, BaseException) else None for answer in answers])
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _check(n: int) -> None:
    if n < 1:
        raise ValueError(f"a race needs at least 1 runner, not {n}")


def _reraise(outcomes: list[BaseException | None]) -> None:
    """Raise what went wrong, if anything did: alone as it is, together as a group."""
    errors = [error for error in outcomes if error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} of {len(outcomes)} runners failed", errors)
