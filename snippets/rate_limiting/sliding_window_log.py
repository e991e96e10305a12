# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Sliding-window log: the exact limit, paid for in memory.

It remembers when each admitted unit passed. Use it where the limit is small
and must be exact, such as 5 sign-ins in 15 minutes.

Bound: any half-open window of `window` seconds admits at most `limit`.
Cost: O(limit) memory per active key, amortised O(1) time per hit: a hit drops
the key's own units that have left, at most `limit`, and at most two idle keys.
Rejected hits are not logged: a client that keeps knocking is not locked out
for ever, as it is where each attempt is recorded.

One process, one thread (or one event loop): there is no lock inside.

Source: the moving window of the library limits,
https://limits.readthedocs.io/en/stable/strategies.html
"""

import itertools
import math
from collections import OrderedDict, deque
from typing import NamedTuple


class Decision(NamedTuple):
    """The answer to one hit. Times are seconds from now."""

    allowed: bool
    remaining: int
    """Units that may still pass now, 0 or more."""
    retry_after: float
    """0 when allowed; math.inf when this cost can never pass."""
    reset_after: float
    """When nothing is used any more."""


# --8<-- [start:core]
class SlidingWindowLog:
    """At most `limit` units per key in any `window` seconds.

    `limit` and `window` may be changed while it runs. A limit of 0 is closed.

    Raises:
        ValueError: the limit is no whole number of 0 or more, or the window
            is not above 0 seconds.
    """

    def __init__(self, limit: int, window: float) -> None:
        if not (_whole(limit) and 0 < window < math.inf):
            raise ValueError(
                "need a whole limit >= 0 and a window > 0 seconds, not"
                f" limit {limit}, window {window}"
            )
        self.limit = limit
        self.window = window
        self._logs: OrderedDict[str, deque[float]] = OrderedDict()
        self._now = -math.inf

    def hit(self, key: str, now: float, cost: int = 1) -> Decision:
        """Ask to pass `cost` units at `now`, a monotonic time in seconds.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
        """
        if not (_whole(cost) and cost):
            raise ValueError(f"cost must be a whole number >= 1, not {cost}")
        now = self._now = max(self._now, now)  # a clock set back stands still
        self._forget_idle_keys()
        log = self._logs.get(key, deque())
        while log and log[0] + self.window <= now:
            log.popleft()
        room = max(0, self.limit - len(log))
        if cost > self.limit:
            return Decision(False, room, math.inf, self._reset(log))
        if cost > room:  # wait until the oldest units in the way have left
            last_in_the_way = log[len(log) + cost - self.limit - 1]
            wait = last_in_the_way + self.window - now
            return Decision(False, room, wait, self._reset(log))
        log.extend([now] * cost)
        self._logs[key] = log
        self._logs.move_to_end(key)
        return Decision(True, room - cost, 0.0, self._reset(log))
        # --8<-- [end:core]

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._logs)

    def _reset(self, log: deque[float]) -> float:
        return log[-1] + self.window - self._now if log else 0.0

    def _forget_idle_keys(self) -> None:
        """Drop keys whose last unit has left: they equal unknown keys."""
        for key, log in list(itertools.islice(self._logs.items(), 2)):
            if log and log[-1] + self.window > self._now:
                return
            del self._logs[key]


def _whole(number: object) -> bool:
    """Say whether this is an int of 0 or more, and neither True nor False."""
    return type(number) is int and number >= 0


# --8<-- [start:demo]
def main() -> None:
    """Send 100 requests on either side of a minute's boundary."""
    limiter = SlidingWindowLog(limit=100, window=60.0)
    times = [59.0 + i / 100 for i in range(200)]
    passed = sum(limiter.hit("mallory", now).allowed for now in times)
    print(f"limit 100 a minute, 200 requests in 2 s: {passed} admitted")
    refused = limiter.hit("mallory", 61.0)
    print(f"retry after {refused.retry_after:.0f} s")
    print(f"and then: {limiter.hit('mallory', 119.0).allowed}")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
