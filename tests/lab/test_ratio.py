"""Candidates take turns, and every turn is counted."""

import gc
import time

import pytest

from lab.ratio import Timing, interleaved


def test_candidates_take_turns() -> None:
    turns: list[str] = []
    interleaved({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=3)
    assert turns == ["a", "b", "a", "b", "a", "b"]


def test_each_turn_is_announced_when_it_is_over() -> None:
    told: list[tuple[str, int]] = []
    nothing = {"a": lambda: None, "b": lambda: None}
    interleaved(nothing, rounds=2, after_turn=lambda name, number: told.append((name, number)))
    assert told == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_each_turn_is_timed() -> None:
    timings = interleaved({"slow": lambda: time.sleep(0.02), "nothing": lambda: None}, rounds=3)
    assert list(timings) == ["slow", "nothing"]
    assert len(timings["slow"].seconds) == 3
    assert timings["slow"].best >= 0.02
    assert timings["nothing"].best < 0.01


def test_timing_gives_best_median_and_spread() -> None:
    timing = Timing((3.0, 1.0, 2.0, 7.0, 2.5))
    assert (timing.best, timing.median, timing.spread) == (1.0, 2.5, 6.0)


def test_the_garbage_collector_rests_during_a_turn_only() -> None:
    during: list[bool] = []
    interleaved({"a": lambda: during.append(gc.isenabled())}, rounds=1)
    assert during == [False]
    assert gc.isenabled()


def test_the_garbage_collector_is_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        interleaved({"a": lambda: 1 // 0})
    assert gc.isenabled()


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        interleaved({})


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        interleaved({"a": lambda: None}, rounds=0)
