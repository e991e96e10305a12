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
Cost: one number, O(1).

One process, one event loop: there is no lock inside.

Source: RFC 2475 section 2.3.3.3 (shapers),
https://www.rfc-editor.org/rfc/rfc2475#section-2.3.3.3. Not to be confused with
the leaky bucket of Turner, 1986, which is a meter and delays nothing.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class BucketFullError(Exception):
    """The wait would be too long; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full, retry after {retry_after:.3f} s")
        self.retry_after = retry_after


# --8<-- [start:core]
class LeakyBucket:
    """Let requests leave evenly, `rate` (above 0) a second.

    Args:
        rate: departures a second, above 0.
        longest_wait: seconds that a request may be held back, 0 or more.
    """

    def __init__(self, rate: float, longest_wait: float) -> None:
        if not rate > 0:
            raise ValueError(f"rate must be above 0 a second, not {rate}")
        self.spacing = 1 / rate
        self.longest_wait = longest_wait
        self._next_departure = -math.inf

    def reserve(self, now: float) -> float:
        """Take the next departure and return the wait for it, in seconds.

        Raises:
            BucketFullError: the wait would exceed `longest_wait`.
        """
        departure = max(self._next_departure, now)
        wait = departure - now
        if wait > self.longest_wait:
            raise BucketFullError(wait - self.longest_wait)
        self._next_departure = departure + self.spacing
        return wait


async def shaped(
    bucket: LeakyBucket,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Return when it is this caller's turn, in order of arrival."""
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
