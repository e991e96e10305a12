# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Concurrency limit: bound the work in flight, not its rate.

By Little's law, in flight = rate * duration: when the backend becomes ten
times slower, the same rate means ten times the work in flight, and a rate
limit notices nothing. Use this beside a rate limit, in front of whatever slows
down under load.

The limit adapts by AIMD: while requests finish in time and the limit is in use
it grows by one per `limit` requests. One that is late, however it ends, cuts it
by a tenth, at most once per `in_time`: a crowd of late ones is one sign. Set
`most` equal to `least` for a fixed limit.

Bound: at most `most` requests in flight at any time, in this process. Nothing
waits in a queue: what does not fit is refused at once, with 503. One that never
ends is never judged: put a timeout around the work.
Cost: O(1). One event loop, one thread: there is no lock inside.

Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance in computer networks", 1989,
https://doi.org/10.1016/0169-7552(89)90019-6
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class OverloadedError(Exception):
    """No slot is free; answer 503 and do not start the work."""


# --8<-- [start:core]
class ConcurrencyLimit:
    """Between `least` and `most` requests in flight, as the backend bears it.

    Args:
        least: never below this many, so that recovery can be noticed.
        most: never above this many.
        in_time: seconds above 0; a request that takes longer, or fails with
            TimeoutError, is a sign of overload.
        clock: monotonic time in seconds.

    Raises:
        ValueError: these bounds are no whole numbers, or they cross.
    """

    def __init__(
        self,
        least: int,
        most: int,
        in_time: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        whole = type(least) is type(most) is int
        if not (whole and 1 <= least <= most and in_time > 0):
            raise ValueError(
                "need whole numbers 1 <= least <= most and in_time > 0, not"
                f" least {least}, most {most}, in_time {in_time}"
            )
        self.least = least
        self.most = most
        self.in_time = in_time
        self.limit = float(least)
        self.in_flight = 0
        self._clock = clock
        self._next_cut = -math.inf

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot for the length of the block.

        Raises:
            OverloadedError: all slots are taken.
        """
        if self.in_flight >= int(self.limit):
            raise OverloadedError(f"{self.in_flight} requests are in flight")
        self.in_flight += 1
        busy = self.in_flight * 2 >= self.limit
        started = self._clock()
        late = served = False
        try:
            yield
            served = True
        except TimeoutError:
            late = True
            raise
        finally:  # also when it fails or is cancelled: late is late
            self.in_flight -= 1
            now = self._clock()
            if late or now - started > self.in_time:
                self._cut(now)
            elif served and busy:  # an idle service proves nothing
                self.limit = min(self.most, self.limit + 1 / self.limit)

    def _cut(self, now: float) -> None:
        if now >= self._next_cut:
            self._next_cut = now + self.in_time
            self.limit = max(self.least, self.limit * 0.9)
        # --8<-- [end:core]


# --8<-- [start:demo]
async def demo() -> None:
    """Serve a healthy backend, then one that has become slow."""
    now = 0.0
    limiter = ConcurrencyLimit(2, 50, in_time=0.1, clock=lambda: now)
    for title, duration in (("healthy", 0.05), ("slow", 0.5)):
        for _ in range(30):
            slots = [limiter.slot() for _ in range(int(limiter.limit))]
            for slot in slots:
                await slot.__aenter__()
            now += duration
            for slot in slots:
                await slot.__aexit__(None, None, None)
        print(f"backend {title}: limit is {int(limiter.limit)} in flight")
    # --8<-- [end:demo]


def main() -> None:
    """Run the demo."""
    asyncio.run(demo())


if __name__ == "__main__":
    main()
