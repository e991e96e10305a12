# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Sliding-window counter: two numbers per key, and one assumption.

It keeps the count of this window and of the one before, and assumes that the
previous window's requests came evenly. Use it for large limits on traffic that
is not hostile. An attacker breaks the assumption by sending them all at once.

Bound: any half-open window of `window` seconds admits at most 2 * limit - 1.
Cost: O(1) memory per active key, O(1) time per hit: each hit forgets at most
two keys that are idle.
Arithmetic is in whole microseconds, so that a client that waits `retry_after`
is admitted and not turned away by a rounding error.

One process, one thread (or one event loop): there is no lock inside.

Source: Cloudflare, "How we built rate limiting capable of scaling to millions
of domains",
https://blog.cloudflare.com/counting-things-a-lot-of-different-things/
"""

import itertools
import math
from collections import OrderedDict
from typing import NamedTuple

SECOND = 1_000_000  # microseconds


class Decision(NamedTuple):
    """The answer to one hit. Times are seconds from now."""

    allowed: bool
    remaining: int
    """Units that may still pass now, 0 or more."""
    retry_after: float
    """0 when allowed; math.inf when this cost can never pass."""
    reset_after: float
    """When nothing is used any more."""


class _Counts(NamedTuple):
    window: int
    previous: int
    current: int


# --8<-- [start:core]
class SlidingWindowCounter:
    """About `limit` units per key in any `window` seconds.

    `limit` may be changed while it runs. A limit of 0 is closed.

    Raises:
        ValueError: the limit is no whole number of 0 or more, or the window
            is shorter than a microsecond or endless.
    """

    def __init__(self, limit: int, window: float) -> None:
        if not (_whole(limit) and 1 / SECOND <= window < math.inf):
            raise ValueError(
                "need a whole limit >= 0 and a window >= 0.000001 seconds, not"
                f" limit {limit}, window {window}"
            )
        self.limit = limit
        self._width = round(window * SECOND)
        self._keys: OrderedDict[str, _Counts] = OrderedDict()
        self._now = 0

    def hit(self, key: str, now: float, cost: int = 1) -> Decision:
        """Ask to pass `cost` units at `now`, a monotonic time in seconds.

        Take time.monotonic(): a float as large as time.time() has no room for
        microseconds, and who waits as told may come too early.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
        """
        if not (_whole(cost) and cost):
            raise ValueError(f"cost must be a whole number >= 1, not {cost}")
        self._now = max(self._now, round(now * SECOND))  # never goes back
        window, elapsed = divmod(self._now, self._width)
        self._forget_idle_keys(window)
        previous, current = self._counts(key, window)
        # The part of the previous window that the sliding window still covers.
        weighted = previous * (self._width - elapsed)
        used = current - (-weighted // self._width)  # rounded up
        room = max(0, self.limit - used)
        if cost <= room:
            current += cost
            self._keys[key] = _Counts(window, previous, current)
            self._keys.move_to_end(key)
            wait = 0.0
        else:
            wait = self._wait(previous, current, cost, elapsed)
        reset = (2 if current else 1 if previous else 0) * self._width
        return Decision(
            cost <= room,
            room - cost if cost <= room else room,
            wait,
            max(0, reset - elapsed) / SECOND,
        )
        # --8<-- [end:core]

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._keys)

    def _counts(self, key: str, window: int) -> tuple[int, int]:
        """Return the previous and the current count as of `window`."""
        seen = self._keys.get(key, _Counts(window, 0, 0))
        if seen.window == window:
            return seen.previous, seen.current
        return (seen.current if seen.window == window - 1 else 0), 0

    def _wait(self, previous: int, current: int, cost: int, at: int) -> float:
        """Return how long until `cost` fits, in seconds."""
        if cost > self.limit:
            return math.inf
        fading, room, wait = previous, self.limit - current - cost, -at
        if room < 0:  # not in this window: its own count has to fade first
            fading, room, wait = current, self.limit - cost, self._width - at
        # Solve fading * (width - t) / width <= room for the first whole t.
        return (wait + self._width - room * self._width // fading) / SECOND

    def _forget_idle_keys(self, window: int) -> None:
        """Drop keys two windows old: they equal unknown keys."""
        for key, seen in list(itertools.islice(self._keys.items(), 2)):
            if seen.window >= window - 1:
                return
            del self._keys[key]


def _whole(number: object) -> bool:
    """Say whether this is an int of 0 or more, and neither True nor False."""
    return type(number) is int and number >= 0


# --8<-- [start:demo]
def main() -> None:
    """Send requests evenly, then a hundred of them at an unlucky moment."""
    even = [i * 0.6 for i in range(300)]
    unlucky = [59.999] * 100 + [60 + i * 0.6 for i in range(1, 200)]
    for title, load in (("evenly", even), ("100 at 59.999 s", unlucky)):
        limiter = SlidingWindowCounter(limit=100, window=60.0)
        passed = [now for now in load if limiter.hit("bob", now).allowed]
        worst = max(sum(t <= now < t + 60 for now in passed) for t in passed)
        print(f"limit 100, sent {title}: {worst} in the worst minute")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
