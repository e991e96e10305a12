"""Rate limiting: what each algorithm admits, what a decision costs, and what sharing costs.

What is admitted is computed on a virtual clock and exact. Costs are processor time, which waiting
for a busy machine does not change, of this process and of the server; they are taken in turns in
one run, with the same keys and mix: of 20 hits on a key the first 10 pass and 10 are refused.
"""

import asyncio
import gc
import itertools
import statistics
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import altair as alt
import limits
import limits.aio
import throttled
import throttled.asyncio
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from evidence.harness import Run
from lab import servers
from lab.memory import traced_peak
from snippets.rate_limiting.gcra import Decision, Gcra
from snippets.rate_limiting.local_allotment import LocalAllotment
from snippets.rate_limiting.naive_fixed_window import NaiveFixedWindow
from snippets.rate_limiting.redis_gcra import Policy, RedisGcra
from snippets.rate_limiting.sliding_window_counter import SlidingWindowCounter
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog
from snippets.rate_limiting.token_bucket import TokenBucket

LIMIT = 100
WINDOW = 60.0  # seconds
HITS = 20  # on each key, where half of them fit
FITS = 10
KEYS = [f"user-{i}" for i in range(250)]  # for limiters in this process
REDIS_KEYS = 20  # new ones each turn
ROUNDS = 15
SERIAL = itertools.count()
TEN = limits.RateLimitItemPerMinute(FITS)
SERVERS = 4

Allow = Callable[[str, float], bool]
Hit = Callable[[str], Awaitable[bool]]


def measure(run: Run) -> None:
    """Record everything; about a minute."""
    admitted(run)
    asyncio.run(allotments(run))
    memory(run)
    gc.freeze()  # the collection before each round then takes no time
    in_process(run)
    with servers.valkey() as server:
        with_redis(run, server.url)


def admitted(run: Run) -> None:
    """Record the worst window of each algorithm, when an idle key starts to hammer at 11:00:59."""
    algorithms: dict[str, tuple[str, Callable[[], Allow]]] = {
        "fixed-window": ("fixed window", lambda: NaiveFixedWindow(LIMIT, WINDOW).allow),
        "sliding-counter": ("sliding counter", lambda: _allow(SlidingWindowCounter(LIMIT, WINDOW))),
        "burst-100": ("burst 100", lambda: _allow(Gcra(LIMIT, WINDOW, LIMIT))),
        "burst-10": ("burst 10", lambda: _allow(Gcra(LIMIT, WINDOW, 10))),
        "burst-1": ("burst 1", lambda: _allow(Gcra(LIMIT, WINDOW, 1))),
        "sliding-log": ("sliding log", lambda: _allow(SlidingWindowLog(LIMIT, WINDOW))),
    }
    worsts: list[dict[str, object]] = []
    hammering = [59.0 + i / 100 for i in range(12_100)]
    steady = [1000.0 + i / 20 for i in range(6_000)]
    # The limit just before a window ends; then at the pace at which a weighted count fades.
    paced = [59.999999] * LIMIT + [60.0 + i * WINDOW / LIMIT for i in range(1, LIMIT)]
    seconds = [0, 1, 2, 5, *range(10, 71, 10)]
    rows: list[dict[str, float]] = [{"seconds": second} for second in seconds]
    for key, (name, make) in algorithms.items():
        passed = _passed(make(), hammering)
        for row in rows:
            end = 59.0 + row["seconds"]
            row[name] = sum(end - WINDOW < at <= end for at in passed)
        worst = max(_worst(passed), *(_worst(_passed(make(), load)) for load in (steady, paced)))
        run.value(
            f"worst-{key}", worst, "requests", note="admitted in any 60 s, limit 100 a minute"
        )
        worsts.append({"limiter": name, "admitted": worst})
    worst_bars = _bars(worsts, "admitted", "admitted in the worst 60 s", rules=(LIMIT, 2 * LIMIT))
    run.chart("worst", worst_bars, columns=["limiter", "admitted"])
    # The two implementations of the bucket must agree, or the chart's labels are wrong.
    for burst in (LIMIT, 10, 1):
        bucket = _passed(_allow(TokenBucket(LIMIT / WINDOW, burst)), hammering)
        schedule = _passed(_allow(Gcra(LIMIT, WINDOW, burst)), hammering)
        assert len(bucket) == len(schedule), (burst, len(bucket), len(schedule))
    names = [name for name, _ in algorithms.values()]
    base = alt.Chart(alt.Data(values=rows))
    lines = (
        base.transform_fold(names, as_=["algorithm", "admitted"])
        .mark_line()
        .encode(
            x=alt.X("seconds:Q", title="seconds since the first request", axis={"tickCount": 7}),
            y=alt.Y("admitted:Q", title="admitted in the last 60 s", scale={"domain": [0, 220]}),
            color=alt.Color("algorithm:N", sort=names, title=None, legend={"columns": 1}),
        )
        .properties(width=310, height=260)
    )
    bounds = [
        base.mark_rule(strokeDash=[4, 4]).encode(y=alt.datum(bound)) for bound in (LIMIT, 2 * LIMIT)
    ]
    run.chart("admitted", alt.layer(lines, *bounds).to_dict(), columns=["seconds", *names])


