"""Arrivals to test limiters with, and the one number that judges them."""

import runpy
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st

SNIPPETS = Path(__file__).parents[3] / "snippets" / "rate_limiting"

# The two loads of the boundary drill, in seconds; the limit is 100 in 60 s.
BOUNDARY = [start + i / 100 for start in (59.0, 60.0) for i in range(100)]
SATURATION = [1000 + i / 20 for i in range(6000)]

Hit = tuple[float, int]
"""When, in seconds, and at what cost."""


@st.composite
def hits(draw: st.DrawFn, most: int = 80) -> list[Hit]:
    """Draw hits in order of time: bursts, pauses, and costs of 1 to 3.

    All times are multiples of 1/8 second: exact as floats, so windows end exactly.
    """
    gaps = st.one_of(st.just(0), st.integers(0, 8), st.integers(0, 160))
    eighths = draw(st.integers(0, 10_000))
    drawn = []
    for gap in draw(st.lists(gaps, max_size=most)):
        eighths += gap
        drawn.append((eighths / 8, draw(st.integers(1, 3))))
    return drawn


def keyed(most: int = 60) -> st.SearchStrategy[list[tuple[str, float, int]]]:
    """Draw hits of five keys: which key, when, and at what cost."""
    return hits(most).flatmap(
        lambda load: st.tuples(*(st.sampled_from("abcde") for _ in load)).map(
            lambda keys: [(key, *hit) for key, hit in zip(keys, load, strict=True)]
        )
    )


def admitted(allow: Callable[[float, int], bool], load: Iterable[Hit]) -> list[Hit]:
    """Give the hits that `allow(now, cost)` lets pass."""
    return [(now, cost) for now, cost in load if allow(now, cost)]


def most_in_any_window(passed: Sequence[Hit], window: float) -> int:
    """Give the largest sum of costs in any half-open window of `window` seconds.

    The worst window ends with an admitted hit, so only those are looked at. Microseconds, so that
    a hit exactly `window` seconds ago is outside.
    """
    inside: deque[tuple[int, int]] = deque()
    total = worst = 0
    for now, cost in passed:
        at = round(now * 1_000_000)
        inside.append((at, cost))
        total += cost
        while inside[0][0] <= at - window * 1_000_000:
            total -= inside.popleft()[1]
        worst = max(worst, total)
    return worst


def run_demo(name: str) -> None:
    """Run the snippet `name` as a reader does, but in this process."""
    runpy.run_path(str(SNIPPETS / f"{name}.py"), run_name="__main__")
