# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Leaky bucket as a shaper: requests wait their turn instead of being refused.

Requests leave one by one, `rate` a second. One that comes early is told how
long to wait; one that would wait too long is refused. Use it where a delay is
better than a refusal: towards a backend that needs an even flow, or for your
own calls to somebody else's API.

Bound: the departures of any half-open window of W seconds are at most
ceil(rate * W): no burst at all. The price is latency, at most `longest_wait`.
Cost: two numbers, O(1).
Times are whole microseconds. The spacing is rounded up to the next one, so the
rate is never exceeded; above 10,000 a second that can cost over 1 %.

One process, one event loop: there is no lock inside.

Source: RFC 2475 section 2.3.3.3 (shapers),
https://www.rfc-editor.org/rfc/rfc2475#section-2.3.3.3. Not to be confused with
the leaky bucket of Turner, 1986, which is a meter and delays nothing.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

SECOND = 1_000_000  # microseconds


class BucketFullError(Exception):
    """The wait would be too long; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full, retry after {retry_after:.3f} s")
        self.retry_after = retry_after


# --8<-- [start:core]
class LeakyBucket:
    """Let requests leave evenly.

    Args:
        rate: departures a second, above 0.
        longest_wait: seconds that a request may be held back, 0 or more.

    Raises:
        ValueError: one of them is not.
    """

    def __init__(self, rate: float, longest_wait: float) -> None:
        if not (0 < rate < math.inf and longest_wait >= 0):
            raise ValueError(
                "need a rate > 0 a second and a longest wait >= 0 seconds, not"
                f" rate {rate}, longest_wait {longest_wait}"
            )
        self._spacing = math.ceil(SECOND / rate)
        self._longest_wait = longest_wait * SECOND
        self._next_departure = self._now = 0

    def reserve(self, now: float) -> float:
        """Take the next departure and return the wait for it, in seconds.

        `now` is a monotonic time in seconds.

        Raises:
            BucketFullError: the wait would exceed `longest_wait`.
        """
        self._now = at = max(self._now, round(now * SECOND))  # never goes back
        departure = max(self._next_departure, at)
        wait = departure - at
        if wait > self._longest_wait:
            too_long = math.ceil(wait - self._longest_wait)
            raise BucketFullError(too_long / SECOND)
        self._next_departure = departure + self._spacing
        return wait / SECOND


async def shaped(
    bucket: LeakyBucket,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Return when it is this caller's turn, in order of arrival.

    A caller that is cancelled while it waits keeps its turn: those behind it
    do not move up.

    Raises:
        BucketFullError: the wait would exceed the bucket's `longest_wait`.
    """
    await sleep(bucket.reserve(clock()))
    # --8<-- [end:core]


# --8<-- [start:demo]
def main() -> None:
    """Let seven requests arrive at once where four a second may leave."""
    bucket = LeakyBucket(rate=4, longest_wait=1.0)
    for number in range(1, 8):
        try:
            print(f"request {number} leaves at {bucket.reserve(0.0):.2f} s")
        except BucketFullError as full:
            print(f"request {number} refused: {full}")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
