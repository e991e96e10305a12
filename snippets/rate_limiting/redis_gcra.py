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

A lowered limit, or a clock set back, locks nobody out: the wait that is left is
cut to that of an emptied bucket, and who waits as told is admitted.

Bound, per policy: any half-open window of `window` seconds admits at most
burst + limit, over all processes together.
Cost: one round trip, O(policies) time, one small string per key and policy.
`{...}` in the key names keeps the policies of one client in one cluster slot.
A failover may lose the last writes of the old primary: they are then admitted
again. Takes Redis and RedisCluster clients. Make them by from_url with a short
socket_timeout: Redis(host=...) repeats a failed call ten times, with pauses.

Source: Redis documentation, EVAL and TIME, https://redis.io/docs/latest/
develop/programmability/eval-intro/; algorithm:
https://brandur.org/rate-limiting
"""

import asyncio
import hashlib
import math
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis, RedisError
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster

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
  local full = now + spacing * burst
  local tat = math.max(tonumber(redis.call('GET', key) or now), now)
  if tat > full then -- a lowered limit, or a clock set back: lock nobody out
    tat = full
    redis.call('SET', key, string.format('%.0f', tat),
      'PX', math.ceil((tat - now) / 1000))
  end
  local wait = tat + spacing * cost - full
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
    """`limit` units per `window` seconds, at most `burst` at once.

    Raises:
        ValueError: the name does not fit into a header, a number is no whole
            number of 0 or more, or the window is not above 0 seconds.
    """

    name: str
    limit: int
    window: float
    burst: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[ !#-\[\]-~]+", self.name):
            raise ValueError(f"printable ASCII without quotes, not {self!r}")
        if not (_whole(self.limit) and _whole(self.burst)):
            raise ValueError(f"limit and burst must be whole, >= 0: {self!r}")
        if not 0 < self.window < math.inf:
            raise ValueError(f"the window must be above 0 seconds: {self!r}")
        if self.spacing * self.burst >= 2**52:  # Lua counts in doubles
            raise ValueError(f"the burst takes over 142 years: {self!r}")

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
        redis: AsyncRedis | AsyncRedisCluster,
        policies: Sequence[Policy],
        prefix: str = "rate",
    ) -> None:
        self.policies = _checked(policies)
        self._prefix = prefix
        self._script = redis.register_script(SCRIPT)

    async def hit(self, key: str, cost: int = 1) -> Decision:
        """Ask to pass `cost` units now.

        Raises:
            ValueError: `cost` is not a whole number of 1 or more.
            redis.RedisError: no answer; decide per route what that means. A
                RedisCluster raises RedisClusterException too, which is none.
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
        self,
        redis: Redis | RedisCluster,
        policies: Sequence[Policy],
        prefix: str = "rate",
    ) -> None:
        self.policies = _checked(policies)
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
    if not (_whole(cost) and cost):
        raise ValueError(f"cost must be a whole number >= 1, not {cost}")
    names = tuple(p.name for p in policies if cost > p.capacity)
    if not names:
        return None
    return Decision(False, 0, math.inf, 0.0, names[0], names)


def key_names(
    key: str, policies: Sequence[Policy], prefix: str = "rate"
) -> list[str]:
    """Return a client's key names in Redis: DEL them to free that client."""
    # A hash: whatever a client sends, the name has one length and no braces.
    data = key.encode("utf-8", "surrogatepass")
    slot = hashlib.blake2b(data, digest_size=16).hexdigest()
    return [f"{prefix}:{{{slot}}}:{p.name}" for p in policies]


def _call(
    prefix: str, key: str, policies: Sequence[Policy], cost: int
) -> tuple[list[str], list[int]]:
    args = [n for p in policies for n in (p.spacing, p.capacity)]
    return key_names(key, policies, prefix), [cost, *args]


def _checked(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    names = [p.name for p in policies]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"need policies with names of their own, not {names}")
    return tuple(policies)


def _whole(number: object) -> bool:
    """Say whether this is an int of 0 or more, and neither True nor False."""
    return type(number) is int and number >= 0


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


# --8<-- [start:wiring]
App = Callable[[Any, Any, Any], Awaitable[None]]


def connect(url: str) -> AsyncRedis:
    """Open at most eight connections; whoever finds none free waits.

    A plain client opens a hundred and then raises: a crowd sent by one client
    would look like an outage, and an outage opens routes.
    """
    return AsyncRedis.from_pool(
        BlockingConnectionPool.from_url(
            url, max_connections=8, timeout=1, socket_timeout=1
        )
    )


def protect(app: App, redis: AsyncRedis) -> App:
    """Limit an ASGI app, with rate_limit_middleware.py beside this file."""
    from rate_limit_middleware import (
        Guard,
        RateLimitMiddleware,
        Route,
        client_address,
    )

    def who(scope: dict[str, Any]) -> str:
        if account := scope.get("account"):  # set by your authentication
            return f"account {account}"
        return str(client_address(scope, trusted_hops=1))

    protected: App = RateLimitMiddleware(
        app,
        RedisGcra(redis, [Policy("minute", limit=100, window=60, burst=10)]),
        key=who,
        routes=[
            Route("/health", exempt=True),
            Route("/login", fail_open=False),
        ],
        guard=Guard(outage=(OSError, RedisError)),
    )
    return protected
    # --8<-- [end:wiring]


# --8<-- [start:demo]
async def demo(url: str) -> None:
    """Let twenty concurrent requests through two policies."""
    policies = [
        Policy("burst", limit=10, window=1, burst=5),
        Policy("daily", limit=1000, window=86400, burst=1000),
    ]
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
    url = os.environ.get("REDIS_URL", "")
    try:
        asyncio.run(demo(url))
    except (RedisError, ValueError) as error:
        sys.exit(
            f"No Redis at REDIS_URL={url!r} ({error}). For example: docker run"
            " --rm -d -p 127.0.0.1:6379:6379 valkey/valkey;"
            " export REDIS_URL=redis://127.0.0.1:6379/0; then run this file"
            " again (in the Firedrill repository: make lab)"
        )


if __name__ == "__main__":
    main()