async def allotments(run: Run) -> None:
    """Record what larger local allotments save: 600 a minute, burst 50, four servers."""
    busy = Fleet(limit=600, burst=50, servers=SERVERS)
    rows = []
    for size in (1, 2, 5, 10, 12, 15, 20, 50):
        calls, refused, _ = await _allotted(busy, size, rate=8)
        _, _, worst = await _allotted(busy, size, rate=100, minutes=4)
        assert not refused, (size, refused)  # 480 a minute are within the limit
        row = {"size": size, "calls": round(1000 * calls), "worst minute": worst}
        rows.append(row)
        if size in {1, 10, 20, 50}:
            run.value(f"allotment-{size}-calls", row["calls"], "calls", note=_HELD)
    steady = max(row["worst minute"] for row in rows)
    run.value("allotment-worst", steady, "requests", note="admitted in any 60 s of a steady flood")
    attack, bound = await _allotment_attack(busy, 10), 600 + 50 - 1 + 9 * SERVERS
    assert steady < attack <= bound, (steady, attack, bound)
    run.value("allotment-attack", attack, "requests", note="units saved up on each server first")
    longer, _, _ = await _allotted(busy._replace(hold=10.0), 20, rate=8)
    run.value("allotment-20-longer-calls", round(1000 * longer), "calls", note="held for 10 s")
    # The usual case: 90 of 100 a minute, dealt to ten servers: none spends ten within `hold`.
    many = Fleet(limit=100, burst=10, servers=10)
    for size in (2, 10):
        calls, _, _ = await _allotted(many, size, rate=1.5)
        note = "100 a minute over ten servers"
        run.value(f"allotment-many-{size}-calls", round(1000 * calls), "calls", note=note)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("size:O", title="units per allotment", axis={"labelAngle": 0}),
        y=alt.Y("calls:Q", title="shared calls per 1,000 requests"),
    )
    labels = base.mark_text(baseline="bottom", dy=-4).encode(text="calls:Q")
    chart = (base.mark_bar() + labels).properties(width=300, height=230)
    run.chart("allotments", chart.to_dict(), columns=["size", "calls", "worst minute"])


