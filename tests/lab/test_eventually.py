"""`eventually` gives the first true value, and stops in time."""

import time

import pytest

from lab.eventually import NeverTrue, eventually


def test_it_gives_the_first_true_value() -> None:
    answers = iter([0, "", "here", "later"])
    assert eventually(lambda: next(answers)) == "here"


def test_it_asks_once_even_without_time() -> None:
    with pytest.raises(NeverTrue, match=r"not true within 0 s; the last value was \[\]"):
        eventually(list, timeout=0)


def test_it_gives_up_when_the_time_is_over() -> None:
    start = time.monotonic()
    with pytest.raises(NeverTrue, match=r"0\.05 s; the last value was None"):
        eventually(lambda: None, timeout=0.05)
    assert time.monotonic() - start >= 0.05


def test_an_error_is_not_taken_for_not_yet() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 // 0)


def test_a_negative_timeout_is_refused() -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        eventually(lambda: True, timeout=-1)
