"""Local allotments of what Redis gave, also behind the middleware."""

import asyncio

import pytest
from redis.exceptions import RedisError

from snippets.rate_limiting.local_allotment import LocalAllotment
from snippets.rate_limiting.rate_limit_middleware import (
    Guard,
    Message,
    RateLimitMiddleware,
    Receive,
    Scope,
    Send,
)
from snippets.rate_limiting.redis_gcra import Decision as RedisDecision
from snippets.rate_limiting.redis_gcra import Policy, RedisGcra, connect

pytestmark = pytest.mark.anyio

# Twenty units, and none comes back while a test runs: one in a thousand hours.
TWENTY = Policy("hourly", limit=1, window=3_600_000.0, burst=20)


class Counting(RedisGcra):
    """Counts its calls, and the most that were under way at once."""

    calls = busy = most = 0

    async def hit(self, key: str, cost: int = 1) -> RedisDecision:
        self.calls += 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            return await super().hit(key, cost)
        finally:
            self.busy -= 1


async def test_a_crowd_at_two_processes_gets_what_redis_gave(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        shared = [Counting(redis, [TWENTY]) for _ in range(2)]
        fleet = [LocalAllotment(limiter, 5, hold=3600.0) for limiter in shared]
        answers = await asyncio.gather(*(fleet[i % 2].hit("a") for i in range(60)))
        assert sum(answer.allowed for answer in answers) == 20
        refused = answers[-1]
        assert (refused.policy, refused.violated, refused.remaining) == ("hourly", ("hourly",), 0)
        assert 3_590_000 < refused.retry_after <= 3_600_000
        assert [limiter.most for limiter in shared] == [1, 1]
        # Four allotments, and in each process one refusal: of five units, then of one.
        assert sum(limiter.calls for limiter in shared) == 4 + 2 * 2


async def test_fits_into_the_middleware_in_place_of_redis(redis_url: str) -> None:
    replies: list[tuple[int, dict[bytes, bytes]]] = []

    async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            replies.append((message["status"], dict(message["headers"])))

    async with connect(redis_url) as redis:
        shared = Counting(redis, [TWENTY])
        guard = Guard(outage=(OSError, RedisError), timeout=5.0)
        app = RateLimitMiddleware(hello, LocalAllotment(shared, 5, hold=3600.0), guard=guard)
        scope: Scope = {"type": "http", "path": "/", "headers": [], "client": ("192.0.2.7", 1)}
        for _ in range(23):
            await app(scope, receive, send)
    assert [status for status, _ in replies] == [200] * 20 + [429] * 3
    assert [headers[b"ratelimit"].partition(b";t=")[0] for _, headers in replies] == [
        b'"hourly";r=%d' % left for left in (*range(19, -1, -1), 0, 0, 0)
    ]
    assert {headers[b"ratelimit-policy"] for _, headers in replies} == {b'"hourly";q=1;w=3600000'}
    assert shared.calls == 4 + 2
