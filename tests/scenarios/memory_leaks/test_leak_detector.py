"""The slope is the leak; the alarm looks twice; the fixture works where a reader puts it."""

import gc
import tracemalloc
from collections.abc import Iterator
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
    assert growth_per_call(keep_ten_kilobytes) == pytest.approx(10_041, abs=25)


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
    assert first.endswith("KEPT.append(bytes(10_000))")


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


def test_the_fixture_works_in_a_readers_project(pytester: pytest.Pytester) -> None:
    source = Path(leak_detector.__file__).read_text(encoding="utf-8")
    pytester.makepyfile(
        leak_detector=source,
        conftest='pytest_plugins = ["leak_detector"]',
        test_reader="""
            KEPT = []

            def test_holds(no_leak):
                no_leak(lambda: bytes(1000), warmup=10, calls=80)

            def test_leaks(no_leak):
                no_leak(lambda: KEPT.append(bytes(1000)), warmup=10, calls=80)
        """,
    )
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*LeakError: 1,* bytes per call stay behind:*"])


@pytest.mark.parametrize(("option", "failed"), [("no:logging", 0), ("logging", 1)])
def test_a_route_that_logs_needs_pytest_to_keep_no_records(
    pytester: pytest.Pytester, option: str, failed: int
) -> None:
    pytester.makepyfile(
        leak_detector=Path(leak_detector.__file__).read_text(encoding="utf-8"),
        conftest='pytest_plugins = ["leak_detector"]',
        test_reader="""
            import logging

            def test_logs(no_leak):
                no_leak(lambda: logging.warning("a request"), warmup=10, calls=80)
        """,
    )
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", option)
    done.assert_outcomes(passed=1 - failed, failed=failed)


def test_the_fixture_is_the_assertion() -> None:
    assert leak_detector.no_leak.__wrapped__() is assert_no_leak  # type: ignore[attr-defined]


def test_demo(demo: Demo) -> None:
    lines = demo("leak_detector")
    assert lines[0].startswith("leak            10,0")
    assert lines[1].startswith("cycle")
    assert abs(int(lines[1].split()[1])) < 10
    assert lines[3] == "cache of 300  no alarm, as it is full at the second look"
    assert lines[5].startswith("this file:")
    assert lines[5].endswith("SEEN.append(bytes(10_000))")
