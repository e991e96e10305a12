# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Local allotments: ask the shared limiter once for many requests.

Each process takes `size` units at a time from the shared limiter and spends
them locally. A refusal is remembered too, so an attacker costs one shared call
per `retry_after`, not one per request. Use it when the shared limiter is the
bottleneck.

Bound: the shared limiter's own, plus size - 1 per process and key: units taken
earlier may be spent up to `hold` seconds later. Units that nobody spends are
lost, never given twice. So it pays only while one process spends an allotment
within `hold`: `size` at most that key's requests a second there, times `hold`.
Beyond, the shared limiter runs dry and each request costs two calls.
Cost: one shared call per `size` requests; O(1) memory per key, and at most
`max_keys` keys (the oldest allotment is given up).

One process, one thread: there is no lock inside.

Source: related, but there the limits are pushed to the tasks, not pulled:
Google SRE book, "Handling overload",
https://sre.google/sre-book/handling-overload/
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Decision(Protocol):
    """What the shared limiter answers; seconds from now."""

    @property
    def allowed(self) -> bool:
        """Whether the units were given."""

    @property
    def retry_after(self) -> float:
        """When to ask again."""


class _Allotment(NamedTuple):
    units: int
    """What may still be spent here; 0 after a refusal."""
    until: float
    """When the units are void, or when to ask again."""


# --8<-- [start:core]
class LocalAllotment:
    """Spend units locally that `take` got from the shared limiter.

    Args:
        take: `take(key, units)` asks the shared limiter, all or nothing.
        size: units per call, at most the shared limiter's burst.
        hold: seconds after which unspent units are void.
        max_keys: how many keys are remembered.
    """

    def __init__(
        self,
        take: Callable[[str, int], Decision],
        size: int,
        hold: float,
        max_keys: int = 100_000,
    ) -> None:
        self.take = take
        self.size = size
        self.hold = hold
        self.max_keys = max_keys
        self._keys: OrderedDict[str, _Allotment] = OrderedDict()

    def allow(self, key: str, now: float) -> bool:
        """Say whether one request may pass at `now`, monotonic seconds.

        Raises whatever `take` raises.
        """
        mine = self._keys.pop(key, None)
        if mine is None or mine.until <= now:
            mine = self._ask(key, now)
        allowed = mine.units > 0
        self._keys[key] = mine._replace(units=mine.units - allowed)
        if mine.units == 1:  # spent: ask again next time
            del self._keys[key]
        if len(self._keys) > self.max_keys:
            self._keys.popitem(last=False)
        return allowed

    def _ask(self, key: str, now: float) -> _Allotment:
        """Take a whole allotment, or one unit when that is all there is."""
        for units in dict.fromkeys((self.size, 1)):
            answer = self.take(key, units)
            if answer.allowed:
                return _Allotment(units, now + self.hold)
        return _Allotment(0, now + answer.retry_after)
        # --8<-- [end:core]


# --8<-- [start:demo]
class _Answer(NamedTuple):
    allowed: bool
    retry_after: float


class _Shared:
    """The shared limiter: 600 units a minute, at most 50 at once."""

    def __init__(self) -> None:
        self.now, self.calls, self._full_at = 0.0, 0, 0.0

    def take(self, _key: str, units: int) -> _Answer:
        self.calls += 1
        full_at = max(self._full_at, self.now) + units / 10
        wait = round(full_at - self.now - 5, 6)  # empty is 5 s before full
        if wait <= 0:
            self._full_at = full_at
        return _Answer(wait <= 0, wait)


def main() -> None:
    """Send 480 requests a minute to four servers, in turn."""
    for size in (1, 10, 20, 50):
        shared = _Shared()
        fleet = [LocalAllotment(shared.take, size, hold=5.0) for _ in range(4)]
        passed = 0
        for i in range(4000):
            shared.now = i / 8
            passed += fleet[i % 4].allow("bob", shared.now)
        share, calls = passed / 4000, shared.calls // 4
        print(f"{size:2} at once: {share:.0%} pass, {calls} calls per 1,000")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
