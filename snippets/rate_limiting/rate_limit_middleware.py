# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Rate limiting as ASGI middleware: who is asking, and what to answer.

Works under Starlette, FastAPI, Litestar and Quart, with any limiter that has
the shape of `Limiter` below. Put it inside CORS handling (preflights are then
answered before they count) and outside everything expensive, such as password
hashing. HEAD counts like GET. WebSocket connections are passed on uncounted.

A refused request gets 429 with Retry-After in whole seconds, rounded up and
never 0, and a body that is the same for every client: it tells nobody whether
an account exists. One that costs more than could ever pass gets 400, and where
a limit of 0 closes the service, 503. When the limiter does not answer in time,
the route says whether to let the request through.

Source: RFC 6585 section 4 (429), RFC 9110 section 10.2.3 (Retry-After), RFC
9457 (problem+json), draft-ietf-httpapi-ratelimit-headers-11 (RateLimit fields
and the problem type; a draft: names may still change).
"""

import asyncio
import ipaddress
import json
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger(__name__)


# --8<-- [start:protocols]
class Policy(Protocol):
    """What is advertised: `limit` units per `window` seconds."""

    @property
    def name(self) -> str:
        """Printable ASCII without quotes and backslashes."""

    @property
    def limit(self) -> int:
        """Units per window."""

    @property
    def window(self) -> float:
        """Seconds, 1 or more."""


class Decision(Protocol):
    """The answer to one hit. Times are seconds from now."""

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""

    @property
    def remaining(self) -> int:
        """Units that may still pass now."""

    @property
    def retry_after(self) -> float:
        """When to come back; math.inf when this cost can never pass."""

    @property
    def reset_after(self) -> float:
        """When everything is available again."""

    @property
    def policy(self) -> str:
        """The policy that comes closest to refusing."""

    @property
    def violated(self) -> tuple[str, ...]:
        """The policies that refuse."""


class Limiter(Protocol):
    """Anything that decides, such as RedisGcra."""

    @property
    def policies(self) -> Sequence[Policy]:
        """What each request is held against."""

    async def hit(self, key: str, cost: int = 1) -> Decision:
        """Ask to pass `cost` units now."""
        # --8<-- [end:protocols]


# --8<-- [start:key]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def client_address(scope: Scope, trusted_hops: int = 0) -> str:
    """Return the network that a request comes from, as a limiter's key.

    Each of your proxies appends the address it was called from to
    X-Forwarded-For. Only the last `trusted_hops` entries are theirs: whatever
    stands to the left was written by the client. With fewer entries, or with
    one that is no address, the connection's own address counts. The service
    must not be reachable past those proxies.

    An IPv6 customer has at least 2**64 addresses, so the /64 is the key.

    Raises:
        ValueError: `trusted_hops` is below 0.
    """
    if trusted_hops < 0:
        raise ValueError(f"trusted_hops must be 0 or more, not {trusted_hops}")
    peer = (scope.get("client") or ("",))[0]  # a Unix socket has none
    forwarded = ""
    if trusted_hops:
        lines = [v for k, v in scope["headers"] if k == b"x-forwarded-for"]
        hops = b",".join(lines).decode("latin-1").split(",")
        if len(hops) >= trusted_hops:
            forwarded = _without_port(hops[-trusted_hops].strip())
    return _network(forwarded) or _network(peer) or "unknown"


def _without_port(entry: str) -> str:
    """Some proxies write 192.0.2.7:4711 and [2001:db8::1]:4711."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:  # ::ffff:192.0.2.1, as dual-stack sockets give it
        return str(address.ipv4_mapped)
    if address in _NAT64:  # all of IPv4 behind one translator
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return str(ipaddress.ip_network((int(address), 64), strict=False))
    # --8<-- [end:key]


# --8<-- [start:route]
@dataclass(frozen=True, slots=True)
class Route:
    """How `prefix` and the paths below it are treated; first match wins.

    Raises:
        ValueError: a prefix that is not empty does not start with a slash.
    """

    prefix: str
    """Below the mount point (root_path); "/" and "" are everything."""
    cost: int = 1
    exempt: bool = False
    """For health checks: by route, since a client can send any header."""
    fail_open: bool = True
    """Without a limiter: True lets requests pass, False answers 503."""

    def __post_init__(self) -> None:
        if self.prefix and not self.prefix.startswith("/"):
            raise ValueError(f"{self.prefix!r} matches nothing: begin with /")

    def matches(self, path: str) -> bool:
        """Say whether `path` is the prefix or lies below it."""
        return (path + "/").startswith(self.prefix.rstrip("/") + "/")

    # --8<-- [end:route]