def memory(run: Run) -> None:
    """Record the bytes that one active key takes in this process, its name not counted."""

    def fill(allow: Allow) -> None:
        times = itertools.count(0.0, 1e-5)  # a float of its own for each hit, as from a clock
        for key in KEYS:
            for _ in range(LIMIT):
                assert allow(key, next(times))

    candidates: dict[str, Callable[[], Allow]] = {
        "gcra": lambda: _allow(Gcra(LIMIT, WINDOW, LIMIT)),
        "log": lambda: _allow(SlidingWindowLog(LIMIT, WINDOW)),
    }
    for name, make in candidates.items():
        peak = traced_peak(lambda make=make: fill(make()))  # type: ignore[misc]  # bound per turn
        run.value(f"memory-{name}", round(peak / len(KEYS)), "bytes", note="100 hits a key")


def in_process(run: Run) -> None:
    """Record microseconds per decision without a network, ours and theirs."""
    kinds, strategies = throttled.RateLimiterType, limits.strategies
    candidates = {
        "our GCRA": _our_turn(lambda: _allow(Gcra(FITS, WINDOW, FITS))),
        "our bucket": _our_turn(lambda: _allow(TokenBucket(FITS / WINDOW, FITS))),
        "our log": _our_turn(lambda: _allow(SlidingWindowLog(FITS, WINDOW))),
        # A day, so that no boundary falls into the run.
        "our counter": _our_turn(lambda: _allow(SlidingWindowCounter(FITS, 86_400))),
        "limits: fixed": _limits_turn(strategies.FixedWindowRateLimiter),
        "limits: log": _limits_turn(strategies.MovingWindowRateLimiter),
        "limits: counter": _limits_turn(strategies.SlidingWindowCounterRateLimiter),
        "throttled: GCRA": _throttled_turn(kinds.GCRA),
        "throttled: bucket": _throttled_turn(kinds.TOKEN_BUCKET),
    }
    costs = _costs(run, candidates, lambda: 0.0, HITS * len(KEYS))
    rows = [
        {"limiter": name, "µs": round(statistics.median(cost.here), 2)}
        for name, cost in costs.items()
    ]
    run.chart("in-process", _bars(rows, "µs", "µs per decision"), columns=["limiter", "µs"])
    run.median("in-process-gcra", costs["our GCRA"].here, "µs", note="one decision, in a lock")
    for key, theirs, ours in (
        ("limits", "limits: log", "our log"),
        ("throttled", "throttled: GCRA", "our GCRA"),
    ):
        _ratio(run, f"in-process-{key}", costs[theirs], costs[ours], f"{theirs} / {ours}")


def _our_turn(make: Callable[[], Allow]) -> Callable[[], None]:
    """Hit one of ours, in a lock: the libraries take one too."""

    def turn() -> None:
        allow, clock, lock, passed = make(), time.monotonic, threading.Lock(), 0
        for _ in range(HITS):
            for key in KEYS:
                with lock:
                    passed += allow(key, clock())
        assert passed == FITS * len(KEYS), passed

    return turn


def _limits_turn(strategy: type[limits.strategies.RateLimiter]) -> Callable[[], None]:
    def turn() -> None:
        hit, passed = strategy(limits.storage.MemoryStorage()).hit, 0
        for _ in range(HITS):
            for key in KEYS:
                passed += hit(TEN, key)
        assert passed == FITS * len(KEYS), passed

    return turn


def _throttled_turn(kind: throttled.RateLimiterType) -> Callable[[], None]:
    def turn() -> None:
        limiter = throttled.Throttled(
            using=kind.value,
            quota=throttled.rate_limiter.per_min(FITS, burst=FITS),
            store=throttled.MemoryStore(),
        )
        hit, passed = limiter.limit, 0
        for _ in range(HITS):
            for key in KEYS:
                passed += not hit(key).limited
        assert passed == FITS * len(KEYS), passed

    return turn


