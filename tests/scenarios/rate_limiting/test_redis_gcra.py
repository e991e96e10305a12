"""GCRA in Redis: atomic, all or nothing, by the server's clock."""

import asyncio
import importlib
import math
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from snippets.rate_limiting.gcra import Gcra
from snippets.rate_limiting.rate_limit_middleware import App, Message, Receive, Scope, Send
from snippets.rate_limiting.redis_gcra import (
    Policy,
    RedisGcra,
    SyncRedisGcra,
    connect,
    key_names,
    protect,
)
from tests.scenarios.rate_limiting.traffic import SNIPPETS, run_demo

# No unit comes back within a test: one in an hour.
SLOW = Policy("slow", limit=1, window=3600, burst=3)
DAILY = Policy("daily", limit=1, window=86400, burst=5)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def async_redis(redis_url: str) -> AsyncIterator[AsyncRedis]:
    async with AsyncRedis.from_url(redis_url) as client:
        yield client


def test_admits_the_burst_and_tells_when_to_come_back(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW])
    answers = [limiter.hit("a") for _ in range(4)]
    assert [a.allowed for a in answers] == [True, True, True, False]
    assert [a.remaining for a in answers] == [2, 1, 0, 0]
    assert [a.retry_after for a in answers[:3]] == [0, 0, 0]
    assert 3590 < answers[3].retry_after <= 3600
    assert 3 * 3600 - 10 < answers[3].reset_after <= 3 * 3600
    assert (answers[3].policy, answers[3].violated) == ("slow", ("slow",))


def test_who_waits_as_told_is_admitted(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [Policy("quick", limit=1000, window=1, burst=1)])
    assert limiter.hit("a").allowed
    # More than a millisecond passes between two round trips at some point.
    assert any(limiter.hit("a").allowed for _ in range(10_000))


def test_a_request_passes_all_policies_or_is_charged_to_none(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW, DAILY])
    for _ in range(3):
        assert limiter.hit("a").allowed
    refused = limiter.hit("a")
    assert (refused.policy, refused.violated) == ("slow", ("slow",))
    assert SyncRedisGcra(redis, [DAILY]).hit("a", cost=2).allowed  # 5 - 3, not 5 - 4


def test_names_every_policy_that_refuses_and_the_longest_wait(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW, Policy("daily", 1, 86400, 3)])
    for _ in range(3):
        limiter.hit("a")
    refused = limiter.hit("a")
    assert (refused.policy, refused.violated) == ("daily", ("slow", "daily"))
    assert 86390 < refused.retry_after <= 86400


def test_reports_the_policy_with_the_least_room(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [DAILY, SLOW])
    answer = limiter.hit("a")
    assert (answer.policy, answer.remaining) == ("slow", 2)


def test_a_cost_is_charged_whole_or_not_at_all(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW])
    assert limiter.hit("a", cost=2).remaining == 1
    assert not limiter.hit("a", cost=2).allowed
    assert limiter.hit("a", cost=1).allowed


def test_keys_expire_when_they_would_be_empty(redis: Redis) -> None:
    SyncRedisGcra(redis, [SLOW, DAILY]).hit("a", cost=2)
    slow, daily = sorted(redis.pttl(key) for key in redis.scan_iter())
    assert 2 * 3600_000 - 10_000 < slow <= 2 * 3600_000
    assert 2 * 86400_000 - 10_000 < daily <= 2 * 86400_000


def test_a_refused_hit_writes_nothing(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW])
    limiter.hit("a", cost=3)
    (key,) = redis.scan_iter()
    before = redis.get(key)
    limiter.hit("a")
    assert redis.get(key) == before


def test_stores_whole_microseconds_without_loss(redis: Redis) -> None:
    SyncRedisGcra(redis, [SLOW]).hit("a")
    seconds, _ = redis.time()
    (key,) = redis.scan_iter()
    value = str(redis.get(key))
    assert re.fullmatch(r"\d{16}", value)
    assert abs(int(value) - (seconds + 3600) * 1_000_000) < 10_000_000


def test_policies_of_one_client_share_a_cluster_slot_whatever_it_sends(redis: Redis) -> None:
    SyncRedisGcra(redis, [SLOW, DAILY]).hit("}{ \r\n\x00 " * 10_000)
    names = [str(name) for name in redis.scan_iter()]
    assert all(re.fullmatch(r"rate:\{[0-9a-f]{32}\}:(slow|daily)", name) for name in names)
    assert len(names) == 2
    assert len({name.split(":")[1] for name in names}) == 1


