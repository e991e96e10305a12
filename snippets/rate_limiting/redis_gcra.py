# /// script
# requires-python = ">=3.11"
# dependencies = ["redis>=8.1,<9"]
#
# [tool.firedrill]
# needs = ["redis"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""GCRA in Redis or Valkey: one limit for all your processes.

One Lua script reads, decides and writes, so that no other client comes in
between. The server's TIME is the only clock. Several policies (a burst, a
sustained rate, a daily quota) are checked together: a request passes all of
them or is charged to none. Each key expires when it would be empty anyway.

Bound, per policy: any half-open window of `window` seconds admits at most
burst + limit, over all processes together.
Cost: one round trip, O(policies) time, one small string per key and policy.
`{...}` in the key names keeps the policies of one client in one cluster slot.
A failover may lose the last writes of the old primary: they are then admitted
again. Give the client a short socket timeout, and decide what an outage means.

Source: Redis documentation, EVAL and TIME, https://redis.io/docs/latest/
develop/programmability/eval-intro/; algorithm:
https://brandur.org/rate-limiting
"""

import asyncio
import hashlib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

# --8<-- [start:script]
# KEYS: one per policy. ARGV: cost, then spacing in microseconds and burst of
# each policy. Returns wait, remaining and reset of each, in microseconds.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost = tonumber(ARGV[1])
local answer, tats, passed = {}, {}, true

for i, key in ipairs(KEYS) do
  local spacing, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local tat = math.max(tonumber(redis.call('GET', key) or now), now)
  -- A clock set back, or a lowered limit, must not lock anybody out.
  tat = math.min(tat, now + spacing * burst)
  local wait = tat + spacing * cost - spacing * burst - now
  passed = passed and wait <= 0
  tats[i] = tat
  answer[i] = {math.max(wait, 0), 0, 0}
end

for i, key in ipairs(KEYS) do
  local spacing, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  if passed then
    tats[i] = tats[i] + spacing * cost
    local life = math.ceil((tats[i] - now) / 1000)
    redis.call('SET', key, string.format('%.0f', tats[i]), 'PX', life)
  end
  answer[i][2] = math.floor(burst - (tats[i] - now) / spacing)
  answer[i][3] = tats[i] - now
end
return answer
"""
# --8<-- [end:script]


class Decision(NamedTuple):
    """The answer to one hit. Times are seconds from now."""

    allowed: bool
    remaining: int
    """Units that may still pass now, under `policy`."""
    retry_after: float
    """0 when allowed; math.inf when this cost can never pass."""
    reset_after: float
    """When `policy` has its whole burst available again."""
    policy: str
    """The one that binds: the longest wait, else the fewest units left."""
    violated: tuple[str, ...] = ()
    """The policies that refuse this hit."""


# --8<-- [start:policy]
@dataclass(frozen=True, slots=True)
class Policy:
    """`limit` units per `window` seconds, at most `burst` at once."""

    name: str
    limit: int
    window: float
    burst: int

    @property
    def spacing(self) -> int:
        """The time that one unit takes at the full rate, in microseconds."""
        return math.ceil(self.window * 1_000_000 / max(1, self.limit))

    @property
    def capacity(self) -> int:
        """The most units that can pass at once; 0 means closed."""
        return self.burst if self.limit else 0
        # --8<-- [end:policy]


# --8<-- [start:limiter]
class RedisGcra:
    """One limit over all processes that share a Redis; for asyncio."""

    def __init__(
        self,
        redis: AsyncRedis,
        policies: Sequence[Policy],
        prefix: str = "rate",
    ) -> None:
        self.policies = tuple(policies)
        self._prefix = prefix
        self._script = redis.register_script(SCRIPT)

    async def hit(self, key: str, cost: int = 1) -> Decision:
        """Ask to pass `cost` units now.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
            redis.RedisError: no answer; decide per route what that means.
        """
        if never := _never(self.policies, cost):
            return never
        keys, args = _call(self._prefix, key, self.policies, cost)
        return _decide(self.policies, await self._script(keys, args))
        # --8<-- [end:limiter]


# --8<-- [start:sync]
class SyncRedisGcra:
    """The same for threads: see RedisGcra."""

    def __init__(
        self, redis: Redis, policies: Sequence[Policy], prefix: str = "rate"
    ) -> None:
        self.policies = tuple(policies)
        self._prefix = prefix
        self._script = redis.register_script(SCRIPT)

    def hit(self, key: str, cost: int = 1) -> Decision:
        """Ask to pass `cost` units now; raises as RedisGcra.hit does."""
        if never := _never(self.policies, cost):
            return never
        keys, args = _call(self._prefix, key, self.policies, cost)
        return _decide(self.policies, self._script(keys, args))
        # --8<-- [end:sync]


def _never(policies: Sequence[Policy], cost: int) -> Decision | None:
    """Refuse, without a round trip, what no amount of waiting allows."""
    if not cost >= 1 or cost % 1:
        raise ValueError(f"cost must be a whole number >= 1, not {cost}")
    names = tuple(p.name for p in policies if cost > p.capacity)
    if not names:
        return None
    return Decision(False, 0, math.inf, 0.0, names[0], names)


def _call(
    prefix: str, key: str, policies: Sequence[Policy], cost: int
) -> tuple[list[str], list[int]]:
    # A hash: whatever a client sends, the name has one length and no braces.
    slot = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    keys = [f"{prefix}:{{{slot}}}:{p.name}" for p in policies]
    args = [n for p in policies for n in (p.spacing, p.capacity)]
    return keys, [cost, *args]


def _decide(
    policies: Sequence[Policy], answer: Sequence[tuple[int, int, int]]
) -> Decision:
    rows = list(zip(policies, answer, strict=True))
    # The longest wait binds; when all have room, the least room does.
    tightest, (wait, left, reset) = max(rows, key=lambda r: (r[1][0], -r[1][1]))
    return Decision(
        allowed=not wait,
        remaining=left,
        retry_after=wait / 1_000_000,
        reset_after=reset / 1_000_000,
        policy=tightest.name,
        violated=tuple(p.name for p, row in rows if row[0]),
    )


# --8<-- [start:demo]
async def demo(url: str) -> None:
    """Let twenty concurrent requests through two policies."""
    policies = [Policy("burst", 10, 1, 5), Policy("daily", 1000, 86400, 1000)]
    async with AsyncRedis.from_url(url) as redis:
        limiter = RedisGcra(redis, policies, prefix="firedrill:demo")
        user = f"alice-{os.getpid()}"
        answers = await asyncio.gather(*(limiter.hit(user) for _ in range(20)))
        print(f"20 at once: {sum(a.allowed for a in answers)} admitted")
        refused = next(a for a in answers if not a.allowed)
        print(f"refused by {refused.violated}")
        await asyncio.sleep(refused.retry_after)
        print(f"after retry_after: {(await limiter.hit(user)).allowed}")
        async for key in redis.scan_iter("firedrill:demo:*"):
            await redis.delete(key)
    # --8<-- [end:demo]


def main() -> None:
    """Run the demo against REDIS_URL."""
    url = os.environ.get("REDIS_URL")
    if not url:
        sys.exit(
            "Set REDIS_URL, for example: docker run -d -p 6379:6379"
            " valkey/valkey && export REDIS_URL=redis://127.0.0.1:6379/0"
            " (in the Firedrill repository: make lab)"
        )
    asyncio.run(demo(url))


if __name__ == "__main__":
    main()
