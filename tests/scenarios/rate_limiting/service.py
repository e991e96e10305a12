"""The service that a drill runs in two processes: `/` is limited to LIMIT units a client.

LIMITER=local counts in the process, LIMITER=shared in the Redis at REDIS_URL.
"""

import os
import time
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from snippets.rate_limiting.gcra import Gcra
from snippets.rate_limiting.rate_limit_middleware import (
    Guard,
    Limiter,
    RateLimitMiddleware,
    Receive,
    Route,
    Scope,
    Send,
)
from snippets.rate_limiting.redis_gcra import Policy, RedisGcra

LIMIT = 50
# One unit in a thousand hours: nothing comes back while the drill runs.
POLICY = Policy("hourly", limit=1, window=3_600_000.0, burst=LIMIT)


class Answer(NamedTuple):
    """What the middleware needs to know."""

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float
    policy: str = POLICY.name
    violated: tuple[str, ...] = (POLICY.name,)


class Local:
    """A limiter in this process, which knows nothing of the other one."""

    policies = (POLICY,)

    def __init__(self) -> None:
        self.gcra = Gcra(POLICY.limit, POLICY.window, POLICY.burst)

    async def hit(self, key: str, cost: int = 1) -> Answer:
        """Ask to pass `cost` units now."""
        return Answer(*self.gcra.hit(key, time.monotonic(), cost))


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 200, also to the start-up message."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def limiter() -> Limiter:
    """Give the limiter that LIMITER names."""
    if os.environ["LIMITER"] == "local":
        return Local()
    return RedisGcra(Redis.from_url(os.environ["REDIS_URL"]), [POLICY])


def create() -> RateLimitMiddleware:
    """Make the application; `uvicorn --factory` calls this."""
    routes = [Route("/ready", exempt=True)]
    guard = Guard(outage=(OSError, RedisError), timeout=5.0)
    return RateLimitMiddleware(hello, limiter(), routes=routes, guard=guard)