# --8<-- [start:guard]
class CrowdedError(Exception):
    """Too many requests wait for the limiter; that is no outage: refuse."""


@dataclass(slots=True)
class Guard:
    """Ask a limiter within `timeout`, and leave it alone while it is down.

    This is a circuit breaker: after `patience` failures in a row nobody asks
    for `cooldown` seconds; then one request tries for all. Failures at the
    same moment are one. Requests that are asking when the limiter falls silent
    wait one `timeout` each. A hit given up may still be charged.
    """

    outage: tuple[type[Exception], ...]
    """What means "no answer", beside a timeout; () for a limiter in process.
    For redis-py (OSError, RedisError): its ConnectionError is no OSError. What
    is not listed becomes a 500."""
    timeout: float = 0.05
    """Seconds to wait for an answer."""
    patience: int = 3
    """Failures in a row that are an outage."""
    cooldown: float = 1.0
    """Seconds between attempts while the limiter is down."""
    most_waiting: int = 30
    """Requests that may wait at once. More are refused on every route: else a
    client could send a crowd, wait for time-outs and pass where they open."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic time in seconds."""
    _failures: int = field(default=0, init=False)
    _try_at: float = field(default=0.0, init=False)
    _trying: bool = field(default=False, init=False)
    _waiting: int = field(default=0, init=False)

    async def ask(
        self, limiter: Limiter, key: str, cost: int
    ) -> Decision | None:
        """Return the limiter's answer, or None if there is none.

        Raises:
            CrowdedError: `most_waiting` requests wait already.
        """
        before = self._failures
        down = before >= self.patience
        if down and (self._trying or self.clock() < self._try_at):
            return None
        if self._waiting >= self.most_waiting:
            raise CrowdedError
        self._waiting += 1
        self._trying = down
        failures: tuple[type[Exception], ...] = (TimeoutError, *self.outage)
        try:
            async with asyncio.timeout(self.timeout):
                decision = await limiter.hit(key, cost)
        except failures as error:
            if self._failures == before:  # nobody has told it meanwhile
                self._failures += 1
                self._try_at = self.clock() + self.cooldown
                _LOG.warning("no answer from the rate limiter: %r", error)
            return None
        else:
            if down or self._failures < self.patience:
                self._failures = 0
            return decision
        finally:
            self._waiting -= 1
            if down:
                self._trying = False
        # --8<-- [end:guard]


# --8<-- [start:middleware]
class RateLimitMiddleware:
    """Ask `limiter` about each HTTP request before `app` sees it.

    Args:
        app: the application to protect.
        limiter: what decides.
        guard: how long to wait for the limiter, and what counts as an outage.
        key: who is asking; a signed-in user's id if there is one, else
            `client_address` with the number of your own proxies.
        routes: exceptions, most specific first; the rest costs 1, fails open.

    Raises:
        ValueError: a policy's name does not fit into a header.
    """

    def __init__(
        self,
        app: App,
        limiter: Limiter,
        *,
        guard: Guard,
        key: Callable[[Scope], str] = client_address,
        routes: Sequence[Route] = (),
    ) -> None:
        self.app = app
        self.limiter = limiter
        self.key = key
        self.routes = tuple(routes)
        self.guard = guard
        self._policy = ", ".join(
            f"{_quoted(p.name)};q={p.limit};w={math.ceil(p.window)}"
            for p in limiter.policies
        )

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pass the request on, or answer it."""
        route = self._route(scope)
        if route.exempt:
            return await self.app(scope, receive, send)
        key = self.key(scope)
        try:
            decision = await self.guard.ask(self.limiter, key, route.cost)
        except CrowdedError:
            return await _problem(send, _UNAVAILABLE, self.guard.timeout)
        if decision is None:
            if route.fail_open:
                return await self.app(scope, receive, send)
            return await _problem(send, _UNAVAILABLE, self.guard.cooldown)
        if not decision.allowed:
            return await self._refuse(send, decision, route.cost)
        fields = self._fields(decision, decision.reset_after)
        return await self.app(scope, receive, _adding(send, fields))

    async def _refuse(self, send: Send, decision: Decision, cost: int) -> None:
        if math.isinf(decision.retry_after):
            closed = cost == 1 or self._closed(decision)
            await _problem(send, _UNAVAILABLE if closed else _TOO_COSTLY)
            return
        # Retry-After must not end before the window that RateLimit states.
        fields = self._fields(decision, decision.retry_after)
        body = {**_EXCEEDED, "violated-policies": [*decision.violated]}
        await _problem(send, body, decision.retry_after, fields)

    def _route(self, scope: Scope) -> Route:
        if scope["type"] != "http":  # lifespan, websocket
            return Route("", exempt=True)
        path = scope["path"]
        mount = scope.get("root_path", "").rstrip("/")
        if path == mount or path.startswith(mount + "/"):
            path = path.removeprefix(mount)
        return next((r for r in self.routes if r.matches(path)), Route(""))

    def _closed(self, decision: Decision) -> bool:
        """Say whether a limit of 0 refuses, and not the request's cost."""
        limits = {p.name: p.limit for p in self.limiter.policies}
        return any(limits.get(name) == 0 for name in decision.violated)

    def _fields(
        self, decision: Decision, seconds: float
    ) -> list[tuple[bytes, bytes]]:
        limit = f"{_quoted(decision.policy)};r={decision.remaining}"
        if not math.isinf(seconds):
            limit += f";t={max(1, math.ceil(seconds))}"
        return [
            (b"ratelimit-policy", self._policy.encode()),
            (b"ratelimit", limit.encode()),
        ]
        # --8<-- [end:middleware]


