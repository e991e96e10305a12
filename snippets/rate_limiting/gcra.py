# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""GCRA: a token bucket in one integer per key.

The generic cell rate algorithm stores only the theoretical arrival time (TAT):
when the next unit would arrive if all so far had come evenly spaced. A request
passes if it is not further ahead of that schedule than the burst allows.

Bound: any half-open window of `window` seconds admits at most burst + limit.
Cost: one integer per active key, O(1) time per hit: each hit forgets at most
two keys that are idle.
Times are whole microseconds. The spacing is rounded up to the next one, so the
rate is never exceeded; above 10,000 units a second that can cost over 1 %.

One process, one thread (or one event loop): there is no lock inside.

Source: Brandur Leach, "Rate Limiting, Cells, and GCRA",
https://brandur.org/rate-limiting; where it comes from: RFC 2381 section 2.2,
https://www.rfc-editor.org/rfc/rfc2381#section-2.2
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
    """When the whole burst is available again."""


# --8<-- [start:core]
def gcra(
    tat: int, now: int, spacing: int, burst: int, cost: int
) -> tuple[int, int]:
    """Return the new TAT and the wait, all in microseconds.

    A wait of 0 means that the request passes; otherwise nothing is added to
    the TAT. `spacing` is the time that one unit takes at the full rate.
    """
    full = now + burst * spacing
    tat = min(max(tat, now), full)  # a higher limit may have left more behind
    new_tat = tat + cost * spacing
    return (new_tat, 0) if new_tat <= full else (tat, new_tat - full)
    # --8<-- [end:core]


# --8<-- [start:limiter]
class Gcra:
    """`limit` units per key and `window` seconds, at most `burst` at once.

    `set_limit` may be called while it runs. A limit or burst of 0 is closed.
    """

    def __init__(self, limit: int, window: float, burst: int) -> None:
        self._tats: OrderedDict[str, int] = OrderedDict()
        self._now = 0
        self.set_limit(limit, window, burst)

    def set_limit(self, limit: int, window: float, burst: int) -> None:
        """Change the limit.

        Each key keeps the time when it has its whole burst again, or takes
        that of a bucket emptied now, whichever comes first.

        Raises:
            ValueError: no whole number of 0 or more, or no window above 0.
        """
        if not (_whole(limit) and _whole(burst) and 0 < window < math.inf):
            raise ValueError(
                "need whole numbers >= 0 and a window > 0 seconds, not"
                f" limit {limit}, window {window}, burst {burst}"
            )
        self._burst = burst if limit else 0
        self._spacing = math.ceil(window * SECOND / limit) if limit else 1

    def hit(self, key: str, now: float, cost: int = 1) -> Decision:
        """Ask to pass `cost` units at `now`, a monotonic time in seconds.

        Take time.monotonic(): a float as large as time.time() has no room for
        microseconds, and who waits as told may come one too early.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
        """
        if not (_whole(cost) and cost):
            raise ValueError(f"cost must be a whole number >= 1, not {cost}")
        self._now = at = max(self._now, round(now * SECOND))  # never goes back
        self._forget_idle_keys()
        tat = self._tats.get(key, at)
        tat, wait = gcra(tat, at, self._spacing, self._burst, cost)
        if cost <= self._burst:  # also when refused: the TAT may have been cut
            self._tats[key] = tat
            self._tats.move_to_end(key)
        ahead = max(0, tat - at)
        return Decision(
            not wait,
            max(0, self._burst - -(-ahead // self._spacing)),
            math.inf if cost > self._burst else wait / SECOND,
            ahead / SECOND,
        )
        # --8<-- [end:limiter]

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._tats)

    def _forget_idle_keys(self) -> None:
        """Drop keys whose TAT has passed: they equal unknown keys."""
        for key, tat in list(itertools.islice(self._tats.items(), 2)):
            if tat > self._now:
                return
            del self._tats[key]


def _whole(number: object) -> bool:
    """Say whether this is an int of 0 or more, and neither True nor False."""
    return type(number) is int and number >= 0


# --8<-- [start:demo]
def main() -> None:
    """Show the burst, the wait, and the steady rate that follows."""
    limiter = Gcra(limit=60, window=60.0, burst=5)
    for now in (0, 0, 0, 0, 0, 0, 0.5, 1, 2):
        answer = limiter.hit("alice", now)
        word = "pass" if answer.allowed else "wait"
        after = f", retry after {answer.retry_after} s" * (not answer.allowed)
        print(f"{now:3} s  {word}  {answer.remaining} left{after}")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
