"""The sliding-window log keeps the limit exactly."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.rate_limiting.sliding_window_log import Decision, SlidingWindowLog
from tests.scenarios.rate_limiting.traffic import (
    Hit,
    admitted,
    hits,
    keyed,
    most_in_any_window,
    run_demo,
)


@given(load=hits(), limit=st.integers(0, 9), window=st.integers(1, 20))
def test_any_half_open_window_admits_at_most_the_limit(
    load: list[Hit], limit: int, window: int
) -> None:
    limiter = SlidingWindowLog(limit, window)
    passed = admitted(lambda now, cost: limiter.hit("a", now, cost).allowed, load)
    assert most_in_any_window(passed, window) <= limit


@given(load=hits(), limit=st.integers(3, 9), window=st.integers(1, 20), cost=st.integers(1, 3))
def test_who_waits_as_told_is_admitted_and_nobody_sooner(
    load: list[Hit], limit: int, window: int, cost: int
) -> None:
    limiter = SlidingWindowLog(limit, window)
    now = 0.0
    for now, units in load:
        limiter.hit("a", now, units)
    first = limiter.hit("a", now, cost)
    if not first.allowed:
        assert not limiter.hit("a", now + first.retry_after - 1 / 64, cost).allowed
        assert limiter.hit("a", now + first.retry_after, cost).allowed


def test_uses_the_whole_limit() -> None:
    limiter = SlidingWindowLog(limit=3, window=10)
    answers = [limiter.hit("a", now) for now in (0.0, 1.0, 2.0, 3.0)]
    assert answers == [
        Decision(True, 2, 0.0, 10.0),
        Decision(True, 1, 0.0, 10.0),
        Decision(True, 0, 0.0, 10.0),
        Decision(False, 0, 7.0, 9.0),
    ]


def test_a_unit_leaves_exactly_one_window_later() -> None:
    limiter = SlidingWindowLog(limit=1, window=10)
    assert [limiter.hit("a", now).allowed for now in (0.0, 9.875, 10.0)] == [True, False, True]


def test_refused_hits_do_not_count() -> None:
    limiter = SlidingWindowLog(limit=1, window=10)
    assert [limiter.hit("a", now).allowed for now in (0, 4, 8, 10)] == [True, False, False, True]


def test_waits_for_as_many_units_as_the_cost_needs() -> None:
    limiter = SlidingWindowLog(limit=3, window=10)
    for now in (0.0, 1.0, 2.0):
        limiter.hit("a", now)
    assert limiter.hit("a", 3.0, cost=2) == Decision(False, 0, 8.0, 9.0)


def test_keys_do_not_share() -> None:
    limiter = SlidingWindowLog(limit=1, window=10)
    assert [limiter.hit(key, 0).allowed for key in "aabb"] == [True, False, True, False]


def test_a_cost_above_the_limit_never_passes() -> None:
    assert SlidingWindowLog(limit=3, window=10).hit("a", 0, 4) == Decision(False, 3, math.inf, 0.0)


def test_a_limit_of_zero_is_closed() -> None:
    assert SlidingWindowLog(limit=0, window=10).hit("a", 0).retry_after == math.inf


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, 1.5, 2.0, True, Decimal(1)])
def test_refuses_a_cost_that_is_no_count(cost: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        SlidingWindowLog(limit=3, window=10).hit("a", 0, cost)  # type: ignore[arg-type]  # the bad input


def test_a_clock_set_back_admits_nothing_more() -> None:
    limiter = SlidingWindowLog(limit=1, window=10)
    assert limiter.hit("a", 100.0).allowed
    assert limiter.hit("a", 50.0) == Decision(False, 0, 10.0, 10.0)


def test_a_limit_changed_while_running_holds_from_the_next_hit() -> None:
    limiter = SlidingWindowLog(limit=3, window=10)
    for now in (0.0, 1.0, 2.0):
        limiter.hit("a", now)
    limiter.limit = 2
    assert limiter.hit("a", 3.0) == Decision(False, 0, 8.0, 9.0)
    limiter.limit = 4
    assert limiter.hit("a", 3.0).allowed


def test_forgets_idle_keys_but_not_active_ones() -> None:
    limiter = SlidingWindowLog(limit=9, window=10)
    for now, key in ((0.0, "a"), (1.0, "b"), (5.0, "a"), (11.0, "c")):
        limiter.hit(key, now)
    assert len(limiter) == 2  # b has left, a has not
    assert limiter.hit("a", 12.0).remaining == 7


def test_each_hit_forgets_at_most_two_keys() -> None:
    limiter = SlidingWindowLog(limit=9, window=10)
    for number in range(100):
        limiter.hit(f"idle-{number}", 0.0)
    left = []
    for _ in range(50):
        limiter.hit("late", 10.0)
        left.append(len(limiter) - 1)
    assert left == list(range(98, -1, -2))


def test_an_idle_key_that_is_not_forgotten_yet_has_nothing_used() -> None:
    limiter = SlidingWindowLog(limit=2, window=10)
    for key in "abcd":
        limiter.hit(key, 0.0)
    assert limiter.hit("c", 10.0, cost=3) == Decision(False, 2, math.inf, 0.0)
    assert len(limiter) == 2  # c, whose log is empty now, and d, which is idle
    assert limiter.hit("e", 10.0) == Decision(True, 1, 0.0, 10.0)
    assert len(limiter) == 1


@given(load=keyed(), limit=st.integers(0, 4), window=st.integers(1, 9))
def test_other_keys_change_no_answer(
    load: list[tuple[str, float, int]], limit: int, window: int
) -> None:
    together = SlidingWindowLog(limit, window)
    alone = {key: SlidingWindowLog(limit, window) for key in "abcde"}
    for key, now, cost in load:
        assert together.hit(key, now, cost) == alone[key].hit(key, now, cost)


@pytest.mark.parametrize(
    ("limit", "window"),
    [
        *[(-1, 10), (1.5, 10), (True, 10), (Decimal(1), 10), (math.nan, 10)],
        *[(1, 0), (1, -1), (1, math.inf), (1, math.nan)],
    ],
)
def test_refuses_a_limit_that_is_none(limit: int, window: float) -> None:
    with pytest.raises(ValueError, match="whole limit >= 0 and a window > 0"):
        SlidingWindowLog(limit, window)


def test_a_lowered_window_forgets_safely() -> None:
    limiter = SlidingWindowLog(limit=1, window=10)
    limiter.hit("a", 0.0)
    limiter.window = 2
    assert limiter.hit("a", 3.0).allowed


def test_demo_admits_100_of_200(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("sliding_window_log")
    assert capsys.readouterr().out.splitlines() == [
        "limit 100 a minute, 200 requests in 2 s: 100 admitted",
        "retry after 58 s",
        "and then: True",
    ]