# --8<-- [start:answers]
_TYPES = "https://iana.org/assignments/http-problem-types"
_EXCEEDED = {
    "type": f"{_TYPES}#quota-exceeded",
    "title": "Too many requests",
    "status": 429,
}
# Without a type, the title is the status phrase (RFC 9457 section 4.2.1).
_TOO_COSTLY = {
    "title": "Bad Request",
    "status": 400,
    "detail": "This request exceeds the whole quota",
}
_UNAVAILABLE = {"title": "Service Unavailable", "status": 503}


async def _problem(
    send: Send,
    body: dict[str, Any],
    retry_after: float | None = None,
    fields: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Answer with RFC 9457 problem details."""
    content = json.dumps(body).encode()
    headers = [
        *fields,
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if retry_after is not None:
        seconds = max(1, math.ceil(retry_after))
        headers.append((b"retry-after", str(seconds).encode()))
    start = {"type": "http.response.start", "status": body["status"]}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": content})
    # --8<-- [end:answers]


def _quoted(name: str) -> str:
    """Return a policy's name as a header string (RFC 9651)."""
    if not re.fullmatch(r"[ !#-\[\]-~]+", name):
        raise ValueError(f"printable ASCII without quotes, not {name!r}")
    return f'"{name}"'


def _adding(send: Send, fields: list[tuple[bytes, bytes]]) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {
                **message,
                "headers": [*message.get("headers", []), *fields],
            }
        await send(message)

    return wrapped


# --8<-- [start:demo]
@dataclass(frozen=True)
class _Quota:
    """The demo's limiter: two requests, then none for 30 seconds."""

    name: str = "demo"
    limit: int = 2
    window: float = 60.0


@dataclass(frozen=True)
class _Answer:
    remaining: int
    allowed: bool
    retry_after: float
    reset_after: float = 60.0
    policy: str = "demo"
    violated: tuple[str, ...] = ("demo",)


class _TwoEach:
    policies = (_Quota(),)

    def __init__(self) -> None:
        self.used: dict[str, int] = {}

    async def hit(self, key: str, cost: int = 1) -> _Answer:
        used = self.used[key] = self.used.get(key, 0) + cost
        if used > 2:
            return _Answer(0, False, 29.2)
        return _Answer(2 - used, True, 0.0)


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    start = {"type": "http.response.start", "status": 200, "headers": []}
    await send(start)
    body = b"hello from " + scope["path"].encode()
    await send({"type": "http.response.body", "body": body})


async def demo() -> None:
    """Send three requests where two are allowed."""
    app = RateLimitMiddleware(_hello, _TwoEach(), guard=Guard(outage=()))

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            print(message["status"])
        for name, value in message.get("headers", []):
            print(f"  {name.decode()}: {value.decode()}")

    scope: Scope = {"type": "http", "path": "/", "headers": []}
    for _ in range(3):
        await app({**scope, "client": ("192.0.2.7", 4711)}, receive, send)
    # --8<-- [end:demo]


def main() -> None:
    """Run the demo."""
    asyncio.run(demo())


if __name__ == "__main__":
    main()