def test_keys_and_prefixes_do_not_share(redis: Redis) -> None:
    one, other = (SyncRedisGcra(redis, [SLOW], prefix=p) for p in ("one", "other"))
    assert one.hit("alice", cost=3).allowed
    assert one.hit("alicia", cost=3).allowed
    assert other.hit("alice", cost=3).allowed
    assert not one.hit("alice").allowed


def test_a_server_clock_set_back_locks_nobody_out(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW])
    limiter.hit("a")
    (key,) = redis.scan_iter()
    redis.set(key, 4 * int(redis.get(key) or 0))  # written by a clock far ahead
    assert limiter.hit("a").retry_after == 3600
    assert limiter.hit("a").retry_after < 3600  # and this time runs


def test_a_lowered_limit_locks_nobody_out(redis: Redis) -> None:
    SyncRedisGcra(redis, [Policy("p", 1, 3600, 100)]).hit("a", cost=100)
    refused = SyncRedisGcra(redis, [Policy("p", 1, 3600, 2)]).hit("a")
    assert (refused.allowed, refused.remaining, refused.retry_after) == (False, 0, 3600.0)


def test_who_waits_as_told_after_a_change_is_admitted(redis: Redis) -> None:
    SyncRedisGcra(redis, [Policy("p", 1, 3600, 100)]).hit("a", cost=100)
    limiter = SyncRedisGcra(redis, [Policy("p", 5, 60, 5), DAILY])
    refused = limiter.hit("a", cost=5)
    assert refused.violated == ("p",)
    (key,) = redis.scan_iter("*:p")
    assert 50_000 < redis.pttl(key) <= 60_000
    redis.decrby(key, round(refused.retry_after * 1_000_000))  # as after the wait
    assert limiter.hit("a", cost=5).allowed
    assert SyncRedisGcra(redis, [DAILY]).hit("a").violated == ("daily",)  # 5, charged once


@pytest.mark.parametrize(
    ("before", "after"), [((100, 60, 100), (100, 60, 10)), ((1, 3600, 10), (100, 60, 10))]
)
def test_a_change_does_the_same_as_in_one_process(
    redis: Redis, before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    local = Gcra(*before)
    local.hit("a", 0.0, before[2])
    local.set_limit(*after)
    SyncRedisGcra(redis, [Policy("p", *before)]).hit("a", cost=before[2])
    assert SyncRedisGcra(redis, [Policy("p", *after)]).hit("a")[:4] == local.hit("a", 0.0)


def test_the_last_unit_violates_nothing(redis: Redis) -> None:
    answer = SyncRedisGcra(redis, [SLOW]).hit("a", cost=3)
    assert (answer.allowed, answer.remaining, answer.violated) == (True, 0, ())


def test_the_spacing_is_rounded_up_so_that_the_rate_is_never_exceeded() -> None:
    assert Policy("p", 3, 10, 1).spacing == 3_333_334


def test_a_key_lives_at_least_as_long_as_its_wait(redis: Redis) -> None:
    # 0.4 ms a unit: rounded down, the key would have no life, which Redis refuses.
    assert SyncRedisGcra(redis, [Policy("p", 2500, 1, 1)]).hit("a").allowed


@pytest.mark.parametrize(
    "numbers",
    [
        (-5, 60, 10),
        (0.5, 60, 10),
        (True, 60, 10),
        (100, 60, -1),
        (100, 60, math.nan),
        (100, 0, 10),
        (100, -60, 10),
        (100, math.nan, 10),
        (100, math.inf, 10),
        (1, 1e10, 10),
    ],
)
def test_a_policy_that_is_none_is_refused_when_it_is_made(numbers: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"name='p', limit={numbers[0]}")):
        Policy("p", *numbers)