def with_redis(run: Run, url: str) -> None:
    """Record a decision's time as a share of the bare round trip, on one asyncio connection."""
    with asyncio.Runner() as runner:
        client = AsyncRedis.from_url(url, max_connections=1)
        ping = _pings(runner, client)
        turns = {name: _redis_turn(runner, hit) for name, hit in _shared(url, client).items()}
        for turn in turns.values():  # scripts loaded, connections open
            turn()
        with Redis.from_url(url) as redis:
            costs = _costs(
                run, {"bare PING": ping, **turns}, lambda: _server_cpu(redis), HITS * REDIS_KEYS
            )
            crowded = _crowded(run, runner, redis, url)
        runner.run(client.aclose())

    rows = [
        {"limiter": name, "part": part, "µs": round(statistics.median(micros), 1)}
        for name, cost in costs.items()
        for part, micros in (("client", cost.here), ("server", cost.there))
    ]
    run.chart("redis", _bars(rows, "µs", "µs per call", "part"), columns=["limiter", "part", "µs"])
    bare, ours = costs["bare PING"], costs["our GCRA"]
    total = [a + b for a, b in zip(*bare, strict=True)]
    run.value(
        "redis-ping",
        _total(bare),
        "µs",
        spread=(min(total), max(total)),
        note="processor time of client and server",
    )
    run.median(
        "redis-server",
        ours.there,
        "µs",
        note="processor time of the server, one call after another",
    )
    run.median(
        "redis-server-50",
        crowded,
        "µs",
        note="processor time of the server, 50 connections at once",
    )
    run.median(
        "redis-client-share",
        [100 * here / (here + there) for here, there in zip(*ours, strict=True)],
        "%",
        note="of the processor time of one decision",
    )
    for key, name in (
        ("gcra", "our GCRA"),
        ("three", "our GCRA, three"),
        ("throttled", "throttled: GCRA"),
        ("fixed", "limits: fixed"),
    ):
        _ratio(run, f"redis-{key}", costs[name], bare, "a bare PING is 1")
    redis_memory(run, url)


def _shared(url: str, client: AsyncRedis) -> dict[str, Hit]:
    """Give the limiters that share a server, each on one connection."""
    minute = Policy("minute", FITS, 60, FITS)
    one = RedisGcra(client, [minute])
    wide = [Policy("second", 1000, 1, 1000), Policy("day", 10_000, 86_400, 10_000)]
    three = RedisGcra(client, [minute, *wide])
    store = throttled.asyncio.RedisStore(server=f"{url}/0")
    gcra = throttled.asyncio.Throttled(
        using=throttled.RateLimiterType.GCRA.value,
        quota=throttled.asyncio.per_min(FITS, burst=FITS),
        store=store,
    )
    storage = limits.storage.storage_from_string(
        f"async+{url}", implementation="redispy", max_connections=1
    )
    strategies = limits.aio.strategies
    fixed = strategies.FixedWindowRateLimiter(storage)
    moving = strategies.MovingWindowRateLimiter(storage)
    counter = strategies.SlidingWindowCounterRateLimiter(storage)

    async def hit_one(key: str) -> bool:
        return (await one.hit(key)).allowed

    async def hit_three(key: str) -> bool:
        return (await three.hit(key)).allowed

    async def hit_throttled(key: str) -> bool:
        return not (await gcra.limit(key)).limited

    return {
        "our GCRA": hit_one,
        "our GCRA, three": hit_three,
        "throttled: GCRA": hit_throttled,
        "limits: fixed": lambda key: fixed.hit(TEN, key),
        "limits: counter": lambda key: counter.hit(TEN, key),
        "limits: log": lambda key: moving.hit(TEN, key),
    }


def _redis_turn(runner: asyncio.Runner, hit: Hit) -> Callable[[], None]:
    async def hits() -> None:
        number, passed = next(SERIAL), 0
        for i in range(REDIS_KEYS):
            for _ in range(HITS):
                passed += await hit(f"{number}-{i}")
        assert passed == FITS * REDIS_KEYS, passed

    return lambda: runner.run(hits())


def _pings(runner: asyncio.Runner, client: AsyncRedis) -> Callable[[], None]:
    async def pings() -> None:
        for _ in range(HITS * REDIS_KEYS):
            await client.ping()

    return lambda: runner.run(pings())


