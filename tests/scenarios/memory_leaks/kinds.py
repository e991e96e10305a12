"""A process whose memory grows in one of four ways: `python -m ...kinds <kind>`.

It prints what an outsider sees (resident memory) and what `examine` finds, as JSON.
"""

import ctypes
import gc
import json
import sys
from collections.abc import Callable

import psutil

from snippets.memory_leaks import which_leak

SIZE, COUNT = 10_000, 5_000
KEPT: list[object] = []


def reachable() -> None:
    KEPT.extend(bytes(SIZE) for _ in range(COUNT))


def unreachable() -> None:
    for _ in range(COUNT):
        node: list[object] = [bytes(SIZE)]
        node.append(node)


def not_returned() -> None:
    blocks = [bytes(SIZE) for _ in range(COUNT)]
    KEPT[:] = [blocks[-1]]  # the last one lies on top of the heap, and pins it


def native() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    for _ in range(COUNT):
        ctypes.memset(libc.malloc(SIZE), 1, SIZE)


KINDS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (reachable, unreachable, not_returned, native)
}


def main(kind: str) -> None:
    """Run the work as a service does, with the collector off, and look from outside."""
    work = KINDS[kind]
    gc.collect()
    gc.disable()
    before = psutil.Process().memory_info().rss
    work()
    resident = psutil.Process().memory_info().rss - before
    collected = gc.collect()
    gc.enable()
    KEPT.clear()
    which_leak.give_back()
    verdict = which_leak.examine(work)
    trimmed = which_leak.give_back()
    print(
        json.dumps(
            {
                "resident": resident,
                "collected": collected,
                "trimmed": trimmed,
                "kinds": verdict.kinds(),
                **verdict._asdict(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
