"""The naive Redis counters: right with one client, wrong as their comments say."""

import pytest
from redis import Redis

from lab.clock import FakeClock
from snippets.rate_limiting.naive_redis_fixed_window import get_then_set, incr_then_expire
from tests.scenarios.rate_limiting.traffic import run_demo


def test_get_then_set_counts_right_for_one_client(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        clock = FakeClock(60.0)
        passed = [get_then_set(redis, "a", 2, 60, clock) for _ in range(4)]
        assert passed == [True, True, False, False]
        clock.advance(60.0)
        assert get_then_set(redis, "a", 2, 60, clock)


def test_incr_then_expire_counts_right_when_nothing_dies(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        passed = [incr_then_expire(redis, "a", 2, 60) for _ in range(4)]
        assert passed == [True, True, False, False]
        assert 0 < redis.ttl("a") <= 60


def test_demo_shows_a_key_that_never_expires(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    run_demo("naive_redis_fixed_window")
    assert capsys.readouterr().out.splitlines() == [
        "limit 3, the killed request counted, five more: [True, True, False, False, False]",
        "time to live: -1 (-1: this key never expires)",
    ]
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0


def test_demo_with_a_dead_server_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1:1.* docker run .* make lab"):
        run_demo("naive_redis_fixed_window")


def test_demo_without_a_server_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(SystemExit, match=r"docker run .* make lab"):
        run_demo("naive_redis_fixed_window")