@pytest.mark.parametrize("name", ["", 'a"', "a\\", "a\r\nb", "ä"])
def test_a_policy_has_a_name_that_fits_into_a_header(name: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        Policy(name, 100, 60, 10)


@pytest.mark.parametrize("policies", [[], [SLOW, SLOW]])
def test_policies_have_names_of_their_own(redis_url: str, policies: list[Policy]) -> None:
    with pytest.raises(ValueError, match="names of their own"), Redis.from_url(redis_url) as redis:
        SyncRedisGcra(redis, policies)
    with pytest.raises(ValueError, match="names of their own"):
        RedisGcra(AsyncRedis.from_url(redis_url), policies)


def test_a_key_may_hold_what_is_no_text(redis: Redis) -> None:
    assert SyncRedisGcra(redis, [SLOW]).hit("\ud800").allowed


def test_a_client_is_freed_by_its_key_names(redis: Redis) -> None:
    limiter = SyncRedisGcra(redis, [SLOW, DAILY], prefix="api")
    limiter.hit("a", cost=3)
    assert redis.delete(*key_names("a", limiter.policies, "api")) == 2
    assert limiter.hit("a", cost=3).allowed


@pytest.mark.parametrize("policy", [SLOW, Policy("p", 0, 60, 9), Policy("p", 9, 60, 0)])
def test_what_can_never_pass_is_refused_without_a_round_trip(policy: Policy) -> None:
    with Redis(port=1) as nowhere:
        refused = SyncRedisGcra(nowhere, [policy]).hit("a", cost=4)
    assert (refused.allowed, refused.retry_after) == (False, math.inf)
    assert refused.violated == (policy.name,)


def test_a_limit_of_zero_is_closed_even_for_one_unit() -> None:
    with Redis(port=1) as nowhere:
        limiter = SyncRedisGcra(nowhere, [Policy("p", 0, 60, 9)])
        assert limiter.hit("a").retry_after == math.inf


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, 1.5, 2.0, True])
def test_refuses_a_cost_that_is_no_count(cost: float) -> None:
    with Redis(port=1) as nowhere, pytest.raises(ValueError, match="whole number"):
        SyncRedisGcra(nowhere, [SLOW]).hit("a", cost)  # type: ignore[arg-type]  # the bad input


def test_an_outage_raises() -> None:
    with Redis(port=1) as nowhere, pytest.raises(RedisConnectionError):
        SyncRedisGcra(nowhere, [SLOW]).hit("a")


@pytest.mark.anyio
async def test_concurrent_tasks_get_exactly_the_burst(async_redis: AsyncRedis) -> None:
    limiter = RedisGcra(async_redis, [SLOW])
    answers = await asyncio.gather(*(limiter.hit("a") for _ in range(50)))
    assert sum(a.allowed for a in answers) == 3


@pytest.mark.anyio
async def test_async_and_sync_share_one_count(async_redis: AsyncRedis, redis: Redis) -> None:
    assert (await RedisGcra(async_redis, [SLOW]).hit("a", cost=2)).allowed
    assert not SyncRedisGcra(redis, [SLOW]).hit("a", cost=2).allowed


@pytest.mark.anyio
async def test_async_refuses_what_can_never_pass(async_redis: AsyncRedis) -> None:
    assert (await RedisGcra(async_redis, [SLOW]).hit("a", cost=4)).retry_after == math.inf


@pytest.mark.anyio
async def test_survives_a_server_that_forgot_its_scripts(async_redis: AsyncRedis) -> None:
    limiter = RedisGcra(async_redis, [SLOW])
    await limiter.hit("a")
    await async_redis.script_flush()
    assert (await limiter.hit("a")).remaining == 1


def test_demo_admits_the_burst(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    run_demo("redis_gcra")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "refused by ('burst',)",
        "after retry_after: True",
    ]
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0


def test_demo_without_a_server_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(SystemExit, match=r"docker run .* make lab"):
        run_demo("redis_gcra")


def test_demo_with_a_dead_server_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1:1.* docker run .* make lab"):
        run_demo("redis_gcra")


# -- with the middleware, as the page shows it -----------------------------------------------------


async def statuses(app: App, *requests: Scope) -> list[int]:
    answers: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    for request in requests:
        await app({"type": "http", "path": "/", **request}, receive, send)
    return answers


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == (await receive())["type"].partition(".")[0]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.anyio
async def test_the_service_of_the_page_limits_each_account_and_each_address(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SNIPPETS))
    middleware = importlib.import_module("rate_limit_middleware")
    # A busy machine is no outage.
    monkeypatch.setattr(middleware, "Guard", partial(middleware.Guard, timeout=5.0))

    def by(address: str, **more: str) -> Scope:
        header = (b"x-forwarded-for", f"6.6.6.6, {address}".encode())
        return {"headers": [header], "client": ("10.0.0.1", 80), **more}

    async with connect(redis_url) as redis:
        app = protect(hello, redis)
        mallory = [by("203.0.113.9", path="/login")] * 11
        assert await statuses(app, *mallory) == [200] * 10 + [429]
        assert await statuses(app, by("203.0.113.10")) == [200]
        alice = [by("203.0.113.9", account="alice")] * 11
        assert await statuses(app, *alice) == [200] * 10 + [429]
        assert await statuses(app, by("203.0.113.9", path="/health")) == [200]
