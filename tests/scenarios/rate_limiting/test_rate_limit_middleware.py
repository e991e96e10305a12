"""The middleware: who is asking, what they are told, and what an outage does."""

import asyncio
import json
import math
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from lab.clock import FakeClock
from snippets.rate_limiting.rate_limit_middleware import (
    Guard,
    Message,
    RateLimitMiddleware,
    Receive,
    Route,
    Scope,
    Send,
    client_address,
)
from snippets.rate_limiting.redis_gcra import Decision, Policy
from tests.scenarios.rate_limiting.traffic import run_demo

PASS = Decision(True, 9, 0.0, 6.2, "burst")
REFUSE = Decision(False, 0, 2.1, 60.0, "burst", ("burst", "daily"))
NEVER = Decision(False, 0, math.inf, 0.0, "burst", ("burst",))


@dataclass
class Scripted:
    """A limiter that gives the next answer of a list, or raises it."""

    answers: list[Decision | Exception]
    policies: tuple[Policy, ...] = (Policy("burst", 100, 60, 10), Policy("daily", 1000, 86400, 1))
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def hit(self, key: str, cost: int = 1) -> Decision:
        self.asked.append((key, cost))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Silent:
    """A limiter that never answers."""

    policies = (Policy("burst", 100, 60, 10),)

    async def hit(self, key: str, cost: int = 1) -> Decision:
        await asyncio.Event().wait()
        raise AssertionError(key, cost)


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        problem: dict[str, object] = json.loads(self.body)
        return problem


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert receive is no_receive
    headers = [(b"x-app", scope["method"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def no_receive() -> Message:
    raise AssertionError


async def get(app: RateLimitMiddleware, path: str = "/", method: str = "GET") -> Reply:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    scope: Scope = {"type": "http", "path": path, "method": method, "headers": []}
    await app({**scope, "client": ("192.0.2.7", 4711)}, no_receive, send)
    start, body = messages
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return Reply(start["status"], headers, body["body"])


# -- answers ---------------------------------------------------------------------------------------

pytestmark = pytest.mark.anyio


async def test_passes_on_and_tells_what_is_left() -> None:
    limiter = Scripted([PASS])
    reply = await get(RateLimitMiddleware(hello, limiter))
    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers == {
        "x-app": "GET",
        "ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400',
        "ratelimit": '"burst";r=9;t=7',
    }
    assert limiter.asked == [("192.0.2.7", 1)]


async def test_refuses_with_429_and_problem_details() -> None:
    reply = await get(RateLimitMiddleware(hello, Scripted([REFUSE])))
    assert reply.status == 429
    assert reply.headers["retry-after"] == "3"
    assert reply.headers["ratelimit"] == '"burst";r=0;t=3'
    assert reply.headers["ratelimit-policy"].startswith('"burst";q=100;w=60')
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.headers["cache-control"] == "no-store"
    assert reply.problem == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too many requests",
        "status": 429,
        "violated-policies": ["burst", "daily"],
    }


@pytest.mark.parametrize(
    ("seconds", "field"), [(1e-6, "1"), (1.0, "1"), (1.000001, "2"), (59.2, "60")]
)
async def test_retry_after_is_rounded_up_and_never_zero(seconds: float, field: str) -> None:
    answer = REFUSE._replace(retry_after=seconds)
    reply = await get(RateLimitMiddleware(hello, Scripted([answer])))
    assert reply.headers["retry-after"] == field


async def test_retry_after_does_not_end_before_the_stated_window() -> None:
    reply = await get(RateLimitMiddleware(hello, Scripted([REFUSE])))
    window = reply.headers["ratelimit"].partition(";t=")[2]
    assert int(reply.headers["retry-after"]) >= int(window)


async def test_what_can_never_pass_is_the_clients_error_not_a_wait() -> None:
    reply = await get(RateLimitMiddleware(hello, Scripted([NEVER])))
    assert reply.status == 400
    assert "retry-after" not in reply.headers
    assert reply.problem["status"] == 400


async def test_the_refusal_is_the_same_for_every_account() -> None:
    async def reply_for(account: str) -> Reply:
        app = RateLimitMiddleware(hello, Scripted([REFUSE]), key=lambda _: account)
        return await get(app)

    assert await reply_for("exists@example.com") == await reply_for("nobody@example.com")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
async def test_every_method_counts(method: str) -> None:
    limiter = Scripted([PASS])
    await get(RateLimitMiddleware(hello, limiter), method=method)
    assert len(limiter.asked) == 1


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_not_http_passes_uncounted(kind: str) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["type"], receive, send))

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await RateLimitMiddleware(app, Scripted([]))({"type": kind}, no_receive, send)
    assert seen == [(kind, no_receive, send)]


# -- routes ----------------------------------------------------------------------------------------


async def test_a_health_check_is_exempt_by_route() -> None:
    limiter = Scripted([])
    app = RateLimitMiddleware(hello, limiter, routes=[Route("/health", exempt=True)])
    assert (await get(app, "/health")).status == 200
    assert (await get(app, "/health/live")).status == 200
    assert limiter.asked == []


