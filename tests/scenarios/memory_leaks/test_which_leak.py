"""Four kinds of growth are told apart; the drill shows them in processes of their own."""

import ctypes
import gc
import tracemalloc
from types import SimpleNamespace

import psutil
import pytest

from snippets.memory_leaks import which_leak
from snippets.memory_leaks.which_leak import MIB, Verdict, examine, give_back
from tests.scenarios.memory_leaks.conftest import Demo

pytestmark = pytest.mark.slow

KEPT: list[bytes] = []


def test_what_stays_reachable_is_counted_for_one_run() -> None:
    found = examine(lambda: KEPT.extend(bytes(10_000) for _ in range(300)))
    KEPT.clear()
    assert found.reachable == pytest.approx(300 * 10_033, rel=0.05)
    assert found.unreachable < 100_000
    assert "reachable" in found.kinds()


def test_cycles_are_unreachable_even_where_the_collector_would_come() -> None:
    def cycles() -> None:
        for _ in range(5000):  # past the threshold: 700, and 2,000 since Python 3.13
            node: list[object] = [bytes(10_000)]
            node.append(node)

    found = examine(cycles)
    assert found.unreachable == pytest.approx(5000 * 10_033, rel=0.05)
    assert found.reachable < 100_000


def test_work_that_leaves_nothing_is_of_no_kind() -> None:
    assert examine(lambda: None).kinds() == []


@pytest.mark.parametrize("on", [True, False])
def test_collector_and_tracing_are_left_as_they_were(on: bool) -> None:
    if not on:
        gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            examine(lambda: 1 / 0)
        assert gc.isenabled() == on
    finally:
        gc.enable()
    assert not tracemalloc.is_tracing()


def test_refuses_to_run_inside_somebody_elses_tracing() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RuntimeError, match="stop tracemalloc first"):
            examine(lambda: None)
    finally:
        tracemalloc.stop()


def test_a_kind_counts_from_the_given_size_on() -> None:
    verdict = Verdict(reachable=MIB, unreachable=MIB - 1, not_returned=2 * MIB, native=0)
    assert verdict.kinds() == ["reachable", "not_returned"]
    assert verdict.kinds(2 * MIB) == ["not_returned"]


@pytest.mark.parametrize(
    ("resident", "not_returned", "native"),
    [
        ([0, 50, 50, 60, 60, 80], 40, 10),  # before and after each of three runs
        ([0, 50, 50, 60, 60, 60], 50, 0),  # grows in one later run: uneven, no leak
        ([0, 10, 10, 40, 40, 80], 0, 30),
        ([0, 50, 50, 40, 40, 80], 50, 0),
    ],
)
def test_growth_that_python_does_not_hold_is_split_by_the_later_runs(
    monkeypatch: pytest.MonkeyPatch, resident: list[int], not_returned: int, native: int
) -> None:
    sizes = iter(resident)
    monkeypatch.setattr(which_leak, "_resident", lambda: next(sizes))
    monkeypatch.setattr(which_leak, "_traced", lambda: 7)
    assert examine(lambda: None) == Verdict(0, 0, not_returned, native)


def test_what_python_holds_and_what_the_tracer_takes_is_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run: 300 traced, of which the collector frees 200; RSS grows by 150, 40 the tracer's."""
    resident = iter([0, 150, 150, 300, 300, 450])
    tracer = iter([0, 40, 40, 80, 80, 120])
    traced = iter([0, 300, 100, 100, 400, 200, 200, 500, 300])
    memory = SimpleNamespace(rss=0)

    def resident_now() -> SimpleNamespace:
        memory.rss = next(resident)
        return memory

    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: resident_now())
    monkeypatch.setattr(tracemalloc, "get_tracemalloc_memory", lambda: next(tracer))
    monkeypatch.setattr(which_leak, "_traced", lambda: next(traced))
    assert examine(lambda: None) == Verdict(100, 200, not_returned=0, native=10)


def test_what_fills_in_the_first_run_is_not_reachable_growth() -> None:
    cache = dict[int, bytes]()

    def fill() -> None:
        for number in range(300):
            cache.setdefault(number, bytes(10_000))

    assert examine(fill).reachable < 100_000


def test_giving_back_trims_all(monkeypatch: pytest.MonkeyPatch) -> None:
    padding: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=padding.append))
    assert give_back() < MIB
    assert padding == [0]


def test_without_malloc_trim_nothing_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert give_back() < MIB


def test_demo(demo: Demo) -> None:
    lines = demo("which_leak")
    assert [line.split()[0] for line in lines[:3]] == ["keep", "cycles", "peak"]
    assert "reachable" in lines[0]
    assert "unreachable" in lines[1]
    assert lines[3].startswith("malloc_trim returned something:")