def _crowded(run: Run, runner: asyncio.Runner, redis: Redis, url: str) -> list[float]:
    """Give the server's processor microseconds per decision when fifty connections ask at once."""
    client = AsyncRedis.from_url(url, max_connections=50)
    limiter = RedisGcra(client, [Policy("minute", FITS, 60, FITS)])

    async def ask(key: str) -> None:
        for _ in range(HITS):
            await limiter.hit(key)

    async def crowd() -> None:
        number = next(SERIAL)
        await asyncio.gather(*(ask(f"{number}-{i}") for i in range(50)))

    micros = []
    for number in range(ROUNDS + 1):
        before = _server_cpu(redis)
        runner.run(crowd())
        used = _server_cpu(redis) - before
        if number:  # the first opened the connections
            micros.append(1e6 * used / (50 * HITS))
        run.step(f"fifty at once, round {number} of {ROUNDS}")
    runner.run(client.aclose())
    return micros


def redis_memory(run: Run, url: str) -> None:
    """Record the bytes of one active key in the server: MEMORY USAGE, 100 units used."""
    hundred = limits.RateLimitItemPerMinute(LIMIT)
    with Redis.from_url(url) as redis, asyncio.Runner() as runner:
        client = AsyncRedis.from_url(url)
        gcra = RedisGcra(client, [Policy("minute", LIMIT, 60, LIMIT)])
        moving = limits.strategies.MovingWindowRateLimiter(limits.storage.RedisStorage(url))
        redis.flushdb()

        async def fill() -> None:
            for _ in range(LIMIT):
                assert (await gcra.hit("bob")).allowed
            await client.aclose()

        runner.run(fill())
        (key,) = redis.keys()
        run.value("redis-memory-gcra", redis.memory_usage(key), "bytes", note="key included")
        redis.flushdb()
        for _ in range(LIMIT):
            assert moving.hit(hundred, "bob")
        (key,) = redis.keys()
        run.value("redis-memory-log", redis.memory_usage(key), "bytes", note="limits 5.8, a list")


class Cost(NamedTuple):
    """Processor microseconds per operation, one number a round."""

    here: list[float]
    """This process."""
    there: list[float]
    """The server."""


def _costs(
    run: Run,
    candidates: Mapping[str, Callable[[], None]],
    server_cpu: Callable[[], float],
    count: int,
) -> dict[str, Cost]:
    """Run the candidates in turns, each once before it counts; one turn is `count` operations."""
    costs = {name: Cost([], []) for name in candidates}
    for number in range(ROUNDS + 1):
        for name, turn in candidates.items():
            there, here = server_cpu(), time.process_time()
            turn()
            here, there = time.process_time() - here, server_cpu() - there
            if number:
                costs[name].here.append(1e6 * here / count)
                costs[name].there.append(1e6 * there / count)
        run.step(f"round {number} of {ROUNDS}")
    return costs


def _server_cpu(redis: Redis) -> float:
    """Give the processor seconds that the server has used."""
    used = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def _total(cost: Cost) -> float:
    """Give the length of a chart's bar: the median of each part, added."""
    return sum(statistics.median(part) for part in cost)


def _ratio(run: Run, key: str, ours: Cost, base: Cost, note: str) -> None:
    """Record how much longer one bar is than another; the spread is that of single rounds."""
    pairs = zip(zip(*ours, strict=True), zip(*base, strict=True), strict=True)
    rounds = [sum(a) / sum(b) for a, b in pairs]
    value = _total(ours) / _total(base)
    run.value(key, value, "times", spread=(min(*rounds, value), max(*rounds, value)), note=note)


