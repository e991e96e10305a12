"""The naive fixed window: what it promises, and what it does not."""

import pytest

from snippets.rate_limiting.naive_fixed_window import NaiveFixedWindow
from tests.scenarios.rate_limiting.traffic import run_demo


def test_admits_the_limit_within_one_window() -> None:
    limiter = NaiveFixedWindow(limit=2, window=60.0)
    assert [limiter.allow("a", now) for now in (0, 1, 2, 59.9)] == [True, True, False, False]


def test_counts_each_key_alone() -> None:
    limiter = NaiveFixedWindow(limit=1, window=60.0)
    assert [limiter.allow(key, 0) for key in "aabb"] == [True, False, True, False]


def test_forgets_everything_at_the_boundary() -> None:
    limiter = NaiveFixedWindow(limit=1, window=60.0)
    assert limiter.allow("a", 59.999)
    assert limiter.allow("a", 60.0)


def test_demo_shows_twice_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("naive_fixed_window")
    assert "200 requests passed within two seconds" in capsys.readouterr().out
