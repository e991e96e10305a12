# /// script
# requires-python = ">=3.11"
# dependencies = ["pytest>=9.2,<10"]
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Does a call leak? Fit a line through the memory that its repetitions keep.

`growth_per_call` runs a function many times, collects garbage, and reads the
bytes that Python still holds after each part of the calls. The slope of that
line is bytes per call: 0 for everything that is freed, cached up to a bound or
collected; the size of what stays for a leak.

Before `assert_no_leak` alarms it looks twice more, each time after four times
as many calls: a cache that was filling is full by then, and a table that grew
in one look does not in all. By default it passes after 500, 2,500 or 4,500
calls; a cache that takes more than 4,100 to fill looks like a leak: give it
less in tests. One quiet look acquits, so a leak in lumps, less often than once
in 350 calls, may pass: raise `calls`.

It sees memory that Python's allocators hand out in this process, and nothing
that a C library takes for itself: test a route by an in-process client.
Another thread that allocates meanwhile disturbs it, and so does a large block
from before the first call that is replaced in a later look. The default
limit lets 200 bytes pass: at 50 requests a second 860 MB a day. Lower it for a
busy route.

In tests: `pytest_plugins = ["leak_detector"]` in the topmost conftest.py, then
use the fixture `no_leak`. Run them with `-p no:logging`: pytest else keeps each
record that the code logs, which is a leak while the test runs. A mock keeps
each call too: pass a plain function instead.

It calls, and awaits nothing. For an async function:
`with asyncio.Runner() as runner: no_leak(lambda: runner.run(fn()))`.

Source: https://docs.python.org/3/library/tracemalloc.html
"""

import gc
import inspect
import linecache
import re
import statistics
import sys
import sysconfig
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

SAMPLES = 8
"""Points of the line; memory is read this often."""
LIBRARIES = (
    "<frozen",
    *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
    *(path for path in sys.path if re.search(r"python\d+\.zip$", path)),
)


class LeakError(AssertionError):
    """A function keeps more memory at each call."""


# --8<-- [start:growth]
def growth_per_call(
    fn: Callable[[], object], *, warmup: int = 100, calls: int = 400
) -> float:
    """Return the bytes that each further `fn()` leaves behind.

    `warmup` calls, one at least, come first and do not count: imports, pools
    and caches.

    Raises:
        TypeError: `fn()` runs nothing, since `fn` is async or a generator.
        ValueError: fewer calls than one for each of the 8 samples.
        Exception: what `fn` raises.
    """
    part = calls // SAMPLES
    if part < 1:
        raise ValueError(f"calls must be {SAMPLES} or more, not {calls}")
    with _tracing():  # during the warm-up too: what it made may be freed later
        _must_have_run(fn())
        for _ in range(warmup - 1):
            fn()
        held = []
        for _ in range(SAMPLES):
            for _ in range(part):
                fn()
            gc.collect()  # cycles are garbage, not a leak
            held.append(tracemalloc.get_traced_memory()[0])
    at = range(0, SAMPLES * part, part)
    return statistics.linear_regression(at, held).slope


def _must_have_run(made: object) -> None:
    """Refuse what only begins when somebody awaits or iterates it."""
    if inspect.iscoroutine(made):
        made.close()  # else it complains of never having been awaited
    if (
        inspect.isawaitable(made)
        or inspect.isgenerator(made)
        or inspect.isasyncgen(made)
    ):
        raise TypeError(
            f"fn() made a {type(made).__name__} that nobody runs: await it by "
            "lambda: runner.run(fn()) of an asyncio.Runner, or iterate it"
        )
    # --8<-- [end:growth]


# --8<-- [start:assert]
def assert_no_leak(
    fn: Callable[[], object],
    *,
    max_bytes_per_call: float = 200.0,
    warmup: int = 100,
    calls: int = 400,
) -> None:
    """Fail if `fn()` keeps more than `max_bytes_per_call`, and say where.

    Raises:
        LeakError: it does, in three looks; the message names the growing lines.
        TypeError: `fn()` runs nothing, since `fn` is async or a generator.
    """
    with _tracing():
        # Twice more: a cache may have been filling, or a table growing.
        for settle in (warmup, 4 * calls, 4 * calls):
            growth = growth_per_call(fn, warmup=settle, calls=calls)
            if growth <= max_bytes_per_call:
                return
    lines = "\n".join(growing_lines(fn, calls))
    raise LeakError(f"{growth:,.0f} bytes per call stay behind:\n{lines}")
    # --8<-- [end:assert]


# --8<-- [start:lines]
def growing_lines(
    fn: Callable[[], object], calls: int, most: int = 3
) -> list[str]:
    """Name your lines that made what `calls` calls left behind."""
    with _tracing(frames=12):  # deep enough to get out of a library
        before = tracemalloc.take_snapshot()
        for _ in range(calls):
            fn()
        gc.collect()
        after = tracemalloc.take_snapshot()
    grown: Counter[tuple[str, int]] = Counter()
    for one in after.compare_to(before, "traceback"):
        grown[_yours(one.traceback)] += one.size_diff
    return [
        f"{path}:{number}: {size / calls:,.0f} bytes: "
        + linecache.getline(path, number).strip()
        for (path, number), size in grown.most_common(most)
        if size >= 16 * calls  # less is no object of its own
    ]


def _yours(trace: tracemalloc.Traceback) -> tuple[str, int]:
    """Return the newest frame that is in no library, if there is one."""
    frames = [(frame.filename, frame.lineno) for frame in reversed(trace)]
    yours = (one for one in frames if not one[0].startswith(LIBRARIES))
    return next(yours, frames[0])
    # --8<-- [end:lines]


@contextmanager
def _tracing(frames: int = 1) -> Iterator[None]:
    """Trace, and leave the tracing of somebody else as it is."""
    if tracemalloc.is_tracing():
        yield
        return
    tracemalloc.start(frames)
    try:
        yield
    finally:
        tracemalloc.stop()


# --8<-- [start:fixture]
class NoLeak(Protocol):
    """The type of the fixture."""

    def __call__(
        self,
        fn: Callable[[], object],
        *,
        max_bytes_per_call: float = 200.0,
        warmup: int = 100,
        calls: int = 400,
    ) -> None:
        """Fail if `fn()` keeps more than that."""


@pytest.fixture
def no_leak() -> NoLeak:
    """In a test: `no_leak(lambda: client.get("/"))`."""
    return assert_no_leak
    # --8<-- [end:fixture]


# --8<-- [start:demo]
SEEN: list[bytes] = []


def main() -> None:
    """Measure a leak, a cycle, and a cache with a bound."""
    from functools import lru_cache
    from itertools import count

    def cycle() -> None:
        node: list[object] = [bytes(10_000)]
        node.append(node)

    numbers = count()
    cached = lru_cache(maxsize=300)(lambda _: bytes(10_000))

    def cache() -> None:
        cached(next(numbers))

    def leak() -> None:
        SEEN.append(bytes(10_000))

    def kilobytes(fn: Callable[[], object]) -> str:
        return f"{round(growth_per_call(fn) / 1000):2} kB per call"

    print("leak         ", kilobytes(leak))
    print("cycle        ", kilobytes(cycle))
    print("cache of 300 ", kilobytes(cache), "while it fills")
    assert_no_leak(cache)
    print("cache of 300  no alarm, as it is full at a later look")
    try:
        assert_no_leak(leak)
    except LeakError as found:
        for line in str(found).splitlines()[1:]:
            print("alarm        ", line.rpartition(": ")[2])
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
