"""The leak detector at work on memory that is counted instead of traced.

At the start a call keeps what a request of the drill keeps, and a cache fills as in the demo.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from catalog.run.picture import Bars, Line, Lines, exact, number, rounded
from catalog.run.sliders import Outcome, Slider, Table
from snippets.memory_leaks import leak_detector

ENTRY = 10_000  # bytes of a cache's entry
LIMIT = 200  # bytes a call that the detector lets pass
WARMUP, CALLS = 100, 400  # the detector's own
EVERY = 50  # calls between two points of the line
TITLE = "What a call leaves behind, as the leak detector sees it"
QUESTION = "When is growth a leak, and when a cache that fills, or noise?"
MODEL = (
    "The detector is the file above, with its limit, its three looks and its line through eight "
    "samples; the memory that it reads is counted by the simulation, not allocated. "
    "What real leaks leave behind is under Measured."
)
SLIDERS = (
    Slider("leak", "Kept for ever by each call", "bytes", 0, 12_000, 100, start=10_000),
    Slider("cache", "A cache of 10,000 bytes an entry fills for", "calls", 0, 3_000, 50, start=300),
    Slider("noise", "Noise of a reading, up or down", "kB", 0, 200, 10, start=20),
)


class Memory:
    """Memory by arithmetic; answers the detector as `tracemalloc` and `gc` do.

    Args:
        leak: bytes that each call keeps.
        cache: calls that add an entry to a cache.
        noise: bytes by which a reading may be off.
    """

    def __init__(self, leak: int, cache: int, noise: int) -> None:
        self.leak = leak
        self.cache = cache
        self.noise = noise
        self.calls = self.held = 0
        self.line = [(0, 0)]
        self.readings: list[tuple[int, int]] = []
        self.slopes: list[float] = []
        self.drawn = random.Random(5)

    def call(self) -> None:
        """Do what a request does."""
        self.calls += 1
        self.held += self.leak + ENTRY * (self.calls <= self.cache)
        if self.calls % EVERY == 0:
            self.line.append((self.calls, self.held))

    # what the detector asks ----------------------------------------------------------------------

    def is_tracing(self) -> bool:
        """Say that nothing need be started."""
        return True

    def collect(self) -> int:
        """Find no cycle."""
        return 0

    def get_traced_memory(self) -> tuple[int, int]:
        """Give what is held, and the noise."""
        off = (self.drawn.getrandbits(20) * (2 * self.noise + 1) >> 20) - self.noise
        seen = max(0, self.held + off)
        self.readings.append((self.calls, seen))
        return seen, seen


@contextmanager
def counted(memory: Memory) -> Iterator[None]:
    """Let the detector read this memory, note its slopes, and name no lines."""
    slope = leak_detector.growth_per_call

    def noted(fn: Callable[[], object], **options: int) -> float:
        memory.slopes.append(slope(fn, **options))
        return memory.slopes[-1]

    names: dict[str, Any] = {
        "tracemalloc": memory,
        "gc": memory,
        "growth_per_call": noted,
        "growing_lines": lambda _fn, _calls: [],
    }
    before = {name: getattr(leak_detector, name) for name in names}
    vars(leak_detector).update(names)
    try:
        yield
    finally:
        vars(leak_detector).update(before)


def simulate(leak: int, cache: int, noise: int) -> Outcome:
    """Ask the detector about a function."""
    memory = Memory(leak, cache, 1_000 * noise)
    with counted(memory):
        try:
            leak_detector.assert_no_leak(
                memory.call, max_bytes_per_call=LIMIT, warmup=WARMUP, calls=CALLS
            )
            verdict = "no leak"
        except leak_detector.LeakError:
            verdict = "a leak"
    slopes = [rounded(exact(slope)) for slope in memory.slopes]
    looks = ("first look", "second look", "third look")[: len(slopes)]
    megabytes = [(calls, exact(held) / 1_000_000) for calls, held in memory.line]
    readings = [(calls, exact(held) / 1_000_000) for calls, held in memory.readings]
    told = " and ".join(filter(None, (", ".join(map(number, slopes[:-1])), number(slopes[-1]))))
    return Outcome(
        panels=[
            Lines(
                "MB that the process holds",
                "calls",
                [Line("held", megabytes), Line("readings", readings, dots=True)],
            ),
            Bars(
                "Slope, in bytes a call",
                [(look, (max(0, slope),)) for look, slope in zip(looks, slopes, strict=True)],
                marks=(("limit", LIMIT),),
            ),
        ],
        caption=(
            f"The verdict is {verdict}: after {len(slopes)} "
            f"look{'s' if len(slopes) > 1 else ''} with a slope of {told} bytes a call, "
            f"where {LIMIT} may pass."
        ),
        table=Table(
            ("Look", "After calls", "Bytes a call", "Verdict"),
            [
                (
                    look,
                    memory.readings[8 * at + 7][0],
                    slope,
                    "passes" if memory.slopes[at] <= LIMIT else "too steep",
                )
                for at, (look, slope) in enumerate(zip(looks, slopes, strict=True))
            ],
        ),
    )
