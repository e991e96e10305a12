"""GCRA keeps burst + limit with one integer per key."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.rate_limiting.gcra import Decision, Gcra, gcra
from snippets.rate_limiting.token_bucket import TokenBucket
from tests.scenarios.rate_limiting.traffic import Hit, admitted, hits, most_in_any_window, run_demo


@given(load=hits(), limit=st.integers(0, 9), burst=st.integers(0, 9), window=st.integers(1, 20))
def test_any_half_open_window_admits_at_most_burst_plus_limit(
    load: list[Hit], limit: int, burst: int, window: int
) -> None:
    limiter = Gcra(limit, window, burst)
    passed = admitted(lambda now, cost: limiter.hit("a", now, cost).allowed, load)
    assert most_in_any_window(passed, window) <= burst + limit


@given(load=hits().map(lambda load: [(now, 1) for now, _ in load]), limit=st.integers(1, 9))
def test_a_burst_of_one_keeps_the_limit_exactly(load: list[Hit], limit: int) -> None:
    limiter = Gcra(limit, 10, burst=1)
    passed = admitted(lambda now, cost: limiter.hit("a", now, cost).allowed, load)
    assert most_in_any_window(passed, 10) <= limit


@given(load=hits(), limit=st.integers(1, 9), burst=st.integers(3, 9), cost=st.integers(1, 3))
def test_who_waits_as_told_is_admitted_and_nobody_sooner(
    load: list[Hit], limit: int, burst: int, cost: int
) -> None:
    limiter = Gcra(limit, 10, burst)
    now = 0.0
    for now, units in load:
        limiter.hit("a", now, units)
    first = limiter.hit("a", now, cost)
    if not first.allowed:
        assert not limiter.hit("a", now + first.retry_after - 1e-6, cost).allowed
        assert limiter.hit("a", now + first.retry_after, cost).allowed


@given(load=hits(), burst=st.integers(1, 9), rate=st.sampled_from([0.25, 0.5, 1, 2, 4]))
def test_decides_as_a_token_bucket_does(load: list[Hit], burst: int, rate: float) -> None:
    cells, bucket = Gcra(round(rate * 4), 4, burst), TokenBucket(rate, burst)
    ours = [cells.hit("a", now, cost)[:3] for now, cost in load]
    assert [bucket.hit("a", now, cost)[:3] for now, cost in load] == ours


def test_the_core_moves_the_arrival_time_only_when_it_passes() -> None:
    assert gcra(tat=0, now=1000, spacing=10, burst=3, cost=2) == (1020, 0)
    assert gcra(tat=1020, now=1000, spacing=10, burst=3, cost=1) == (1030, 0)
    assert gcra(tat=1030, now=1000, spacing=10, burst=3, cost=1) == (1030, 10)


def test_pays_the_burst_and_then_the_rate() -> None:
    limiter = Gcra(limit=2, window=1.0, burst=3)
    answers = [limiter.hit("a", now) for now in (0.0, 0.0, 0.0, 0.0, 0.5)]
    assert answers == [
        Decision(True, 2, 0.0, 0.5),
        Decision(True, 1, 0.0, 1.0),
        Decision(True, 0, 0.0, 1.5),
        Decision(False, 0, 0.5, 1.5),
        Decision(True, 0, 0.0, 1.5),
    ]


def test_limit_3_with_burst_3_promises_five_sign_ins_in_any_fifteen_minutes() -> None:
    limiter = Gcra(limit=3, window=900, burst=3)
    load = [(float(second), 1) for second in range(3600)]
    passed = admitted(lambda now, _: limiter.hit("alice", now).allowed, load)
    assert most_in_any_window(passed, 900) == 5


def test_a_part_of_a_unit_does_not_remain() -> None:
    limiter = Gcra(limit=1, window=1.0, burst=2)
    limiter.hit("a", 0.0)
    assert limiter.hit("a", 0.5).remaining == 0


def test_never_exceeds_a_rate_that_is_no_whole_spacing() -> None:
    limiter = Gcra(limit=7, window=0.00001, burst=1)  # 1.43 microseconds become 2
    passed = sum(limiter.hit("a", micro / 1_000_000).allowed for micro in range(1000))
    assert passed == 500


def test_keys_do_not_share() -> None:
    limiter = Gcra(limit=1, window=10, burst=1)
    assert [limiter.hit(key, 0).allowed for key in "aabb"] == [True, False, True, False]


def test_a_cost_above_the_burst_never_passes() -> None:
    assert Gcra(limit=9, window=10, burst=3).hit("a", 0, 4) == Decision(False, 3, math.inf, 0.0)


@pytest.mark.parametrize(("limit", "burst"), [(0, 5), (5, 0)])
def test_a_limit_or_a_burst_of_zero_is_closed(limit: int, burst: int) -> None:
    assert Gcra(limit, 10, burst).hit("a", 0) == Decision(False, 0, math.inf, 0.0)


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, 1.5, 2.0, True, Decimal(1)])
def test_refuses_a_cost_that_is_no_count(cost: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        Gcra(limit=3, window=10, burst=3).hit("a", 0, cost)  # type: ignore[arg-type]  # the bad input


def test_a_clock_set_back_admits_nothing_more() -> None:
    limiter = Gcra(limit=1, window=10, burst=1)
    assert limiter.hit("a", 100.0).allowed
    assert limiter.hit("a", 50.0) == Decision(False, 0, 10.0, 10.0)


def test_a_limit_changed_while_running_holds_from_the_next_hit() -> None:
    limiter = Gcra(limit=10, window=10, burst=5)
    for _ in range(5):
        limiter.hit("a", 0.0)
    limiter.set_limit(limit=10, window=10, burst=6)
    assert limiter.hit("a", 0.0).allowed
    limiter.set_limit(limit=10, window=10, burst=2)
    assert limiter.hit("a", 0.0) == Decision(False, 0, 1.0, 2.0)
    assert limiter.hit("a", 1.0).allowed  # as told
    limiter.set_limit(limit=0, window=10, burst=2)
    assert limiter.hit("a", 1.0).retry_after == math.inf
    limiter.set_limit(limit=10, window=10, burst=2)
    assert not limiter.hit("a", 1.0).allowed  # being closed forgave nothing


NUMBERS = st.integers(1, 9)


@given(
    before=st.tuples(NUMBERS, NUMBERS, NUMBERS),
    after=st.tuples(NUMBERS, NUMBERS, NUMBERS),
    load=hits(),
    cost=st.integers(1, 3),
)
def test_after_any_change_nobody_waits_longer_than_an_emptied_bucket_takes(
    before: tuple[int, int, int], after: tuple[int, int, int], load: list[Hit], cost: int
) -> None:
    limiter = Gcra(*before)
    now = 0.0
    for now, units in load:
        limiter.hit("a", now, units)
    limiter.set_limit(*after)
    limit, window, burst = after
    first = limiter.hit("a", now, cost)
    if cost > burst:
        assert first.retry_after == math.inf
    elif not first.allowed:
        assert first.retry_after <= cost * (window / limit + 1e-6)
        assert first.reset_after <= burst * (window / limit + 1e-6)
        assert limiter.hit("a", now + first.retry_after, cost).allowed


@pytest.mark.parametrize(
    ("before", "after"), [((100, 60, 100), (100, 60, 10)), ((1, 3600, 10), (100, 60, 10))]
)
def test_after_a_change_an_emptied_key_waits_as_with_a_token_bucket(
    before: tuple[int, float, int], after: tuple[int, float, int]
) -> None:
    cells, bucket = Gcra(*before), TokenBucket(before[0] / before[1], before[2])
    for limiter in (cells, bucket):
        assert limiter.hit("a", 0.0, before[2]).allowed
    cells.set_limit(*after)
    bucket.rate, bucket.burst = after[0] / after[1], after[2]
    for now in (0.0, 0.5, 0.6, 0.6, 1.2):
        assert cells.hit("a", now) == pytest.approx(bucket.hit("a", now), abs=1e-6)


@pytest.mark.parametrize(
    ("limit", "window", "burst"),
    [
        (-1, 10, 5),
        (0.5, 10, 5),
        (True, 10, 5),
        (9, 10, -5),
        (9, 10, math.nan),
        (9, 0, 5),
        (9, -1, 5),
        (9, math.inf, 5),
        (9, math.nan, 5),
    ],
)
def test_refuses_a_limit_that_is_none(limit: int, window: float, burst: int) -> None:
    with pytest.raises(ValueError, match="whole numbers >= 0 and a window > 0"):
        Gcra(limit, window, burst)


def test_a_refused_hit_is_not_charged() -> None:
    limiter = Gcra(limit=1, window=10, burst=1)
    limiter.hit("a", 0.0)
    assert [limiter.hit("a", now).allowed for now in (2.5, 5.0, 7.5, 10.0)] == [False] * 3 + [True]


def test_a_key_that_was_idle_for_long_has_its_burst_and_no_more() -> None:
    limiter = Gcra(limit=1, window=10, burst=2)
    limiter.hit("a", 0.0)
    assert limiter.hit("a", 1000.0, 3) == Decision(False, 2, math.inf, 0.0)


def test_each_hit_forgets_at_most_two_keys() -> None:
    limiter = Gcra(limit=1, window=1, burst=9)
    for number in range(100):
        limiter.hit(f"idle-{number}", 0.0)
    left = []
    for _ in range(50):
        limiter.hit("late", 9.0)
        left.append(len(limiter) - 1)
    assert left == list(range(98, -1, -2))


def test_forgets_idle_keys_but_not_active_ones() -> None:
    limiter = Gcra(limit=1, window=1, burst=9)
    for now, key in ((0.0, "a"), (0.0, "b"), (0.5, "a"), (1.0, "c")):
        limiter.hit(key, now)
    assert len(limiter) == 2  # b is unused again, a is not


def test_demo_passes_five_and_then_one_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("gcra")
    words = [line.split()[2] for line in capsys.readouterr().out.splitlines()]
    assert words == ["pass"] * 5 + ["wait"] * 2 + ["pass"] * 2
