# /// script
# requires-python = ">=3.11"
# dependencies = ["psutil>=7.2,<8"]
#
# [tool.firedrill]
# needs = []
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Which of four bugs is it? Memory that grew has four causes and four cures.

- reachable: something still refers to it. Find who: see leak_report.py.
- unreachable: cycles that `gc.collect()` frees. Healthy code makes them too: a
  bug only where the collector is switched off or comes too rarely.
- not returned: Python has freed it, the allocator keeps it for the next time.
  The process stays large and does not grow: a peak, not a leak.
- native: it grows at each run while Python's own memory does not. A C library
  took it from the system, or freed memory is in pieces that do not fit. What
  `memray run --native --trace-python-allocators` retains, by `memray flamegraph
  --leaks`, is the first; if nothing, it is the second. Without the second
  option memray takes Python's whole arenas for leaked.

`examine` runs the work three times, since what was kept free serves the later
runs. Let caches fill before, else their growth is reachable. Resident memory
comes in pages and in arenas: take differences below 1 MiB for nothing, and let
the work be large, such as a thousand requests. With threads glibc's arenas fill
unevenly, by some MiB a run: examine again and believe what comes back each
time, or pass `kinds(least=...)`.

Source: https://docs.python.org/3/c-api/memory.html and
https://man7.org/linux/man-pages/man3/malloc_trim.3.html
"""

import ctypes
import gc
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import psutil

MIB = 1024 * 1024


# --8<-- [start:verdict]
class Verdict(NamedTuple):
    """Where the memory of one run of the work went, in bytes."""

    reachable: int
    unreachable: int
    not_returned: int
    native: int

    def kinds(self, least: int = MIB) -> list[str]:
        """Name what there is at least `least` bytes of."""
        found = self._asdict().items()
        return [name for name, size in found if size >= least]


def examine(work: Callable[[], object]) -> Verdict:
    """Run `work` three times, with the collector off; sort what is left.

    Raises:
        RuntimeError: tracemalloc is on, and its own memory would be counted.
        Exception: what `work` raises.
    """
    if tracemalloc.is_tracing():
        raise RuntimeError("stop tracemalloc first: examine starts its own")
    gc.collect()
    tracemalloc.start(1)
    collecting = gc.isenabled()
    gc.disable()
    try:
        first, *later = [_run(work) for _ in range(3)]
    finally:
        if collecting:
            gc.enable()
        tracemalloc.stop()
    # Memory that was freed and kept serves the later runs, unless in pieces.
    again = _Growth(*map(min, *later))
    native = max(0, again.untraced)
    not_returned = max(0, first.untraced - native)
    return Verdict(again.reachable, again.unreachable, not_returned, native)
    # --8<-- [end:verdict]


# --8<-- [start:run]
class _Growth(NamedTuple):
    reachable: int
    unreachable: int
    untraced: int
    """Resident memory that Python does not hold."""


def _run(work: Callable[[], object]) -> _Growth:
    resident, before = _resident(), _traced()
    work()
    after = _traced()
    gc.collect()
    kept = _traced() - before
    return _Growth(
        reachable=max(0, kept),
        unreachable=max(0, after - before - kept),
        untraced=_resident() - resident - kept,
    )


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


def _resident() -> int:
    """Return this process's resident bytes without those of tracemalloc."""
    resident: int = psutil.Process().memory_info().rss
    return resident - tracemalloc.get_tracemalloc_memory()


def give_back() -> int:
    """Ask glibc to return what is free; return the bytes that came back.

    0 where there is no `malloc_trim` (macOS, musl). It cannot return the arenas
    of Python's own small objects: each goes when its last object does.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    before: int = psutil.Process().memory_info().rss
    if trim is not None:
        trim(0)
    after: int = psutil.Process().memory_info().rss
    return max(0, before - after)
    # --8<-- [end:run]


# --8<-- [start:demo]
KEPT: list[object] = []


def keep() -> None:
    """Leave 10 MB reachable."""
    KEPT.extend(bytes(10_000) for _ in range(1000))


def cycles() -> None:
    """Leave 10 MB in cycles."""
    for _ in range(1000):
        node: list[object] = [bytes(10_000)]
        node.append(node)


def peak() -> None:
    """Use 40 MB and free all but the last 2 kB, which lie on top."""
    blocks = [bytes(2000) for _ in range(20_000)]
    KEPT[:] = [blocks[-1]]


def main() -> None:
    """Examine one of each."""
    for work in (keep, cycles, peak):
        print(f"{work.__name__:7} {', '.join(examine(work).kinds())}")
    print(f"malloc_trim returned something: {give_back() > MIB}")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
