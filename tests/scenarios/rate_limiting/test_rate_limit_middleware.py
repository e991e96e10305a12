"""The middleware: who is asking, what they are told, and what an outage does."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from lab.clock import FakeClock
from snippets.rate_limiting.local_allotment import Decision
from snippets.rate_limiting.rate_limit_middleware import (
    App,
    Guard,
    Limiter,
    Message,
    RateLimitMiddleware,
    Receive,
    Route,
    Scope,
    Send,
    client_address,
)
from snippets.rate_limiting.rate_limit_middleware import Policy as Advertised
from tests.scenarios.rate_limiting.traffic import run_demo

PASS = Decision(True, 9, 0.0, 6.2, "burst")
REFUSE = Decision(False, 0, 2.1, 60.0, "burst", ("burst", "daily"))
NEVER = Decision(False, 0, math.inf, 0.0, "burst", ("burst",))


@dataclass(frozen=True)
class Policy:
    """A policy as RedisGcra has it, but that checks nothing."""

    name: str
    limit: int = 1
    window: float = 0.5
    burst: int = 1


@dataclass
class Scripted:
    """A limiter that gives the next answer of a list, or raises it."""

    answers: list[Decision | Exception]
    policies: Sequence[Advertised] = (Policy("burst", 100, 60, 10), Policy("daily", 1000, 86400, 1))
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


def limited(
    app: App,
    limiter: Limiter,
    guard: Guard | None = None,
    key: Callable[[Scope], str] = client_address,
    routes: Sequence[Route] = (),
) -> RateLimitMiddleware:
    guard = guard or Guard(outage=(OSError,))
    return RateLimitMiddleware(app, limiter, guard=guard, key=key, routes=routes)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert receive is no_receive
    headers = [(b"x-app", scope["method"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def no_receive() -> Message:
    raise AssertionError


async def get(
    app: RateLimitMiddleware, path: str = "/", method: str = "GET", root_path: str = ""
) -> Reply:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    scope: Scope = {"type": "http", "path": path, "method": method, "headers": []}
    where = {"client": ("192.0.2.7", 4711), "root_path": root_path}
    await app({**scope, **where}, no_receive, send)
    start, body = messages
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return Reply(start["status"], headers, body["body"])


# -- answers ---------------------------------------------------------------------------------------

pytestmark = pytest.mark.anyio


async def test_passes_on_and_tells_what_is_left() -> None:
    limiter = Scripted([PASS])
    reply = await get(limited(hello, limiter))
    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers == {
        "x-app": "GET",
        "ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400',
        "ratelimit": '"burst";r=9;t=7',
    }
    assert limiter.asked == [("192.0.2.7", 1)]


async def test_refuses_with_429_and_problem_details() -> None:
    reply = await get(limited(hello, Scripted([REFUSE])))
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
    ("seconds", "field"), [(0.0, "1"), (1e-6, "1"), (1.0, "1"), (1.000001, "2"), (59.2, "60")]
)
async def test_retry_after_is_rounded_up_and_never_zero(seconds: float, field: str) -> None:
    answer = REFUSE._replace(retry_after=seconds)
    reply = await get(limited(hello, Scripted([answer])))
    assert reply.headers["retry-after"] == field
    assert reply.headers["ratelimit"].endswith(f";t={field}")


async def test_retry_after_does_not_end_before_the_stated_window() -> None:
    reply = await get(limited(hello, Scripted([REFUSE])))
    window = reply.headers["ratelimit"].partition(";t=")[2]
    assert int(reply.headers["retry-after"]) >= int(window)


async def test_what_costs_too_much_is_the_clients_error_not_a_wait() -> None:
    app = limited(hello, Scripted([NEVER]), routes=[Route("", cost=20)])
    reply = await get(app)
    assert reply.status == 400
    assert "retry-after" not in reply.headers
    assert reply.problem == {
        "title": "Bad Request",
        "status": 400,
        "detail": "This request exceeds the whole quota",
    }


@pytest.mark.parametrize(("limit", "burst", "cost"), [(0, 10, 1), (0, 10, 20), (100, 0, 1)])
async def test_a_closed_policy_is_not_the_clients_error(limit: int, burst: int, cost: int) -> None:
    policies = (Policy("burst", limit, 60, burst), Policy("daily", 1000, 86400, 1))
    app = limited(hello, Scripted([NEVER], policies), routes=[Route("", cost=cost)])
    reply = await get(app)
    assert (reply.status, reply.problem) == (503, {"title": "Service Unavailable", "status": 503})
    assert "retry-after" not in reply.headers


async def test_a_reset_that_never_comes_is_not_advertised() -> None:
    answer = PASS._replace(reset_after=math.inf)
    reply = await get(limited(hello, Scripted([answer])))
    assert (reply.status, reply.headers["ratelimit"]) == (200, '"burst";r=9')


@pytest.mark.parametrize("name", ["", 'a"', "a\\", "a\r\nset-cookie: x", "ä"])
async def test_a_name_cannot_end_the_header(name: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        limited(hello, Scripted([], (Policy(name),)))
    with pytest.raises(ValueError, match="printable ASCII"):
        await get(limited(hello, Scripted([PASS._replace(policy=name)])))


async def test_part_of_a_second_is_advertised_as_a_second() -> None:
    policies = (Policy("p", 1, 0.5, 1),)
    reply = await get(limited(hello, Scripted([PASS], policies)))
    assert reply.headers["ratelimit-policy"] == '"p";q=1;w=1'


async def test_the_applications_messages_are_left_as_they_are() -> None:
    start: Message = {"type": "http.response.start", "status": 200}
    body: Message = {"type": "http.response.body", "body": b"x"}
    sent = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (scope["path"], receive) == ("/", no_receive)
        await send(start)
        await send(body)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "path": "/", "headers": []}
    await limited(app, Scripted([PASS]))(scope, no_receive, send)
    assert start == {"type": "http.response.start", "status": 200}
    assert [name for name, _ in sent[0]["headers"]] == [b"ratelimit-policy", b"ratelimit"]
    assert sent[1] == {"type": "http.response.body", "body": b"x"}


async def test_the_refusal_is_the_same_for_every_account() -> None:
    async def reply_for(account: str) -> Reply:
        app = limited(hello, Scripted([REFUSE]), key=lambda _: account)
        return await get(app)

    assert await reply_for("exists@example.com") == await reply_for("nobody@example.com")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
async def test_every_method_counts(method: str) -> None:
    limiter = Scripted([PASS])
    await get(limited(hello, limiter), method=method)
    assert len(limiter.asked) == 1


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_not_http_passes_uncounted(kind: str) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["type"], receive, send))

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await limited(app, Scripted([]))({"type": kind}, no_receive, send)
    assert seen == [(kind, no_receive, send)]


# -- routes ----------------------------------------------------------------------------------------


async def test_a_health_check_is_exempt_by_route() -> None:
    limiter = Scripted([])
    app = limited(hello, limiter, routes=[Route("/health", exempt=True)])
    assert (await get(app, "/health")).status == 200
    assert (await get(app, "/health/live")).status == 200
    assert limiter.asked == []


@pytest.mark.parametrize("path", ["/healthy", "/", "*", "/x/health"])
async def test_a_path_that_only_looks_like_a_route_is_limited(path: str) -> None:
    app = limited(hello, Scripted([REFUSE]), routes=[Route("/health", exempt=True)])
    assert (await get(app, path)).status == 429


async def test_the_first_matching_route_sets_the_cost() -> None:
    limiter = Scripted([PASS, PASS])
    routes = [Route("/search/cheap", cost=2), Route("/search", cost=5)]
    app = limited(hello, limiter, routes=routes)
    await get(app, "/search/all")
    await get(app, "/search/cheap")
    assert [cost for _, cost in limiter.asked] == [5, 2]


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("", "/login"),
        ("/", "/login"),
        ("/", "/"),
        ("/login", "/login"),
        ("/login/", "/login"),
        ("/login/", "/login/"),
        ("/login", "/login/reset"),
    ],
)
async def test_a_closed_route_is_closed_however_its_prefix_ends(prefix: str, path: str) -> None:
    app = limited(hello, Scripted([OSError()]), routes=[Route(prefix, fail_open=False)])
    assert (await get(app, path)).status == 503


@pytest.mark.parametrize(
    ("mount", "path", "status"),
    [
        ("/api", "/api/login", 503),
        ("/api/", "/api/login", 503),
        ("/api", "/login", 503),  # a server that leaves the mount out of the path
        ("/api", "/apilogin", 200),
        ("/login", "/login", 200),
    ],
)
async def test_routes_are_below_the_mount_point(mount: str, path: str, status: int) -> None:
    app = limited(hello, Scripted([OSError()]), routes=[Route("/login", fail_open=False)])
    assert (await get(app, path, root_path=mount)).status == status


def test_a_route_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="begin with /"):
        Route("login")


# -- outages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("outage", [(), (KeyError,)])
async def test_without_an_answer_the_route_decides(outage: tuple[type[Exception], ...]) -> None:
    routes = [Route("/login", fail_open=False)]
    guard = Guard(outage=outage, timeout=0.01, cooldown=2.5)
    app = limited(hello, Silent(), routes=routes, guard=guard)
    async with asyncio.timeout(10):
        assert (await get(app, "/read")).status == 200
        closed = await get(app, "/login")
    assert (closed.status, closed.headers["retry-after"]) == (503, "3")
    assert closed.problem == {"title": "Service Unavailable", "status": 503}


async def test_a_broken_limiter_is_left_alone_and_then_tried_by_one_request() -> None:
    clock, limiter = FakeClock(), Scripted([*([OSError()] * 4), PASS, PASS])
    guard = Guard(outage=(OSError,), patience=3, cooldown=1.0, clock=clock)
    app = limited(hello, limiter, guard=guard)
    asked = []
    for seconds in (0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0):
        clock.advance(seconds)
        assert (await get(app)).status == 200
        asked.append(len(limiter.asked))
    assert asked == [1, 2, 3, 3, 3, 4, 4, 5, 6]


async def test_failures_that_are_not_in_a_row_are_no_outage() -> None:
    limiter = Scripted([OSError(), OSError(), PASS] * 3)
    app = limited(hello, limiter, guard=Guard(outage=(OSError,), patience=3))
    for _ in range(9):
        await get(app)
    assert limiter.answers == []


class Held:
    """A limiter whose hits wait until the test lets each go on, or fail."""

    policies = (Policy("burst", 100, 60, 10),)

    def __init__(self) -> None:
        self.hits: list[asyncio.Future[Decision]] = []
        self.asked: asyncio.Queue[asyncio.Future[Decision]] = asyncio.Queue()

    async def hit(self, key: str, cost: int = 1) -> Decision:
        assert (key, cost) == ("192.0.2.7", 1)
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        await self.asked.put(answer)
        return await answer


async def started(app: RateLimitMiddleware, limiter: Held, count: int) -> list[asyncio.Task[Reply]]:
    """Send `count` requests, and return when all of them ask the limiter."""
    tasks = [asyncio.create_task(get(app)) for _ in range(count)]
    async with asyncio.timeout(10):
        limiter.hits += [await limiter.asked.get() for _ in range(count)]
    return tasks


async def test_failures_at_the_same_moment_are_one() -> None:
    limiter = Held()
    app = limited(hello, limiter, guard=Guard(outage=(OSError,), timeout=30.0, patience=2))
    tasks = await started(app, limiter, 10)
    for hit in limiter.hits:
        hit.set_exception(OSError())
    await asyncio.gather(*tasks)
    (again,) = await started(app, limiter, 1)  # not left alone yet
    limiter.hits[-1].set_result(PASS)
    assert "ratelimit" in (await again).headers


async def test_an_old_hit_that_succeeds_late_does_not_end_the_outage() -> None:
    limiter = Held()
    guard = Guard(outage=(OSError,), timeout=30.0, patience=1, clock=FakeClock())
    app = limited(hello, limiter, guard=guard)
    late, early = await started(app, limiter, 2)
    limiter.hits[1].set_exception(OSError())
    await early
    limiter.hits[0].set_result(PASS)
    assert "ratelimit" in (await late).headers
    assert "ratelimit" not in (await get(app)).headers
    assert limiter.asked.empty()


async def test_while_one_request_tries_the_others_do_not_wait() -> None:
    clock, limiter = FakeClock(), Held()
    guard = Guard(outage=(OSError,), timeout=30.0, patience=1, cooldown=1.0, clock=clock)
    app = limited(hello, limiter, guard=guard)
    (first,) = await started(app, limiter, 1)
    limiter.hits[0].set_exception(OSError())
    await first
    clock.advance(1.0)
    (trying,) = await started(app, limiter, 1)
    clock.advance(60.0)  # longer than the cooldown: still one request tries
    assert "ratelimit" not in (await get(app)).headers
    assert limiter.asked.empty()
    limiter.hits[1].set_result(PASS)
    assert "ratelimit" in (await trying).headers


async def test_a_try_that_is_cancelled_leaves_the_next_one_free() -> None:
    clock, limiter = FakeClock(), Held()
    guard = Guard(outage=(OSError,), timeout=30.0, patience=1, cooldown=1.0, clock=clock)
    app = limited(hello, limiter, guard=guard)
    (first,) = await started(app, limiter, 1)
    limiter.hits[0].set_exception(OSError())
    await first
    clock.advance(1.0)
    (trying,) = await started(app, limiter, 1)
    trying.cancel()
    await asyncio.wait([trying])
    (again,) = await started(app, limiter, 1)
    limiter.hits[-1].set_result(PASS)
    assert "ratelimit" in (await again).headers


async def test_a_crowd_is_refused_on_every_route_and_is_no_outage() -> None:
    limiter = Held()
    guard = Guard(outage=(OSError,), timeout=30.0, most_waiting=2)
    app = limited(hello, limiter, guard=guard)
    tasks = await started(app, limiter, 2)
    crowded = await get(app)
    assert (crowded.status, crowded.headers["retry-after"]) == (503, "30")
    for hit in limiter.hits:
        hit.set_result(PASS)
    assert [reply.status for reply in await asyncio.gather(*tasks)] == [200, 200]
    (again,) = await started(app, limiter, 1)
    limiter.hits[-1].set_result(PASS)
    assert (await again).status == 200


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    await get(limited(hello, Scripted([OSError("gone")])))
    assert caplog.messages == ["no answer from the rate limiter: OSError('gone')"]


async def test_an_error_that_is_no_outage_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        await get(limited(hello, Scripted([KeyError()])))


async def test_the_outage_can_be_another_librarys_error() -> None:
    guard = Guard(outage=(KeyError,))
    assert (await get(limited(hello, Scripted([KeyError()]), guard=guard))).status == 200


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
        ("64:ff9b::c000:207", (), 0, "192.0.2.7"),  # NAT64
        ("10.0.0.1", ("203.0.113.9:4711",), 1, "203.0.113.9"),  # as some gateways write it
        ("10.0.0.1", ("[2001:db8:1:2::3]:443",), 1, "2001:db8:1:2::/64"),
        ("10.0.0.1", ("[2001:db8:1:2::3]",), 1, "2001:db8:1:2::/64"),
        ("10.0.0.1", ("2001:db8:1:2::3",), 1, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", (), 0, "192.0.2.7"),
    ],
)
async def test_the_key_is_the_address_that_our_own_proxy_saw(
    peer: str | None, forwarded: tuple[str, ...], hops: int, expected: str
) -> None:
    assert client_address(scope(peer, *forwarded), hops) == expected


async def test_a_client_without_a_port_is_still_a_client() -> None:
    assert client_address({"client": ("192.0.2.7",), "headers": []}) == "192.0.2.7"


async def test_a_negative_number_of_proxies_is_refused() -> None:
    with pytest.raises(ValueError, match="trusted_hops must be 0 or more"):
        client_address(scope("10.0.0.1", "203.0.113.9"), -1)


async def test_rotating_within_a_64_changes_nothing() -> None:
    keys = {client_address(scope(f"2001:db8::{suffix:x}")) for suffix in range(1000)}
    assert keys == {"2001:db8::/64"}


def test_demo_refuses_the_third(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("rate_limit_middleware")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.isdigit()] == ["200", "200", "429"]
    assert lines[-1] == "  retry-after: 30"
