"""Errors are remembered by their text, and by kind."""

import gc
import weakref
from collections.abc import Callable
from types import CodeType

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


def charge(number: int) -> None:
    try:
        fail(number)
    except (KeyError, ValueError) as error:
        raise RuntimeError("while charging") from error


def retry(number: int) -> None:
    try:
        fail(number)
    finally:
        raise RuntimeError("while charging again")


def gather(number: int) -> None:
    try:
        fail(number)
    except (KeyError, ValueError) as error:
        raise ExceptionGroup("of a group", [error]) from None


@pytest.mark.parametrize("wrapper", [charge, retry, gather])
def test_two_bugs_behind_one_wrapper_are_two_kinds(wrapper: Callable[[int], None]) -> None:
    errors = RecentErrors()
    for number in (1, 2, 3):
        try:
            wrapper(number)
        except (RuntimeError, ExceptionGroup) as error:
            errors.record(error)
    assert ["KeyError: 3" in one.text for one in errors] == [False, False]
    assert [(one.count, "ValueError: 2" in one.text) for one in errors] == [(1, True), (2, False)]


def test_a_cause_that_is_hidden_makes_no_kind() -> None:
    errors = RecentErrors()
    for number in (1, 2):
        try:
            try:
                fail(number)
            except (KeyError, ValueError):
                raise RuntimeError("while charging") from None
        except RuntimeError as error:
            errors.record(error)
    assert [one.count for one in errors] == [2]


def test_a_recursion_of_any_depth_is_one_kind() -> None:
    def descend(depth: int) -> None:
        if depth:
            descend(depth - 1)
        raise RecursionError

    errors = RecentErrors()
    for depth in (30, 50):
        try:
            descend(depth)
        except RecursionError as error:
            errors.record(error)
    assert [one.count for one in errors] == [2]


def test_two_errors_deep_below_one_way_are_two_kinds() -> None:
    def descend(depth: int, number: int) -> None:
        if depth:
            descend(depth - 1, number)
        if number == 1:
            raise ValueError(number)
        raise ValueError(number)

    errors = RecentErrors()
    for number in (1, 2):
        try:
            descend(30, number)
        except ValueError as error:
            errors.record(error)
    assert [one.count for one in errors] == [1, 1]


def test_neither_class_nor_code_of_an_error_stays() -> None:
    def fail_in_its_own_code() -> tuple["weakref.ref[type]", "weakref.ref[CodeType]"]:
        class OwnError(Exception):
            pass

        code = compile("raise OwnError", "own.py", "exec")
        try:
            exec(code, {"OwnError": OwnError})
        except OwnError as error:
            errors.record(error)
        return weakref.ref(OwnError), weakref.ref(code)

    errors = RecentErrors()
    own, code = fail_in_its_own_code()
    gc.collect()
    assert (own(), code()) == (None, None)


def test_the_same_line_of_another_file_is_another_kind() -> None:
    errors = RecentErrors()
    for name in ("a.py", "b.py"):
        try:
            exec(compile("1 / 0", name, "exec"))
        except ZeroDivisionError as error:
            errors.record(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    assert [one.count for one in errors] == [1, 1]


def test_errors_may_be_recorded_while_they_are_listed() -> None:
    errors = RecentErrors()
    record(errors, 1)
    record(errors, 2)
    for _ in errors:
        errors.record(OSError("a third kind"))
    assert [one.count for one in errors] == [1, 1, 2]


@pytest.mark.parametrize(("maxlen", "chars"), [(0, 1), (1, 0)])
def test_refuses_a_bound_below_one(maxlen: int, chars: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        RecentErrors(maxlen, chars)


def test_demo(demo: Demo) -> None:
    assert demo("recent_errors") == [
        "1000 errors, 0 requests still alive",
        "ValueError: invalid literal for int() with base 10: 'request 0'",
    ]
