"""The sliding-window counter stays below twice the limit."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.rate_limiting.sliding_window_counter import Decision, SlidingWindowCounter
from tests.scenarios.rate_limiting.traffic import (
    Hit,
    admitted,
    hits,
    keyed,
    most_in_any_window,
    run_demo,
)


@given(load=hits(), limit=st.integers(1, 9), window=st.integers(1, 20))
def test_any_half_open_window_admits_less_than_twice_the_limit(
    load: list[Hit], limit: int, window: int
) -> None:
    limiter = SlidingWindowCounter(limit, window)
    passed = admitted(lambda now, cost: limiter.hit("a", now, cost).allowed, load)
    assert most_in_any_window(passed, window) < 2 * limit


@given(load=hits(), limit=st.integers(3, 9), window=st.integers(1, 20), cost=st.integers(1, 3))
def test_who_waits_as_told_is_admitted_and_nobody_sooner(
    load: list[Hit], limit: int, window: int, cost: int
) -> None:
    limiter = SlidingWindowCounter(limit, window)
    now = 0.0
    for now, units in load:
        limiter.hit("a", now, units)
    first = limiter.hit("a", now, cost)
    if not first.allowed:
        assert not limiter.hit("a", now + first.retry_after - 1e-6, cost).allowed
        assert limiter.hit("a", now + first.retry_after, cost).allowed


def test_an_attacker_gets_all_but_one_of_twice_the_limit() -> None:
    limiter = SlidingWindowCounter(limit=100, window=60)
    load = [(59.999999, 1)] * 100 + [(60 + i * 0.6, 1) for i in range(1, 100)]
    passed = admitted(lambda now, cost: limiter.hit("a", now, cost).allowed, load)
    assert most_in_any_window(passed, 60) == 199


def test_weighs_the_previous_window_by_its_overlap() -> None:
    limiter = SlidingWindowCounter(limit=10, window=10)
    for _ in range(8):
        assert limiter.hit("a", 9.0).allowed
    # At 15 s half of the window before is still covered: 4 of 8 count.
    assert limiter.hit("a", 15.0) == Decision(True, 5, 0.0, 15.0)


def test_a_fraction_of_a_unit_counts_as_one() -> None:
    limiter = SlidingWindowCounter(limit=2, window=10)
    limiter.hit("a", 0.0)
    assert limiter.hit("a", 19.0).remaining == 0


def test_the_weight_fades_within_the_window_and_the_next() -> None:
    limiter = SlidingWindowCounter(limit=4, window=10)
    for _ in range(4):
        limiter.hit("a", 8.0)
    assert limiter.hit("a", 8.0) == Decision(False, 0, 4.5, 12.0)
    assert limiter.hit("a", 10.0) == Decision(False, 0, 2.5, 10.0)
    assert limiter.hit("a", 12.5) == Decision(True, 0, 0.0, 17.5)


def test_forgets_a_window_after_the_next() -> None:
    limiter = SlidingWindowCounter(limit=1, window=10)
    assert [limiter.hit("a", now).allowed for now in (0, 19.9, 20)] == [True, False, True]


def test_an_unused_key_needs_no_reset() -> None:
    assert SlidingWindowCounter(limit=1, window=10).hit("a", 3, cost=2).reset_after == 0.0


def test_keys_do_not_share() -> None:
    limiter = SlidingWindowCounter(limit=1, window=10)
    assert [limiter.hit(key, 0).allowed for key in "aabb"] == [True, False, True, False]


def test_a_cost_above_the_limit_never_passes() -> None:
    assert SlidingWindowCounter(limit=3, window=10).hit("a", 0, 4) == Decision(
        False, 3, math.inf, 0.0
    )


def test_a_limit_of_zero_is_closed() -> None:
    assert SlidingWindowCounter(limit=0, window=10).hit("a", 0).retry_after == math.inf


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, 1.5, 2.0, True, Decimal(1)])
def test_refuses_a_cost_that_is_no_count(cost: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        SlidingWindowCounter(limit=3, window=10).hit("a", 0, cost)  # type: ignore[arg-type]  # the bad input


def test_a_clock_set_back_admits_nothing_more() -> None:
    limiter = SlidingWindowCounter(limit=2, window=10)
    assert [limiter.hit("a", now).allowed for now in (100.0, 50.0, 100.0)] == [True, True, False]


def test_a_limit_changed_while_running_holds_from_the_next_hit() -> None:
    limiter = SlidingWindowCounter(limit=3, window=10)
    for _ in range(3):
        limiter.hit("a", 0.0)
    limiter.limit = 1
    assert limiter.hit("a", 0.0).remaining == 0
    limiter.limit = 4
    assert limiter.hit("a", 0.0).allowed


def test_forgets_idle_keys_but_not_active_ones() -> None:
    limiter = SlidingWindowCounter(limit=9, window=10)
    for now, key in ((0.0, "a"), (1.0, "b"), (11.0, "a"), (20.0, "c")):
        limiter.hit(key, now)
    assert len(limiter) == 2  # b has left, a has not
    assert limiter.hit("a", 20.0).remaining == 7


def test_each_hit_forgets_at_most_two_keys() -> None:
    limiter = SlidingWindowCounter(limit=9, window=10)
    for number in range(100):
        limiter.hit(f"idle-{number}", 0.0)
    left = []
    for _ in range(50):
        limiter.hit("late", 20.0)
        left.append(len(limiter) - 1)
    assert left == list(range(98, -1, -2))


def test_an_idle_key_that_is_not_forgotten_yet_has_nothing_used() -> None:
    limiter = SlidingWindowCounter(limit=1, window=10)
    for key in "abcd":
        limiter.hit(key, 0.0)
    assert limiter.hit("d", 20.0) == Decision(True, 0, 0.0, 20.0)
    assert len(limiter) == 2  # c, which is idle, and d


@given(load=keyed(), limit=st.integers(0, 4), window=st.integers(1, 9))
def test_other_keys_change_no_answer(
    load: list[tuple[str, float, int]], limit: int, window: int
) -> None:
    together = SlidingWindowCounter(limit, window)
    alone = {key: SlidingWindowCounter(limit, window) for key in "abcde"}
    for key, now, cost in load:
        assert together.hit(key, now, cost) == alone[key].hit(key, now, cost)


@pytest.mark.parametrize(
    ("limit", "window"),
    [
        *[(-1, 10), (1.5, 10), (True, 10), (Decimal(1), 10), (math.nan, 10)],
        *[(1, 0), (1, -1), (1, 1e-7), (1, math.inf), (1, math.nan)],
    ],
)
def test_refuses_a_limit_that_is_none(limit: int, window: float) -> None:
    with pytest.raises(ValueError, match="whole limit >= 0 and a window"):
        SlidingWindowCounter(limit, window)


def test_demo_shows_the_unlucky_moment(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("sliding_window_counter")
    assert capsys.readouterr().out.splitlines() == [
        "limit 100, sent evenly: 100 in the worst minute",
        "limit 100, sent 100 at 59.999 s: 199 in the worst minute",
    ]
