"""How long the event loop was blocked: the delay every other request would have seen."""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self


class LoopLag:
    """Measure the worst lag of the running event loop while the `async with` block runs.

    A background task sleeps for `interval` and notes how much later than asked it woke up. A call
    that blocks the loop for 200 ms shows as a lag of about 0.2 s; the last stretch, up to the end
    of the block, counts too. On an idle machine the lag is below 2 ms.

    Args:
        interval: seconds between two looks, above 0; a shorter block than this may go unseen in
            part, by at most `interval`.

    Attributes:
        worst: the longest lag so far, in seconds; 0.0 before the first look.

    Raises:
        ValueError: `interval` is not above 0.
    """

    def __init__(self, interval: float = 0.005) -> None:
        if not interval > 0:
            raise ValueError(f"interval must be above 0 seconds, not {interval!r}")
        self.worst = 0.0
        self._interval = interval
        self._due = 0.0
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start watching."""
        self._due = time.perf_counter() + self._interval
        self._watcher = asyncio.create_task(self._watch())
        # The watcher must be asleep before the block begins, or its first look comes too late.
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching, after one last look."""
        self._look()
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher

    async def _watch(self) -> None:
        while True:
            self._due = time.perf_counter() + self._interval
            await asyncio.sleep(self._interval)
            self._look()

    def _look(self) -> None:
        self.worst = max(self.worst, time.perf_counter() - self._due)
