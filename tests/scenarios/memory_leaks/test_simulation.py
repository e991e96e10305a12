"""The simulation starts with the drill's request; the detector's own verdict is what it tells."""

import gc
import inspect
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snippets.memory_leaks import leak_detector
from tests.scenarios.memory_leaks.cases import SIZE
from tests.scenarios.memory_leaks.simulation import LIMIT, SLIDERS, Memory, counted, simulate
from tests.scenarios.stated import asserted, recorded

START = {one.name: one.start for one in SLIDERS}


def seen(**values: int) -> tuple[str, list[int]]:
    """The verdict, and the slope of each look."""
    outcome = simulate(**(START | values))
    verdict = outcome.caption.split(":")[0].removeprefix("The verdict is ")
    return verdict, [int(row[2]) for row in outcome.table.rows]


def test_it_starts_with_the_leak_of_the_drill() -> None:
    """What a request keeps, found in three looks; the limit is the detector's and the drill's."""
    verdict, slopes = seen()
    assert (START["leak"], verdict, len(slopes)) == (SIZE, "a leak", 3)
    assert all(slope >= 0.9 * SIZE for slope in slopes)  # as the drill asserts of six leaks
    drill = asserted("memory_leaks", "test_each_of_the_seven_leaks_is_found_by_line_and_by_holder")
    default = inspect.signature(leak_detector.assert_no_leak).parameters["max_bytes_per_call"]
    assert default.default == drill[-1] == LIMIT
    assert slopes[-1] == pytest.approx(recorded("memory-leaks", "payload"), rel=0.02)
    assert slopes[-1] == pytest.approx(recorded("memory-leaks", "slope-module-dict"), rel=0.05)


@given(st.sampled_from(SLIDERS[0].values))
def test_without_noise_the_slope_is_the_leak(leak: int) -> None:
    verdict, slopes = seen(leak=leak, cache=0, noise=0)
    assert set(slopes) == {leak}
    assert verdict == ("a leak" if leak > LIMIT else "no leak")
    assert len(slopes) == (3 if leak > LIMIT else 1)


@pytest.mark.parametrize(("cache", "looks"), [(0, 1), (100, 1), (300, 2), (2_000, 2), (3_000, 3)])
def test_a_cache_that_fills_is_no_leak_once_it_is_full(cache: int, looks: int) -> None:
    verdict, slopes = seen(leak=0, cache=cache, noise=0)
    assert (verdict, len(slopes)) == ("no leak", looks)
    assert slopes[-1] == 0
    assert all(slope > LIMIT for slope in slopes[:-1])


@settings(max_examples=25)
@given(st.fixed_dictionaries({one.name: st.sampled_from(one.values) for one in SLIDERS}))
def test_the_verdict_is_that_of_the_last_look(values: dict[str, int]) -> None:
    """Above the limit in all three looks is a leak; one look below acquits."""
    verdict, slopes = seen(**values)
    assert 1 <= len(slopes) <= 3
    assert (verdict == "a leak") == (slopes[-1] > LIMIT)
    assert all(slope > LIMIT for slope in slopes[:-1])


def test_the_same_setting_draws_the_same_noise() -> None:
    assert simulate(**START) == simulate(**START)
    assert seen(noise=200) != seen(noise=0)


def test_the_detector_is_left_as_it_was() -> None:
    slope, lines = leak_detector.growth_per_call, leak_detector.growing_lines
    memory = Memory(leak=0, cache=0, noise=0)
    with pytest.raises(ValueError, match="calls must be 8 or more"), counted(memory):
        leak_detector.growth_per_call(memory.call, calls=1)
    assert vars(leak_detector)["tracemalloc"] is tracemalloc
    assert vars(leak_detector)["gc"] is gc
    assert (leak_detector.growth_per_call, leak_detector.growing_lines) == (slope, lines)
