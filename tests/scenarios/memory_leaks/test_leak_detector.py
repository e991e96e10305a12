"""The slope is the leak; the alarm looks three times."""

import gc
import struct
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from snippets.memory_leaks import leak_detector
from snippets.memory_leaks.leak_detector import LeakError, assert_no_leak, growth_per_call
from tests.scenarios.memory_leaks.conftest import Demo

KEPT: list[object] = []


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    gc.freeze()  # collections look at the test's own objects only
    yield
    KEPT.clear()
    gc.unfreeze()


def keep_ten_kilobytes() -> None:
    KEPT.append(bytes(10_000))


def test_the_slope_is_what_a_call_leaves_behind() -> None:
    kept = sys.getsizeof(bytes(10_000)) + struct.calcsize("P")  # and its place in the list
    assert growth_per_call(keep_ten_kilobytes) == pytest.approx(kept, abs=25)


@pytest.mark.parametrize("size", [100, 1000, 100_000])
def test_the_slope_follows_the_size(size: int) -> None:
    slope = growth_per_call(lambda: KEPT.append(bytes(size)), warmup=10, calls=80)
    assert slope == pytest.approx(size + 41, abs=60)


def test_a_leak_at_every_tenth_call_is_a_tenth_of_a_leak() -> None:
    calls = count()

    def sometimes() -> None:
        if next(calls) % 10 == 0:
            keep_ten_kilobytes()

    slope = growth_per_call(sometimes)
    assert slope == pytest.approx(1004, rel=0.05)


def test_what_is_freed_and_what_is_collected_is_no_growth() -> None:
    def cycle() -> None:
        node: list[object] = [bytes(10_000)]
        node.append(node)

    assert abs(growth_per_call(lambda: bytes(10_000))) < 5
    assert abs(growth_per_call(cycle)) < 5


def test_the_warm_up_runs_first_and_does_not_count() -> None:
    calls = count()

    def only_at_first() -> None:
        if next(calls) < 100:
            keep_ten_kilobytes()

    assert abs(growth_per_call(only_at_first)) < 5
    assert next(calls) == 100 + 400
    assert len(KEPT) == 100


def test_memory_freed_in_the_measured_part_was_traced_in_the_warm_up() -> None:
    ring: list[bytes] = []

    def rotate() -> None:
        ring.append(bytes(10_000))
        del ring[:-100]

    assert abs(growth_per_call(rotate)) < 50  # untraced, each would look like growth


def test_an_alarm_names_the_line_and_the_bytes() -> None:
    with pytest.raises(LeakError) as caught:
        assert_no_leak(keep_ten_kilobytes, warmup=10, calls=80)
    head, first, *_ = str(caught.value).splitlines()
    assert "bytes per call stay behind" in head
    assert first.startswith(__file__)
    assert first.endswith(" bytes: KEPT.append(bytes(10_000))")
    bytes_per_call = float(first.split(": ")[1].split()[0].replace(",", ""))
    assert bytes_per_call == pytest.approx(10_041, abs=60)


@pytest.mark.parametrize(("quiet_after", "calls"), [(0, 90), (90, 490), (490, 890), (10_000, 970)])
def test_it_looks_three_times_before_it_alarms(quiet_after: int, calls: int) -> None:
    """10 and 80 calls, then twice 320 and 80, then 80 to name the line."""
    numbers = count()

    def leak_for_a_while() -> None:
        if next(numbers) < quiet_after:
            keep_ten_kilobytes()

    if calls == 970:
        with pytest.raises(LeakError):
            assert_no_leak(leak_for_a_while, warmup=10, calls=80)
    else:
        assert_no_leak(leak_for_a_while, warmup=10, calls=80)
    assert next(numbers) == calls


def test_one_quiet_look_acquits() -> None:
    """A table that doubles in the first and the last look is no leak, which grows in all."""
    numbers = count()

    def grow_in_two_looks() -> None:
        if next(numbers) < 90 or next(numbers) > 1000:
            keep_ten_kilobytes()

    assert_no_leak(grow_in_two_looks, warmup=10, calls=80)


