"""Errors are remembered by their text, and by kind."""

import gc
import weakref

import pytest

from snippets.memory_leaks.recent_errors import RecentErrors
from tests.scenarios.memory_leaks.conftest import Demo


class Held:
    pass


def fail(number: int, held: Held | None = None) -> None:
    assert held is None or isinstance(held, Held)
    if number % 2:
        raise KeyError(number)
    raise ValueError(number)


def record(errors: RecentErrors, number: int, held: Held | None = None) -> None:
    try:
        fail(number, held)
    except (KeyError, ValueError) as error:
        errors.record(error)


def test_nothing_that_the_error_refers_to_stays() -> None:
    errors, held = RecentErrors(), Held()
    gone = weakref.ref(held)
    record(errors, 1, held)
    del held
    assert gone() is None


def test_one_kind_is_kept_once_and_counted() -> None:
    errors = RecentErrors()
    for number in (2, 1, 4, 6):
        record(errors, number)
    assert [(one.text.splitlines()[-1], one.count) for one in errors] == [
        ("KeyError: 1", 1),
        ("ValueError: 2", 3),
    ]


def test_the_text_is_the_traceback() -> None:
    errors = RecentErrors()
    record(errors, 2)
    (entry,) = errors
    assert entry.text.startswith("Traceback (most recent call last):")
    assert "in fail" in entry.text
    assert "in record" in entry.text


def test_the_same_type_at_another_place_is_another_kind() -> None:
    errors = RecentErrors()
    record(errors, 2)
    errors.record(ValueError("never raised"))
    assert [one.count for one in errors] == [1, 1]


def test_the_same_line_of_a_library_reached_by_another_line_is_another_kind() -> None:
    errors = RecentErrors()
    record(errors, 2)
    try:
        fail(2)
    except ValueError as error:
        errors.record(error)
    assert [one.count for one in errors] == [1, 1]


def test_the_kind_idle_longest_goes_first() -> None:
    errors = RecentErrors(maxlen=2)
    record(errors, 1)
    record(errors, 2)
    record(errors, 1)
    errors.record(OSError("a third kind"))
    assert [one.text.splitlines()[-1] for one in errors] == ["KeyError: 1", "OSError: a third kind"]


def test_a_text_is_cut_at_its_front() -> None:
    errors = RecentErrors(max_chars=20)
    errors.record(ValueError("x" * 1000 + "end"))
    (entry,) = errors
    assert len(entry.text) == 20
    assert entry.text.endswith("end\n")


def test_an_error_with_a_cause_leaves_no_cycle() -> None:
    errors = RecentErrors()
    gc.collect()
    try:
        try:
            fail(1)
        except KeyError as error:
            raise RuntimeError("while charging") from error
    except RuntimeError as error:
        errors.record(error)
    assert gc.collect() == 0
    (entry,) = errors
    assert "direct cause" in entry.text


@pytest.mark.parametrize(("maxlen", "chars"), [(0, 1), (1, 0)])
def test_refuses_a_bound_below_one(maxlen: int, chars: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        RecentErrors(maxlen, chars)


def test_demo(demo: Demo) -> None:
    assert demo("recent_errors") == [
        "1000 errors, 0 requests still alive",
        "ValueError: invalid literal for int() with base 10: 'request 0'",
    ]
