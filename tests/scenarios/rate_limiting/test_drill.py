"""How rate limiters fail, and what holds under the identical load."""

import asyncio
import importlib
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx2
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from lab.clock import FakeClock
from lab.eventually import eventually
from lab.memory import traced_peak
from lab.process import spawn
from lab.race import race
from lab.servers import valkey
from lab.servers.base import free_port
from lab.story import Story
from snippets.rate_limiting.gcra import Gcra
from snippets.rate_limiting.naive_fixed_window import NaiveFixedWindow
from snippets.rate_limiting.naive_redis_fixed_window import get_then_set, incr_then_expire
from snippets.rate_limiting.rate_limit_middleware import (
    App,
    Guard,
    Message,
    RateLimitMiddleware,
    Receive,
    Route,
    Scope,
    Send,
    client_address,
)
from snippets.rate_limiting.redis_gcra import (
    SCRIPT,
    Policy,
    RedisGcra,
    SyncRedisGcra,
    connect,
    protect,
)
from snippets.rate_limiting.sliding_window_counter import SlidingWindowCounter
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog
from snippets.rate_limiting.token_bucket import TokenBucket
from tests.scenarios.rate_limiting.service import LIMIT
from tests.scenarios.rate_limiting.traffic import (
    BOUNDARY,
    SATURATION,
    SNIPPETS,
    admitted,
    most_in_any_window,
)

ROOT = Path(__file__).parents[3]
# A hundred units, and none comes back while a drill runs: one in a thousand hours.
HUNDRED = Policy("hundred", limit=1, window=3_600_000.0, burst=100)


# -- a: the boundary -------------------------------------------------------------------------------


def worst_minute(allow: Callable[[float], bool], load: list[float]) -> int:
    passed = admitted(lambda now, _: allow(now), [(now, 1) for now in load])
    return most_in_any_window(passed, 60)


def worst(make: Callable[[], Callable[[float], bool]]) -> tuple[int, int]:
    """Give the most admitted in any half-open 60 s, under the burst and under saturation."""
    return worst_minute(make(), BOUNDARY), worst_minute(make(), SATURATION)


def test_a_window_boundary_does_not_double_the_limit(story: Story) -> None:
    """100 a minute lets 200 requests through within two seconds.

    The counter restarts at the full minute, so half of the load goes on either side. A token
    bucket with a burst of 100 is no better in its worst minute: only a small burst helps.
    """
    story.scene(
        "100 requests at 59 s, 100 at 60 s; then one every 50 ms for five minutes", limit=100
    )
    naive = NaiveFixedWindow(100, 60)
    assert worst(lambda: lambda now: naive.allow("a", now)) == (200, 200)
    story.naive("fixed window, worst minute", burst=200, saturated=200)

    def log() -> Callable[[float], bool]:
        limiter = SlidingWindowLog(100, 60)
        return lambda now: limiter.hit("a", now).allowed

    def counter() -> Callable[[float], bool]:
        limiter = SlidingWindowCounter(100, 60)
        return lambda now: limiter.hit("a", now).allowed

    def bucket(burst: int) -> Callable[[float], bool]:
        limiter = TokenBucket(100 / 60, burst)
        return lambda now: limiter.hit("a", now).allowed

    def cells(burst: int) -> Callable[[float], bool]:
        limiter = Gcra(100, 60, burst)
        return lambda now: limiter.hit("a", now).allowed

    table = {
        "sliding window log": worst(log),
        "sliding window counter": worst(counter),
        "token bucket, burst 100": worst(lambda: bucket(100)),
        "token bucket, burst 10": worst(lambda: bucket(10)),
        "GCRA, burst 100": worst(lambda: cells(100)),
        "GCRA, burst 10": worst(lambda: cells(10)),
        "GCRA, burst 1": worst(lambda: cells(1)),
    }
    for name, (burst, saturated) in table.items():
        story.good(f"{name}, worst minute", burst=burst, saturated=saturated)
    assert table == {
        "sliding window log": (100, 100),
        "sliding window counter": (101, 166),
        "token bucket, burst 100": (103, 199),
        "token bucket, burst 10": (13, 109),
        "GCRA, burst 100": (103, 199),
        "GCRA, burst 10": (13, 109),
        "GCRA, burst 1": (4, 100),
    }