def test_one_block_in_the_last_sample_is_less_than_it_divided_by_the_calls() -> None:
    numbers = count()

    def once() -> None:
        if next(numbers) == 85:  # of 10 and 80
            KEPT.append(bytes(80_000))

    # From end to end it is 80,000 / 70; a line through eight points gives it a third less.
    assert 500 < growth_per_call(once, warmup=10, calls=80) < 900


async def keep_async() -> None:
    KEPT.append(bytes(10_000))


def keep_in_a_generator() -> Iterator[None]:
    KEPT.append(bytes(10_000))
    yield


async def keep_in_an_async_generator() -> AsyncIterator[None]:
    KEPT.append(bytes(10_000))
    yield


class Request:
    def __await__(self) -> Iterator[None]:
        return keep_in_a_generator()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "fn", [keep_async, keep_in_a_generator, keep_in_an_async_generator, Request]
)
def test_refuses_what_its_call_does_not_run(fn: Callable[[], object]) -> None:
    """It would pass as no leak, as its body never ran."""
    for check in (assert_no_leak, growth_per_call):
        with pytest.raises(TypeError, match="that nobody runs"):
            check(lambda: fn())  # noqa: PLW0108 - a lambda hides what it calls
    gc.collect()  # and no coroutine complains of never having been awaited
    assert KEPT == []


def test_a_cache_that_is_still_filling_at_the_first_look_is_no_leak() -> None:
    calls = count()

    def cache() -> None:
        if next(calls) < 400:
            keep_ten_kilobytes()

    assert growth_per_call(cache, warmup=10, calls=80) > 9_000
    calls = count()
    assert_no_leak(cache, warmup=10, calls=80)  # 10 + 80, then 320 more, then it looks again


def test_the_limit_is_the_callers() -> None:
    assert_no_leak(keep_ten_kilobytes, max_bytes_per_call=11_000, warmup=10, calls=80)


def test_a_line_in_a_library_is_charged_to_the_line_that_called_it() -> None:
    def copy_the_path() -> None:
        KEPT.append(Path("a/b/c").absolute())

    with pytest.raises(LeakError) as caught:
        assert_no_leak(copy_the_path, warmup=10, calls=80)
    assert str(caught.value).splitlines()[1].startswith(__file__)


def test_memory_that_only_a_library_makes_is_charged_to_the_library() -> None:
    library = f"{leak_detector.LIBRARIES[1]}/abc.py"
    newest_first = tracemalloc.Traceback([("<frozen abc>", 1), (library, 2)])
    assert leak_detector._yours(newest_first) == ("<frozen abc>", 1)
    newest_first = tracemalloc.Traceback([("<frozen abc>", 1), (library, 2), (__file__, 3)])
    assert leak_detector._yours(newest_first) == (__file__, 3)


def test_neither_cycles_nor_the_growth_of_a_list_are_named() -> None:
    numbers: list[None] = []

    def leak() -> None:
        node: list[object] = [bytes(10_000)]
        node.append(node)
        numbers.append(None)
        keep_ten_kilobytes()

    (line,) = leak_detector.growing_lines(leak, calls=50)
    assert line.endswith("KEPT.append(bytes(10_000))")


def test_the_tracing_of_somebody_else_goes_on() -> None:
    tracemalloc.start(3)
    try:
        growth_per_call(lambda: None, warmup=0, calls=8)
        assert tracemalloc.get_traceback_limit() == 3
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_what_the_function_raises_ends_the_tracing_and_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        growth_per_call(lambda: 1 / 0, warmup=0)
    assert not tracemalloc.is_tracing()


def test_refuses_fewer_calls_than_samples() -> None:
    with pytest.raises(ValueError, match="8 or more, not 7"):
        growth_per_call(lambda: None, calls=7)


def test_the_fixture_is_the_assertion() -> None:
    assert leak_detector.no_leak.__wrapped__() is assert_no_leak  # type: ignore[attr-defined]


def test_demo(demo: Demo) -> None:
    lines = demo("leak_detector")
    assert lines == [
        "leak          10 kB per call",
        "cycle          0 kB per call",
        "cache of 300   4 kB per call while it fills",
        "cache of 300  no alarm, as it is full at a later look",
        "alarm         SEEN.append(bytes(10_000))",
    ]