@pytest.mark.parametrize("path", ["/healthy", "/", "*", "/x/health"])
async def test_a_path_that_only_looks_like_a_route_is_limited(path: str) -> None:
    app = RateLimitMiddleware(hello, Scripted([REFUSE]), routes=[Route("/health", exempt=True)])
    assert (await get(app, path)).status == 429


async def test_the_first_matching_route_sets_the_cost() -> None:
    limiter = Scripted([PASS, PASS])
    routes = [Route("/search/cheap", cost=2), Route("/search", cost=5)]
    app = RateLimitMiddleware(hello, limiter, routes=routes)
    await get(app, "/search/all")
    await get(app, "/search/cheap")
    assert [cost for _, cost in limiter.asked] == [5, 2]


# -- outages ---------------------------------------------------------------------------------------


async def test_without_an_answer_the_route_decides() -> None:
    routes = [Route("/login", fail_open=False)]
    guard = Guard(timeout=0.01, cooldown=2.5)
    app = RateLimitMiddleware(hello, Silent(), routes=routes, guard=guard)
    async with asyncio.timeout(10):
        assert (await get(app, "/read")).status == 200
        closed = await get(app, "/login")
    assert (closed.status, closed.headers["retry-after"]) == (503, "3")
    assert closed.problem["status"] == 503


async def test_a_broken_limiter_is_left_alone_and_then_tried_by_one_request() -> None:
    clock, limiter = FakeClock(), Scripted([OSError(), OSError(), PASS, PASS])
    guard = Guard(cooldown=1.0, clock=clock)
    app = RateLimitMiddleware(hello, limiter, guard=guard)
    asked = []
    for seconds in (0.0, 0.5, 0.5, 0.5, 0.5, 0.0):
        clock.advance(seconds)
        assert (await get(app)).status == 200
        asked.append(len(limiter.asked))
    assert asked == [1, 1, 2, 2, 3, 4]


async def test_while_one_request_tries_the_others_do_not_wait() -> None:
    clock, started, answer = FakeClock(), asyncio.Event(), asyncio.Event()

    class Slow(Scripted):
        async def hit(self, key: str, cost: int = 1) -> Decision:
            self.asked.append((key, cost))
            if len(self.asked) == 1:
                raise OSError
            started.set()
            await answer.wait()
            return PASS

    limiter = Slow([])
    guard = Guard(timeout=30.0, cooldown=1.0, clock=clock)
    app = RateLimitMiddleware(hello, limiter, guard=guard)
    await get(app)
    clock.advance(1.0)
    trying = asyncio.create_task(get(app))
    await started.wait()
    assert "ratelimit" not in (await get(app)).headers
    assert len(limiter.asked) == 2
    answer.set()
    assert "ratelimit" in (await trying).headers


async def test_an_error_that_is_no_outage_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        await get(RateLimitMiddleware(hello, Scripted([KeyError()])))


async def test_the_outage_can_be_another_librarys_error() -> None:
    guard = Guard(outage=(KeyError,))
    assert (
        await get(RateLimitMiddleware(hello, Scripted([KeyError()]), guard=guard))
    ).status == 200


# -- who is asking ---------------------------------------------------------------------------------


def scope(peer: str | None, *forwarded: str) -> Scope:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", line.encode()) for line in forwarded)]
    return {"client": peer and (peer, 4711), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "expected"),
    [
        ("192.0.2.7", (), 0, "192.0.2.7"),
        ("192.0.2.7", ("203.0.113.9",), 0, "192.0.2.7"),  # no proxy of ours: not believed
        ("10.0.0.1", ("203.0.113.9",), 1, "203.0.113.9"),
        ("10.0.0.1", ("6.6.6.6, 203.0.113.9",), 1, "203.0.113.9"),  # 6.6.6.6 is the client's word
        ("10.0.0.1", ("6.6.6.6", "203.0.113.9"), 1, "203.0.113.9"),  # in two lines
        ("10.0.0.1", ("6.6.6.6, 203.0.113.9, 10.0.0.2",), 2, "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9",), 2, "10.0.0.1"),  # came past one proxy
        ("10.0.0.1", (), 1, "10.0.0.1"),
        ("10.0.0.1", ("nonsense",), 1, "10.0.0.1"),
        (None, (), 0, "unknown"),
        ("", (), 0, "unknown"),
        ("testclient", ("nonsense",), 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", (), 0, "2001:db8:1:2::/64"),
        ("fe80::1%eth0", (), 0, "fe80::/64"),
        ("::ffff:192.0.2.7", (), 0, "192.0.2.7"),
    ],
)
async def test_the_key_is_the_address_that_our_own_proxy_saw(
    peer: str | None, forwarded: tuple[str, ...], hops: int, expected: str
) -> None:
    assert client_address(scope(peer, *forwarded), hops) == expected


async def test_rotating_within_a_64_changes_nothing() -> None:
    keys = {client_address(scope(f"2001:db8::{suffix:x}")) for suffix in range(1000)}
    assert keys == {"2001:db8::/64"}


def test_demo_refuses_the_third(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("rate_limit_middleware")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.isdigit()] == ["200", "200", "429"]
    assert lines[-1] == "  retry-after: 30"
