"""The fake clock moves only when told, and never backwards."""

import math

import pytest

from lab.clock import FakeClock


def test_it_stands_still_until_advanced() -> None:
    clock = FakeClock(start=100.0)
    assert (clock(), clock()) == (100.0, 100.0)


def test_advance_adds_seconds_and_gives_the_new_time() -> None:
    clock = FakeClock()
    assert clock.advance(1.5) == 1.5
    assert clock.advance(0.5) == 2.0
    assert clock() == 2.0


@pytest.mark.parametrize("seconds", [-0.001, math.inf, math.nan])
def test_it_refuses_to_run_backwards_or_nowhere(seconds: float) -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="0 seconds or more"):
        clock.advance(seconds)
    assert clock() == 0.0


@pytest.mark.parametrize("start", [math.inf, math.nan])
def test_it_refuses_to_start_nowhere(start: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        FakeClock(start)
