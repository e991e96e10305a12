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
per `retry_after` (or per `hold`, if that ends first), not one per request. Use
it when the shared limiter is the bottleneck.

Bound: the shared limiter's own, plus size - 1 per process and key: units taken
earlier may be spent up to `hold` seconds later. Units that nobody spends are
lost, never given twice. So it pays only while one process spends an allotment
within `hold`: `size` at most that key's requests a second there, times `hold`.
Beyond, the shared limiter runs dry and each request costs two calls.
Cost: one shared call per `size` requests, and never two at once for one key;
O(1) memory per key, and at most `max_keys` keys (the oldest is given up).

One process, one event loop.

Source: related, but there the limits are pushed to the tasks, not pulled:
Google SRE book, "Handling overload",
https://sre.google/sre-book/handling-overload/
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary


class Decision(NamedTuple):
    """The answer to one hit, as RedisGcra gives it. Seconds from now."""

    allowed: bool
    remaining: int
    """Units left here, and there when it was last asked."""
    retry_after: float
    """0 when allowed; math.inf when this cost can never pass."""
    reset_after: float
    """When everything is available again."""
    policy: str = ""
    violated: tuple[str, ...] = ()


class Limiter(Protocol):
    """The shared limiter, such as RedisGcra."""

    @property
    def policies(self) -> Sequence[Any]:
        """What each request is held against."""

    async def hit(self, key: str, cost: int = 1) -> tuple[Any, ...]:
        """Take `cost` units or none; answer with the fields of Decision."""


@dataclass(slots=True)
class _Allotment:
    answer: Decision
    """What the shared limiter said when it was asked."""
    asked: float
    until: float
    """When the units are void, or the refusal is asked for again."""
    units: int
    """What may still be spent here; of a refusal, what was refused."""


# --8<-- [start:core]
class LocalAllotment:
    """Spend units locally that `shared` gave; fits wherever `shared` fits.

    Args:
        shared: the limiter that all processes share.
        size: units per call, at most the shared limiter's burst.
        hold: seconds, above 0, for which units or a refusal are kept.
        max_keys: how many keys are remembered, 1 or more.
        clock: monotonic time in seconds.

    Raises:
        ValueError: one of the numbers is out of its bounds.
    """

    def __init__(
        self,
        shared: Limiter,
        size: int,
        hold: float,
        max_keys: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (_count(size) and hold > 0 and max_keys >= 1):
            raise ValueError(
                "need a whole size >= 1, hold > 0 and room for a key, not"
                f" size {size}, hold {hold}, max_keys {max_keys}"
            )
        self.shared = shared
        self.policies = shared.policies
        self.size = size
        self.hold = hold
        self.max_keys = max_keys
        self._clock = clock
        self._keys: OrderedDict[str, _Allotment] = OrderedDict()
        # A lock goes when nobody asks, or waits for who asks, any more.
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    async def hit(self, key: str, cost: int = 1) -> Decision:
        """Ask to pass `cost` units now; raises what `shared` raises.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
        """
        if not _count(cost):
            raise ValueError(f"cost must be a whole number >= 1, not {cost}")
        mine = self._known(key, cost)
        if mine is None:
            async with self._locks.setdefault(key, asyncio.Lock()):
                # Whoever had the lock may have brought enough for all.
                mine = self._known(key, cost) or await self._ask(key, cost)
        answer, age = mine.answer, self._clock() - mine.asked
        if answer.allowed:
            mine.units -= cost
            answer = answer._replace(remaining=answer.remaining + mine.units)
        return answer._replace(
            retry_after=max(0.0, answer.retry_after - age),
            reset_after=max(0.0, answer.reset_after - age),
        )

    def _known(self, key: str, cost: int) -> _Allotment | None:
        """Return what decides this hit without a call, if anything does."""
        mine = self._keys.get(key)
        if mine is None or mine.until <= self._clock():
            return None
        if mine.answer.allowed:
            return mine if cost <= mine.units else None
        return mine if cost >= mine.units else None  # a smaller one may pass

    async def _ask(self, key: str, cost: int) -> _Allotment:
        """Take a whole allotment, or `cost` when that is all there is."""
        units = max(self.size, cost)
        answer = Decision(*await self.shared.hit(key, units))
        if units > cost and not answer.allowed:
            units = cost
            answer = Decision(*await self.shared.hit(key, units))
        now = self._clock()
        keep = self.hold
        if not answer.allowed:  # math.inf is "never", but limits are changed
            keep = min(keep, answer.retry_after)
        mine = _Allotment(answer, now, now + keep, units)
        self._keys[key] = mine
        self._keys.move_to_end(key)
        if len(self._keys) > self.max_keys:
            self._keys.popitem(last=False)
        return mine
        # --8<-- [end:core]


def _count(number: object) -> bool:
    """Say whether this is an int of 1 or more, and not True."""
    return type(number) is int and number >= 1


# --8<-- [start:demo]
class _Shared:
    """The shared limiter: 600 units a minute, at most 50 at once."""

    policies = ()

    def __init__(self) -> None:
        self.now, self.calls = 0.0, 0
        self._full_at: dict[str, float] = {}

    async def hit(self, key: str, cost: int = 1) -> Decision:
        self.calls += 1
        full_at = max(self._full_at.get(key, 0.0), self.now) + cost / 10
        wait = max(0.0, round(full_at - self.now - 5, 6))  # 5 s are 50 units
        if not wait:
            self._full_at[key] = full_at
        return Decision(not wait, 0, wait, 0.0)


async def demo(size: int) -> None:
    """Send 480 requests a minute to four servers, in turn."""
    shared, passed = _Shared(), 0
    fleet = [
        LocalAllotment(shared, size, hold=5.0, clock=lambda: shared.now)
        for _ in range(4)
    ]
    for i in range(4000):
        shared.now = i / 8
        passed += (await fleet[i % 4].hit("bob")).allowed
    share, calls = passed / 4000, shared.calls // 4
    print(f"{size:2} at once: {share:.0%} pass, {calls} calls per 1,000")
    # --8<-- [end:demo]


def main() -> None:
    """Show where larger allotments stop paying."""
    for size in (1, 10, 20, 50):
        asyncio.run(demo(size))


if __name__ == "__main__":
    main()