# -- b: the race -----------------------------------------------------------------------------------

THREADS, TRIES = 16, 25


class Lockstep(Redis):
    """A client that writes only when all clients have read: the unluckiest interleaving."""

    have_read = threading.Barrier(THREADS, timeout=30)

    def get(self, name: str) -> bytes | None:  # type: ignore[override]  # one mode of many
        value = super().get(name)
        self.have_read.wait()
        assert value is None or isinstance(value, bytes)
        return value


@pytest.mark.parametrize("run", [1, 2, 3])
def test_requests_at_the_same_moment_are_all_counted(
    redis_url: str, story: Story, run: int
) -> None:
    """GET then SET admits everybody: 400 of 400 with a limit of 100.

    Sixteen threads read the same count before any of them writes, and all write the same sum.
    """
    story.scene("16 threads, 25 requests each, at the same moments", limit=100, run=run)

    def naive(_thread: int) -> int:
        with Lockstep.from_url(redis_url) as redis:
            return sum(get_then_set(redis, "naive", 100, 60, lambda: 0.0) for _ in range(TRIES))

    def counting(_thread: int) -> int:
        with Redis.from_url(redis_url) as redis:
            return sum(incr_then_expire(redis, "incr", 100, 60) for _ in range(TRIES))

    def scripted(_thread: int) -> int:
        with Redis.from_url(redis_url) as redis:
            limiter = SyncRedisGcra(redis, [HUNDRED])
            return sum(limiter.hit("a").allowed for _ in range(TRIES))

    passed = sum(race(THREADS, naive))
    story.naive("GET then SET", admitted=passed)
    assert passed == 400
    atomic = {"INCR": sum(race(THREADS, counting)), "Lua": sum(race(THREADS, scripted))}
    for name, count in atomic.items():
        story.good(name, admitted=count)
    assert atomic == {"INCR": 100, "Lua": 100}


# -- c: the crash ----------------------------------------------------------------------------------


class Dying(Redis):
    """A client whose process dies once its first command has been answered."""

    answered = False

    def execute_command(self, *arguments: object, **options: object) -> object:
        if self.answered:
            raise KeyboardInterrupt
        reply = super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]  # redis-py
        self.answered = True
        return reply


def test_a_crash_between_two_commands_blocks_nobody_for_ever(redis_url: str, story: Story) -> None:
    """A process dies between INCR and EXPIRE, and one customer stays blocked for ever.

    The key has no time to live. Its count only grows, so the limit is reached and never left.
    """
    story.scene("the process dies between its first command and its second", limit=3)
    policy = Policy("p", 3, 60, 3)

    def limit_once_and_go_on(limit: Callable[[Redis], object]) -> None:
        with Dying.from_url(redis_url) as dying:
            limit(dying)
            dying.ping()

    with Redis.from_url(redis_url) as redis:
        redis.script_load(SCRIPT)  # as on any day but the first: one command is enough
        with pytest.raises(KeyboardInterrupt):
            limit_once_and_go_on(lambda dying: incr_then_expire(dying, "customer", 3, 60))
        answers = [incr_then_expire(redis, "customer", 3, 60) for _ in range(3)]
        assert answers == [True, True, False]
        assert redis.pttl("customer") == -1
        story.naive("INCR, then EXPIRE: blocked, and the key never expires", ttl_ms=-1)

        with pytest.raises(KeyboardInterrupt):
            limit_once_and_go_on(lambda dying: SyncRedisGcra(dying, [policy]).hit("customer"))
        (key,) = redis.scan_iter("rate:*")
        life = redis.pttl(key)
        answers = [SyncRedisGcra(redis, [policy]).hit("customer").allowed for _ in range(3)]
        story.good("one script: count and expiry are written together", ttl_ms=life)
        assert answers == [True, True, False]  # counted like the naive one
        assert 0 < life <= 20_000


# -- d: the clocks ---------------------------------------------------------------------------------