def _bars(
    rows: Sequence[dict[str, object]],
    field: str,
    title: str,
    part: str = "",
    rules: Sequence[float] = (),
) -> dict[str, object]:
    """Draw one bar a limiter, divided by `part` or with its number, and dashed lines at `rules`."""
    data = alt.Chart(alt.Data(values=list(rows)))
    base = data.encode(
        y=alt.Y("limiter:N", sort=None, title=None),
        x=alt.X(f"{field}:Q", title=title, axis={"tickCount": 5}),
    )
    count = len({row["limiter"] for row in rows})
    if part:
        chart = base.mark_bar().encode(color=alt.Color(f"{part}:N", title=None))
    else:
        labels = base.mark_text(align="left", dx=4).encode(text=f"{field}:Q")
        chart = base.mark_bar() + labels
    for bound in rules:
        chart += data.mark_rule(strokeDash=[4, 4]).encode(x=alt.datum(bound))
    spec = chart.properties(width=215, height=28 * count).to_dict()
    # Labels on the left are as wide as the reader's font makes them.
    return {**spec, "padding": {"left": 18, "right": 18, "top": 5, "bottom": 5}}


def _allow(limiter: Gcra | TokenBucket | SlidingWindowCounter | SlidingWindowLog) -> Allow:
    hit = limiter.hit
    return lambda key, now: hit(key, now).allowed


def _passed(allow: Allow, times: Iterable[float]) -> list[float]:
    return [at for at in times if allow("mallory", at)]


def _worst(passed: Iterable[float]) -> int:
    """Give the most of these times that one half-open window holds."""
    recent: deque[float] = deque()
    worst = 0
    for at in passed:
        recent.append(at)
        while recent[0] <= at - WINDOW + 1e-6:
            recent.popleft()
        worst = max(worst, len(recent))
    return worst


class Fleet(NamedTuple):
    """Servers that take allotments from one shared limiter."""

    limit: int
    """Units a minute, in all."""
    burst: int
    servers: int
    hold: float = 5.0
    """Seconds after which an allotment is void."""


_HELD = "shared calls per 1,000 requests; each allotment is void after 5 s"


class _Shared:
    """The shared limiter, on a virtual clock."""

    policies = ()

    def __init__(self, fleet: Fleet) -> None:
        self.gcra = Gcra(fleet.limit, WINDOW, fleet.burst)
        self.now, self.calls = 0.0, 0

    async def hit(self, key: str, cost: int = 1) -> Decision:
        self.calls += 1
        return self.gcra.hit(key, self.now, cost)

    def fleet(self, fleet: Fleet, size: int) -> list[LocalAllotment]:
        """Give the servers that share this limiter and its clock."""
        return [
            LocalAllotment(self, size, fleet.hold, clock=lambda: self.now)
            for _ in range(fleet.servers)
        ]


async def _allotted(
    fleet: Fleet, size: int, rate: float, minutes: int = 20
) -> tuple[float, float, int]:
    """Run the servers on a virtual clock.

    Args:
        fleet: the servers, and what they share.
        size: units per allotment.
        rate: requests a second, dealt to the servers in turn.
        minutes: for how long.

    Returns:
        Shared calls per request, the share refused, and the most admitted in 60 s.
    """
    shared = _Shared(fleet)
    servers = shared.fleet(fleet, size)
    count = round(60 * minutes * rate)
    passed = []
    for i in range(count):
        shared.now = i / rate
        if (await servers[i % fleet.servers].hit("bob")).allowed:
            passed.append(shared.now)
    return shared.calls / count, 1 - len(passed) / count, _worst(passed)


async def _allotment_attack(fleet: Fleet, size: int) -> int:
    """Take an allotment on each server, let the bucket fill again, then hammer for two minutes.

    Returns:
        The most admitted in 60 s.
    """
    shared = _Shared(fleet)
    servers = shared.fleet(fleet, size)
    start = fleet.hold - 0.01
    passed = []
    for at in [0.0, *[start] * size, *(start + i / 500 for i in range(60_000))]:
        shared.now = at
        passed += [at for server in servers if (await server.hit("bob")).allowed]
    return _worst(passed)
