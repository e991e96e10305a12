# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Token bucket: an average rate, and a burst that you choose.

A bucket holds at most `burst` tokens and gains `rate` tokens a second. A
request takes `cost` tokens or is refused. Nothing refills in the background:
the next hit works out what has been gained since the last.

Bound: any half-open window of W seconds admits at most burst + rate * W.
With burst equal to the limit this is twice the limit, as for a fixed window:
choose a burst far below it.
Cost: O(1) memory per active key and at most `max_keys` keys; O(1) time per hit:
each hit forgets at most two keys. When the table is full the key idle longest
is forgotten, which forgives what it had used: make the table larger than your
active keys.

One process, one thread (or one event loop): there is no lock inside.

Source: RFC 2697 and RFC 2698 meter traffic with token buckets,
https://www.rfc-editor.org/rfc/rfc2697
"""

import itertools
import math
from collections import OrderedDict
from typing import NamedTuple

ROUNDING = 1e-6  # tokens: who waits `retry_after` is not refused by a float


class Decision(NamedTuple):
    """The answer to one hit. Times are seconds from now."""

    allowed: bool
    remaining: int
    """Whole tokens left, 0 or more."""
    retry_after: float
    """0 when allowed; math.inf when this cost can never pass."""
    reset_after: float
    """When the bucket is full again."""


# --8<-- [start:core]
class TokenBucket:
    """`rate` tokens a second per key, at most `burst` at once.

    `rate` and `burst` may be changed while it runs: the tokens left stay, up
    to the new burst. A burst of 0 is closed.

    Raises:
        ValueError: `rate` is below 0 or not finite, or the burst is no whole
            number of 0 or more, or the table has no room for a key.
    """

    def __init__(
        self, rate: float, burst: int, max_keys: int = 100_000
    ) -> None:
        if not (0 <= rate < math.inf and _whole(burst) and max_keys >= 1):
            raise ValueError(
                "need a rate >= 0, a whole burst >= 0 and room for a key, not"
                f" rate {rate}, burst {burst}, max_keys {max_keys}"
            )
        self.rate = rate
        self.burst = burst
        self.max_keys = max_keys
        # key -> (tokens, when they were counted); the idlest key comes first
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._now = -math.inf

    def hit(self, key: str, now: float, cost: int = 1) -> Decision:
        """Ask for `cost` tokens at `now`, a monotonic time in seconds.

        Take time.monotonic(): a float as large as time.time() has no room for
        microseconds, and who waits as told may come too early.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
        """
        if not (_whole(cost) and cost):
            raise ValueError(f"cost must be a whole number >= 1, not {cost}")
        now = self._now = max(self._now, now)  # a clock set back stands still
        tokens, counted = self._buckets.pop(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - counted) * self.rate)
        allowed = cost <= tokens + ROUNDING
        if allowed:
            tokens -= cost
        self._buckets[key] = tokens, now
        self._forget_two_keys()
        retry = 0.0 if allowed else self._time_to_gain(cost - tokens)
        return Decision(
            allowed,
            int(tokens + ROUNDING),
            math.inf if cost > self.burst else retry,
            self._time_to_gain(self.burst - tokens),
        )

    def _forget_two_keys(self) -> None:
        """Drop buckets that are full again, and whatever exceeds the table."""
        fill = self._time_to_gain(self.burst)
        idlest = list(itertools.islice(self._buckets.items(), 2))
        for key, (_, counted) in idlest:
            full = counted + fill <= self._now
            if not full and len(self._buckets) <= self.max_keys:
                return
            del self._buckets[key]
            # --8<-- [end:core]

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._buckets)

    def _time_to_gain(self, tokens: float) -> float:
        """Return the seconds it takes to gain `tokens`."""
        if tokens <= 0:
            return 0.0
        return tokens / self.rate if self.rate > 0 else math.inf


def _whole(number: object) -> bool:
    """Say whether this is an int of 0 or more, and neither True nor False."""
    return type(number) is int and number >= 0


# --8<-- [start:demo]
def main() -> None:
    """Ask every 50 ms for two minutes, with a large and a small burst."""
    for burst in (100, 10, 1):
        limiter = TokenBucket(rate=100 / 60, burst=burst)
        times = [i / 20 for i in range(2400)]
        kept = [now for now in times if limiter.hit("mallory", now).allowed]
        worst = sum(now < 60 for now in kept)
        print(f"100 a minute, burst {burst:3}: {worst} in the first minute")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
