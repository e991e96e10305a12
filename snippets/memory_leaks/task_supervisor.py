# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Background tasks that finish, are let go of, and cannot pile up.

`spawn` holds the task until it is done, since the event loop does not; lets go
of it then, so nothing grows; tells what it raised, since nobody awaits it; and
waits for a place when `limit` tasks are running, so a burst of requests slows
down instead of filling the memory.

A task takes a copy of the caller's context variables with it, and with them
the request. Give `context=contextvars.Context()` to a task that outlives it.

asyncio.TaskGroup is the better choice where the caller waits for the work
anyway and the failure of one should end all.

Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Self

Work = Coroutine[Any, Any, object]
OnError = Callable[[str, BaseException], None]


def log_error(name: str, error: BaseException) -> None:
    """Write what a task raised to the log, with its traceback."""
    logging.getLogger(__name__).error("task %s", name, exc_info=error)


# --8<-- [start:core]
class BackgroundTasks:
    """At most `limit` tasks at once; leaving the `async with` awaits them.

    Raises:
        ValueError: `limit` is below 1.
    """

    def __init__(self, limit: int, on_error: OnError = log_error) -> None:
        if limit < 1:
            raise ValueError(f"limit must be 1 task or more, not {limit}")
        self._free = asyncio.Semaphore(limit)
        self._on_error = on_error
        self._tasks: set[asyncio.Task[object]] = set()

    async def spawn(
        self,
        work: Work,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> None:
        """Start `work`; returns as soon as it has a place, not a result.

        Cancelled while it waits for a place, it closes `work` unstarted. Not
        for use inside its own tasks: when all places are taken by tasks that
        wait for one, they wait for ever.

        Raises:
            TypeError: `work` is no coroutine.
        """
        if not asyncio.iscoroutine(work):
            raise TypeError(f"a coroutine is needed, not {work!r}")
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            work.close()
            raise
        try:
            task = asyncio.create_task(work, name=name, context=context)
        except BaseException:  # a bad context: its place must not be lost
            self._free.release()
            raise
        self._tasks.add(task)
        # A callback copies the caller's context too, and keeps it.
        task.add_done_callback(self._done, context=context)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        self._free.release()
        # Asking for the exception also keeps asyncio from complaining later.
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(task.get_name(), error)

    def __len__(self) -> int:
        """Return how many are running."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Wait for all that run; cancel them if the block was left early.

        Cancelled while it waits, it cancels them too, and ends after them.
        """
        stop: asyncio.CancelledError | None = None
        while self._tasks:
            if kind is not None or stop is not None:
                for task in self._tasks:
                    task.cancel()
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                stop = error
        try:
            if stop is not None:
                raise stop
        finally:
            del stop  # error -> traceback -> this frame -> stop: a cycle
            # --8<-- [end:core]


# --8<-- [start:demo]
async def demo() -> None:
    """Start a hundred tasks, ten at a time; one of them fails."""
    finished = []
    failed = []

    async def send(number: int) -> None:
        await asyncio.sleep(0)
        if number == 13:
            raise ConnectionError("the mail server hung up")
        finished.append(number)

    def note(name: str, error: BaseException) -> None:
        failed.append(f"{name}: {error}")

    most = 0
    async with BackgroundTasks(limit=10, on_error=note) as tasks:
        for number in range(100):
            await tasks.spawn(send(number), name=f"mail {number}")
            most = max(most, len(tasks))
    print(f"{len(finished)} finished, at most {most} at once")
    print(f"failed: {failed}")
    print(f"{len(tasks)} still held")


def main() -> None:
    """Run the demo."""
    asyncio.run(demo())
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
