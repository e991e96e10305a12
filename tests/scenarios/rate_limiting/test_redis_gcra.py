"""GCRA in Redis: atomic, all or nothing, by the server's clock."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from snippets.rate_limiting.redis_gcra import Policy, RedisGcra, SyncRedisGcra
from tests.scenarios.rate_limiting.traffic import run_demo

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
    redis.set(key, 10 * int(redis.get(key) or 0))  # written by a clock far ahead
    assert 3590 < limiter.hit("a").retry_after <= 3600


def test_a_lowered_limit_locks_nobody_out(redis: Redis) -> None:
    SyncRedisGcra(redis, [Policy("p", 1, 3600, 100)]).hit("a", cost=100)
    refused = SyncRedisGcra(redis, [Policy("p", 1, 3600, 2)]).hit("a")
    assert (refused.allowed, refused.remaining, refused.retry_after) == (False, 0, 3600.0)


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


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, 1.5])
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