def test_servers_with_different_clocks_share_one_limit(
    redis_url: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers whose clocks differ by an hour admit twice the limit of an hour.

    Each cuts its windows by its own clock, so each counts under a key of its own.
    """
    story.scene("two servers, clocks half an hour off, 400 requests in turn", limit=100)
    now = time.time()
    clocks = [FakeClock(now - 1800), FakeClock(now + 1800)]

    def shares(allow: Callable[[Redis], bool]) -> list[int]:
        """Give what each server admits when `time.time` is its own clock."""
        admitted = [0, 0]
        with Redis.from_url(redis_url) as redis:
            for request in range(400):
                server = request % 2
                monkeypatch.setattr("time.time", clocks[server])
                admitted[server] += allow(redis)
        monkeypatch.undo()
        return admitted

    def own_time() -> float:
        return time.time()

    naive = shares(lambda redis: get_then_set(redis, "a", 100, 3600, own_time))
    story.naive("each server's own time", admitted=sum(naive), each=str(naive))
    assert naive == [100, 100]
    hourly = Policy("hourly", limit=100, window=3600, burst=100)  # one comes back in 36 s
    good = shares(lambda redis: SyncRedisGcra(redis, [hourly]).hit("a").allowed)
    story.good("the time of the Redis server", admitted=sum(good), each=str(good))
    assert good == [50, 50]


# -- e: the outage ---------------------------------------------------------------------------------


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    assert await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def status(app: App, path: str, *headers: tuple[bytes, bytes]) -> int:
    answers: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    scope = {"type": "http", "path": path, "headers": headers, "client": ("10.0.0.1", 1)}
    await app(scope, receive, send)
    return answers[0]


@pytest.mark.anyio
async def test_a_limiter_that_does_not_answer_takes_nothing_down_with_it(story: Story) -> None:
    """Redis stands still, and every request of the service hangs with it."""
    timeout = 0.2
    with valkey() as server:
        async with (
            AsyncRedis.from_url(server.url) as redis,
            AsyncRedis.from_url(server.url) as bare,
        ):
            naive = RedisGcra(bare, [HUNDRED])
            routes = [Route("/login", fail_open=False)]
            guard = Guard(timeout=timeout, outage=(OSError, RedisError))
            app = RateLimitMiddleware(
                hello, RedisGcra(redis, [HUNDRED]), routes=routes, guard=guard
            )
            assert (await naive.hit("a")).allowed
            assert await status(app, "/login") == 200

            server.pause()
            story.scene("SIGSTOP: Redis takes connections and never answers")
            hanging = asyncio.create_task(naive.hit("a"))
            done, _ = await asyncio.wait([hanging], timeout=4 * timeout)
            assert not done
            story.naive(
                "without a timeout of ours: still waiting (redis-py gives up after 5 s)",
                seconds=4 * timeout,
            )

            started = time.monotonic()
            codes = [await status(app, path) for path in ("/read", "/login") * 10]
            took = time.monotonic() - started
            story.good("20 requests: /read passes, /login gets 503", seconds=took)
            assert codes == [200, 503] * 10
            assert took < 6 * timeout  # three wait; the breaker spares the other 17

            server.resume()
            await hanging
            guard.clock = lambda: time.monotonic() + 60  # the cooldown is over
            assert await status(app, "/login") == 200
            story.good("Redis is back: the limiter decides again")


@pytest.mark.anyio
async def test_a_limiter_that_refuses_connections_takes_nothing_down_with_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is down, and every route of the service answers 500.

    The errors of redis-py are no OSError, so a guard that waits for OSError lets them through.
    """
    monkeypatch.syspath_prepend(str(SNIPPETS))  # a reader has both files in one folder
    middleware = importlib.import_module("rate_limit_middleware")
    patient = partial(middleware.Guard, timeout=5.0)  # a busy machine is no outage
    monkeypatch.setattr(middleware, "Guard", patient)
    story.scene("nobody listens on the port of Redis")
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as redis:
        guard = Guard(outage=(OSError,), timeout=5.0)
        naive = RateLimitMiddleware(hello, RedisGcra(redis, [HUNDRED]), guard=guard)
        with pytest.raises(RedisError) as caught:
            await status(naive, "/read")
        story.naive("outage=(OSError,): the request fails", error=type(caught.value).__name__)

        app = protect(hello, redis)
        codes = {path: await status(app, path) for path in ("/read", "/login", "/health")}
        story.good("outage=(OSError, RedisError): each route decides", codes=str(codes))
        assert codes == {"/read": 200, "/login": 503, "/health": 200}


@pytest.mark.anyio
async def test_a_crowd_from_one_client_does_not_look_like_an_outage(
    redis_url: str, story: Story
) -> None:
    """A client sends 300 requests at once, and a healthy Redis lets two thirds of them pass.

    The default pool raises at the 101st connection; that counts as an outage, and routes open.
    """
    story.scene("300 requests of one client at once", limit=10)
    ten = Policy("ten", limit=1, window=3_600_000.0, burst=10)
    outage = (OSError, RedisError)

    async def crowd(redis: AsyncRedis, guard: Guard) -> Counter[int]:
        app = RateLimitMiddleware(hello, RedisGcra(redis, [ten]), guard=guard)
        return Counter(await asyncio.gather(*(status(app, "/") for _ in range(300))))

    async with AsyncRedis.from_url(redis_url) as redis:
        naive = await crowd(redis, Guard(outage=outage, timeout=5.0, most_waiting=300))
        story.naive("a plain client, any number may wait", admitted=naive[200])
        assert naive == {200: 210, 429: 90}
        await redis.flushdb()
    async with connect(redis_url) as redis:
        good = await crowd(redis, Guard(outage=outage, timeout=5.0))
        story.good("eight connections, thirty may wait", admitted=good[200], busy=good[503])
        assert good == {200: 10, 429: 20, 503: 270}


# -- f: the spoof ----------------------------------------------------------------------------------


class InProcess:
    """An exact limiter for the middleware, whose time stands still until it is moved."""

    policies = (HUNDRED,)

    def __init__(self) -> None:
        self.log = SlidingWindowLog(100, 60)
        self.now = 0.0

    async def hit(self, key: str, cost: int = 1) -> "Verdict":
        return Verdict(self.log.hit(key, self.now, cost).allowed)


class Verdict:
    remaining = 0
    retry_after = reset_after = 60.0
    policy = "hundred"
    violated = ("hundred",)

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed


@pytest.mark.anyio
async def test_a_client_cannot_choose_its_own_bucket(story: Story) -> None:
    """An attacker sends a new X-Forwarded-For with each request and is never limited.

    The proxy appends the address it saw; whatever stands to the left is the client's word.
    """
    chance = random.Random(5)
    forged = [".".join(str(chance.randrange(1, 255)) for _ in range(4)) for _ in range(1000)]
    # What the service sees: the client's header, and the address the proxy saw appended.
    load = [(b"x-forwarded-for", f"{lie}, 203.0.113.9".encode()) for lie in forged]
    story.scene("1,000 requests of one client, each with another X-Forwarded-For", limit=100)

    def leftmost(scope: Scope) -> str:
        value: bytes = dict(scope["headers"])[b"x-forwarded-for"]
        return value.split(b",")[0].decode()

    async def passed(key: Callable[[Scope], str]) -> int:
        app = RateLimitMiddleware(hello, InProcess(), key=key, guard=Guard(outage=()))
        return Counter([await status(app, "/", header) for header in load])[200]

    naive = await passed(leftmost)
    story.naive("the first address of the header", admitted=naive)
    assert naive == 1000
    good = await passed(lambda scope: client_address(scope, trusted_hops=1))
    story.good("the address that the one trusted proxy saw", admitted=good)
    assert good == 100


# -- g: the keys -----------------------------------------------------------------------------------


def test_a_flood_of_new_keys_does_not_fill_the_memory(story: Story) -> None:
    """100,000 new keys stay in the table for ever: the limiter is itself a leak."""
    keys = [f"client-{number}" for number in range(100_000)]
    naive = NaiveFixedWindow(100, 60)
    bounded = TokenBucket(rate=100 / 60, burst=10, max_keys=10_000)
    expiring = Gcra(100, 60, burst=10)
    story.scene("one request from each of 100,000 addresses, and two minutes later one more")

    def flood(hit: Callable[[str, float], object]) -> None:
        for key in keys:
            hit(key, 0.0)

    naive_peak = traced_peak(lambda: flood(naive.allow))
    naive.allow("late", 120.0)
    story.naive("a dict", keys_kept=len(naive.counts), bytes_per_key=naive_peak // 100_000)
    assert len(naive.counts) == 100_001

    bounded_peak = traced_peak(lambda: flood(bounded.hit))
    assert len(bounded) == 10_000
    for _ in range(5_000):  # each hit forgets two
        bounded.hit("late", 120.0)
    story.good("at most 10,000 keys", peak_bytes=bounded_peak, keys_kept_later=len(bounded))
    assert len(bounded) == 1
    assert bounded_peak * 3 < naive_peak

    flood(expiring.hit)
    for _ in range(50_000):
        expiring.hit("late", 120.0)
    story.good("forgotten when unused again", keys_kept=len(expiring))
    assert len(expiring) == 1


# -- h: the neighbours -----------------------------------------------------------------------------


@pytest.mark.anyio
async def test_one_greedy_tenant_does_not_starve_nine_polite_ones(story: Story) -> None:
    """Behind the balancer all tenants share one address, and one of them uses up the limit."""
    greedy, polite = "203.0.113.9", [f"198.51.100.{number}" for number in range(9)]
    # Each second the greedy tenant sends 100 requests, then each polite one sends 1.
    load = [
        (second + offset / 1000, address)
        for second in range(60)
        for offset, address in enumerate([greedy] * 100 + polite)
    ]
    story.scene("one tenant sends 100 requests a second, nine send 1", limit=100)

    async def served(key: Callable[[Scope], str]) -> tuple[int, int]:
        """Give how many requests of the greedy tenant pass, and of the polite ones."""
        limiter = InProcess()
        app = RateLimitMiddleware(hello, limiter, key=key, guard=Guard(outage=()))
        passed = [0, 0]
        for limiter.now, address in load:
            answer = await status(app, "/", (b"x-forwarded-for", address.encode()))
            passed[address != greedy] += answer == 200
        return passed[0], passed[1]

    naive = await served(client_address)
    story.naive("one key, the balancer's address", greedy=naive[0], polite=naive[1])
    assert naive == (100, 0)
    good = await served(lambda scope: client_address(scope, trusted_hops=1))
    story.good("the address that the balancer saw", greedy=good[0], polite=good[1])
    assert good == (100, 9 * 60)


# -- part 8: two processes -------------------------------------------------------------------------


def test_two_processes_share_one_limit(redis_url: str, story: Story) -> None:
    """Two workers, each with its own counter, admit twice the limit."""
    story.scene("two uvicorn processes, requests in turn", limit=LIMIT)

    def admitted_by_two(limiter: str) -> int:
        command = [sys.executable, "-m", "uvicorn", "--factory", "--log-level", "warning"]
        application = "tests.scenarios.rate_limiting.service:create"
        with ExitStack() as stack:
            ports = []
            for _ in range(2):
                ports.append(port := free_port())
                argv = [*command, "--port", str(port), application]
                env = {"LIMITER": limiter, "REDIS_URL": redis_url}
                stack.enter_context(spawn(argv, env=env, cwd=ROOT, capture=False))
            client = stack.enter_context(httpx2.Client(trust_env=False))
            for port in ports:
                eventually(partial(is_up, client, port), timeout=20.0)
            replies = [
                client.get(f"http://127.0.0.1:{ports[request % 2]}/").status_code
                for request in range(4 * LIMIT)
            ]
        codes = Counter(replies)
        assert codes[200] + codes[429] == 4 * LIMIT
        return codes[200]

    naive = admitted_by_two("local")
    story.naive("a counter in each process", admitted=naive)
    assert naive == 2 * LIMIT
    good = admitted_by_two("shared")
    story.good("one counter in Valkey", admitted=good)
    assert good == LIMIT


def is_up(client: httpx2.Client, port: int) -> bool:
    """Say whether the service answers, without using up anything."""
    try:
        return client.get(f"http://127.0.0.1:{port}/ready").status_code == 200
    except httpx2.TransportError:
        return False
