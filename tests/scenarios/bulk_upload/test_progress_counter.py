"""A bar that never jumps back, and a time left that can be believed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.bulk_upload.progress_counter import Meter


@given(told=st.lists(st.integers(-10, 2000), min_size=1))
def test_the_fraction_never_falls_and_stays_between_0_and_1(told: list[int]) -> None:
    meter = Meter(1000)
    shown = [meter.update(done, float(n)) for n, done in enumerate(told)]
    assert shown == sorted(shown)
    assert all(0 <= fraction <= 1 for fraction in shown)


def test_a_steady_speed_gives_the_time_left() -> None:
    meter = Meter(1000)
    assert meter.eta() is None
    meter.update(0, 100.0)
    assert meter.eta() is None
    meter.update(100, 110.0)
    assert meter.eta() == pytest.approx(90)
    meter.update(200, 120.0)
    assert meter.eta() == pytest.approx(80)


def test_a_burst_is_forgotten_with_time() -> None:
    meter = Meter(10_000, memory=10.0)
    meter.update(0, 0.0)
    meter.update(1000, 1.0)
    meter.update(1010, 11.0)
    left = meter.eta()
    assert left is not None
    # 37 % of 1,000 a second and 63 % of one.
    assert left == pytest.approx(8990 / (1000 * 0.3679 + 1 * 0.6321), rel=1e-3)


def test_two_snapshots_at_the_same_time_change_no_speed() -> None:
    meter = Meter(100)
    meter.update(0, 1.0)
    meter.update(10, 2.0)
    before = meter.eta()
    assert before == pytest.approx(9)
    meter.update(20, 2.0)
    assert meter.eta() == pytest.approx(8)


def test_what_is_empty_or_finished_is_done() -> None:
    assert Meter(0).fraction == 1.0
    assert Meter(0).eta() == 0.0
    meter = Meter(10)
    assert meter.update(10, 0.0) == 1.0
    assert meter.eta() == 0.0


@pytest.mark.parametrize(("total", "memory"), [(-1, 10.0), (1, 0.0), (1, float("nan"))])
def test_nonsense_is_refused(total: int, memory: float) -> None:
    with pytest.raises(ValueError, match="memory"):
        Meter(total, memory=memory)


def test_the_demo_keeps_the_bar_where_it_was(demo: Callable[..., list[str]]) -> None:
    lines = demo("progress_counter")
    assert lines[3].startswith(" 3 s: told    80,000, shown  10%")
    assert lines[-1] == "14 s: told 1,001,000, shown 100%, left 0 s"
