"""Compare times on a machine that is busy with other things: A, B, A, B in one run.

Two numbers taken minutes apart on a shared machine say little about the code. Interleaved rounds
give every candidate the same weather, and a ratio of their best times is what a test may assert
(with at least twofold slack).
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of one candidate.

    Attributes:
        seconds: wall-clock seconds of each round, in the order they were run.
    """

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest round, in seconds: the one that was disturbed least."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median round, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The longest round minus the shortest, in seconds."""
        return max(self.seconds) - min(self.seconds)


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    *,
    after_turn: Callable[[str, int], object] | None = None,
) -> dict[str, Timing]:
    """Time each candidate `rounds` times, taking turns: a, b, a, b.

    Garbage is collected before each turn and the collector is off during it, as in `timeit`. The
    first turn is counted like any other: call a function once beforehand if it must warm up. A
    test that calls this is marked `serial` by itself.

    Args:
        candidates: functions without arguments, by name.
        rounds: turns for each, at least 1.
        after_turn: called untimed after each turn with the candidate's name and the number of
            the round, from 1; for a progress bar.

    Returns:
        One `Timing` per name, in the order given.

    Raises:
        ValueError: there are no candidates, or `rounds` is below 1.
        Exception: whatever a candidate raises; nothing is returned then.
    """
    if not candidates:
        raise ValueError("nothing to compare: give at least one function")
    if rounds < 1:
        raise ValueError(f"rounds must be 1 or more, not {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(1, rounds + 1):
        for name, candidate in candidates.items():
            seconds[name].append(_once(candidate))
            if after_turn is not None:
                after_turn(name, number)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


def _once(candidate: Callable[[], object]) -> float:
    """Run one turn and give its wall-clock seconds."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        candidate()
        return time.perf_counter() - start
    finally:
        if collecting:
            gc.enable()
