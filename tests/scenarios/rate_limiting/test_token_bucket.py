"""The token bucket keeps burst + rate * W, with a bounded table."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.rate_limiting.token_bucket import Decision, TokenBucket
from tests.scenarios.rate_limiting.traffic import (
    Hit,
    admitted,
    hits,
    keyed,
    most_in_any_window,
    run_demo,
)


@given(
    load=hits(),
    rate=st.floats(0.01, 10),
    burst=st.integers(0, 9),
    window=st.integers(1, 20),
)
def test_any_half_open_window_admits_at_most_burst_plus_rate(
    load: list[Hit], rate: float, burst: int, window: int
) -> None:
    limiter = TokenBucket(rate, burst)
    passed = admitted(lambda now, cost: limiter.hit("a", now, cost).allowed, load)
    assert most_in_any_window(passed, window) <= burst + rate * window + 1e-6


@given(load=hits(), rate=st.floats(0.01, 10), burst=st.integers(3, 9), cost=st.integers(1, 3))
def test_who_waits_as_told_is_admitted_and_nobody_sooner(
    load: list[Hit], rate: float, burst: int, cost: int
) -> None:
    limiter = TokenBucket(rate, burst)
    now = 0.0
    for now, units in load:
        limiter.hit("a", now, units)
    first = limiter.hit("a", now, cost)
    if not first.allowed:
        assert not limiter.hit("a", now + first.retry_after * 0.99, cost).allowed
        assert limiter.hit("a", now + first.retry_after, cost).allowed


def test_a_full_bucket_pays_the_burst_and_then_the_rate() -> None:
    limiter = TokenBucket(rate=2.0, burst=3)
    assert [limiter.hit("a", 0.0).remaining for _ in range(3)] == [2, 1, 0]
    refused = limiter.hit("a", 0.0)
    assert (refused.allowed, refused.retry_after, refused.reset_after) == (False, 0.5, 1.5)
    assert limiter.hit("a", 0.5).allowed


def test_a_bucket_holds_no_more_than_the_burst() -> None:
    limiter = TokenBucket(rate=1.0, burst=2)
    limiter.hit("a", 0.0)
    assert limiter.hit("a", 1000.0).remaining == 1


def test_refused_hits_cost_nothing() -> None:
    limiter = TokenBucket(rate=1.0, burst=1)
    limiter.hit("a", 0.0)
    assert [limiter.hit("a", now).allowed for now in (0.25, 0.5, 0.75, 1.0)] == [
        False,
        False,
        False,
        True,
    ]


def test_rounding_refuses_nobody() -> None:
    limiter = TokenBucket(rate=0.1, burst=1)
    limiter.hit("a", 0.0)
    for tenth in range(1, 100):  # a hundred additions of a float that is not 1/10
        limiter.hit("a", tenth / 10)
    assert limiter.hit("a", 10.0).allowed


def test_remaining_counts_whole_tokens_and_rounding_loses_none() -> None:
    limiter = TokenBucket(rate=0.2, burst=3)
    assert limiter.hit("a", 0.0, cost=3).remaining == 0
    for tenth in range(1, 50):  # the fiftieth addition gives 0.9999999999999999
        limiter.hit("a", tenth / 10, cost=3)
    assert limiter.hit("a", 5.0, cost=3).remaining == 1
    assert limiter.hit("a", 9.0, cost=3).remaining == 1  # of 1.8


def test_keys_do_not_share() -> None:
    limiter = TokenBucket(rate=1.0, burst=1)
    assert [limiter.hit(key, 0).allowed for key in "aabb"] == [True, False, True, False]


def test_a_cost_above_the_burst_never_passes() -> None:
    refused = TokenBucket(rate=1.0, burst=3).hit("a", 0, 4)
    assert (refused.allowed, refused.remaining, refused.retry_after) == (False, 3, math.inf)


def test_a_burst_of_zero_is_closed() -> None:
    assert TokenBucket(rate=1.0, burst=0).hit("a", 0).retry_after == math.inf


def test_a_rate_of_zero_pays_the_burst_once() -> None:
    limiter = TokenBucket(rate=0.0, burst=1)
    assert limiter.hit("a", 0) == Decision(True, 0, 0.0, math.inf)
    assert limiter.hit("a", 1e9) == Decision(False, 0, math.inf, math.inf)


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, 1.5, 2.0, True, Decimal(1)])
def test_refuses_a_cost_that_is_no_count(cost: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        TokenBucket(rate=1.0, burst=3).hit("a", 0, cost)  # type: ignore[arg-type]  # the bad input


def test_a_clock_set_back_stands_still() -> None:
    limiter = TokenBucket(rate=1.0, burst=2)
    times = (100.0, 50.0, 50.0, 100.5, 101.0)
    assert [limiter.hit("a", now).allowed for now in times] == [True, True, False, False, True]


def test_a_limit_changed_while_running_holds_from_the_next_hit() -> None:
    limiter = TokenBucket(rate=1.0, burst=5)
    limiter.hit("a", 0.0)
    limiter.burst = 2
    assert limiter.hit("a", 0.0).remaining == 1


def test_forgets_buckets_that_are_full_again() -> None:
    limiter = TokenBucket(rate=1.0, burst=2)
    for now, key in ((0.0, "a"), (1.0, "b"), (1.5, "a"), (3.0, "c")):
        limiter.hit(key, now)
    assert len(limiter) == 2  # b is full again, a is not


def test_each_hit_forgets_at_most_two_keys() -> None:
    limiter = TokenBucket(rate=1.0, burst=9)
    for number in range(100):
        limiter.hit(f"idle-{number}", 0.0)
    left = []
    for _ in range(50):
        limiter.hit("late", 9.0)
        left.append(len(limiter) - 1)
    assert left == list(range(98, -1, -2))


@given(load=keyed(), rate=st.sampled_from([0, 0.25, 1, 4]), burst=st.integers(0, 4))
def test_other_keys_change_no_answer(
    load: list[tuple[str, float, int]], rate: float, burst: int
) -> None:
    together = TokenBucket(rate, burst)
    alone = {key: TokenBucket(rate, burst) for key in "abcde"}
    for key, now, cost in load:
        assert together.hit(key, now, cost) == alone[key].hit(key, now, cost)


@pytest.mark.parametrize(
    ("rate", "burst", "max_keys"),
    [
        *[(-1, 1, 9), (math.inf, 1, 9), (math.nan, 1, 9), (1, -1, 9), (1, 1.5, 9)],
        *[(1, True, 9), (1, Decimal(1), 9), (1, math.nan, 9), (1, 1, 0)],
    ],
)
def test_refuses_a_rate_or_a_burst_that_is_none(rate: float, burst: int, max_keys: int) -> None:
    with pytest.raises(ValueError, match="rate >= 0, a whole burst >= 0 and room"):
        TokenBucket(rate, burst, max_keys)


def test_a_full_table_forgets_the_key_idle_longest() -> None:
    limiter = TokenBucket(rate=0.001, burst=1, max_keys=2)
    for key in ("a", "b", "a", "c"):
        limiter.hit(key, 0.0)
    assert len(limiter) == 2
    assert not limiter.hit("a", 0.0).allowed
    assert limiter.hit("b", 0.0).allowed


def test_demo_shows_what_the_burst_costs(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("token_bucket")
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[5]) for line in lines] == [199, 109, 100]
