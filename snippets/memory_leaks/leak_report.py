# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Two questions about a leak: which line allocates it, and who holds it.

`top_growth` compares two tracemalloc snapshots and names the lines whose memory
grew. That is where the leaked thing was made. `referrer_chain` walks from the
thing to the module that keeps it alive, as text. That is where the fix goes.

Take snapshots on one canary: tracing costs more the more frames it records.
`referrer_chain` looks at every object of the process once a step, so it pauses
a large process for a second or more. objgraph does the same and draws graphs;
it looks at every object once for each holder, which takes longer.

A chain names variables and attributes, never keys or values: it may go into a
ticket. A heap dump may not, since it holds passwords, tokens and other people's
data.

Source: https://docs.python.org/3/library/tracemalloc.html and
https://docs.python.org/3/library/gc.html#gc.get_referrers
"""

import gc
import linecache
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import (
    CellType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any


# --8<-- [start:growth]
@dataclass(frozen=True, slots=True)
class Line:
    """A line of code, and how much more of what it allocated is alive."""

    path: str
    number: int
    bytes: int
    blocks: int
    called_from: tuple[str, ...]
    """`path:line` of its callers, nearest first; empty with one frame."""

    def __str__(self) -> str:
        source = linecache.getline(self.path, self.number).strip()
        size = f"{self.bytes:+,} bytes in {self.blocks:+,} blocks"
        return f"{self.path}:{self.number}: {size}: {source}"


def top_growth(
    before: tracemalloc.Snapshot, after: tracemalloc.Snapshot, n: int = 10
) -> list[Line]:
    """Return the `n` lines that grew most, by bytes, and no line that shrank.

    With `tracemalloc.start(25)` the same line reached by another way is a line
    of its own, and `called_from` tells the way.
    """
    ours = [
        tracemalloc.Filter(False, tracemalloc.__file__),
        tracemalloc.Filter(False, linecache.__file__),
    ]
    old, new = before.filter_traces(ours), after.filter_traces(ours)
    grown = [
        one for one in new.compare_to(old, "traceback") if one.size_diff > 0
    ]
    grown.sort(key=lambda one: one.size_diff, reverse=True)
    return [
        Line(
            where[0].filename,
            where[0].lineno,
            one.size_diff,
            one.count_diff,
            tuple(f"{up.filename}:{up.lineno}" for up in where[1:]),
        )
        for one in grown[:n]
        if (where := list(reversed(one.traceback)))  # the newest frame first
    ]
    # --8<-- [end:growth]


# --8<-- [start:chain]
def referrer_chain(thing: object, depth: int = 20) -> list[str]:
    """Return the way from a module to `thing`, one step a line.

    Empty when no module holds it within `depth` steps: a local variable of a
    running function does, a ContextVar, or C code. Undoes gc.freeze(), which
    would hide holders. Runs no code of the objects that it looks at.
    """
    gc.unfreeze()
    gc.collect()
    holders: dict[int, object] = {id(thing): thing}
    held_by: dict[int, int] = {}  # the id of a holder: of what it holds
    level: list[object] = [thing]
    mine = {id(holders), id(held_by), id(level)}
    for _ in range(depth):
        found = gc.get_referrers(*level)  # one look at all objects
        if not all(map(gc.is_tracked, level)):
            found += _untracked_holders(level)
        wanted = {id(one) for one in level}
        mine |= {id(found), id(level)}
        level.clear()
        for holder in found:
            number = id(holder)
            if number in mine or number in holders:
                continue
            holders[number] = holder
            parts = map(id, gc.get_referents(holder))
            held_by[number] = next((one for one in parts if one in wanted), 0)
            if _is(holder, ModuleType):
                return _steps(number, holders, held_by)
            level.append(holder)
        if not level:
            break
    return []


def _untracked_holders(level: list[object]) -> list[object]:
    """Find the dicts and tuples of plain values, which the collector skips."""
    wanted = {id(one) for one in level}
    found: list[object] = []
    seen: set[int] = set()
    todo = gc.get_objects()
    while todo:
        for part in gc.get_referents(todo.pop()):
            if (
                type(part) in (dict, tuple)
                and not gc.is_tracked(part)
                and id(part) not in seen
            ):
                seen.add(id(part))
                todo.append(part)
                if not wanted.isdisjoint(map(id, gc.get_referents(part))):
                    found.append(part)
    return found


def _steps(
    number: int, holders: dict[int, object], held_by: dict[int, int]
) -> list[str]:
    """Go back from the module to the thing."""
    chain = [holders[number]]
    while (number := held_by.get(number, 0)) in holders:
        chain.append(holders[number])
    steps = [f"module {_attributes(chain[0]).get('__name__', '?')}"]
    owner: object = None
    for holder, held in pairwise(chain):
        # A namespace is shown as its owner's attributes, not as a dict; the
        # keys of any other dict are data, such as a session's token.
        if not _is_namespace(held, holder):
            data = _is(holder, dict) and not _is_namespace(holder, owner)
            edge = "[...]" if data else _edge(holder, held)
            steps.append(f"{edge} {type(held).__qualname__}")
        owner = holder
    return steps


def _is_namespace(held: object, owner: object) -> bool:
    """Say whether `held` is the dict with the attributes of `owner`."""
    if _is(owner, type):
        return _is(held, dict)
    return held is _namespace(owner)


def _is(one: object, *kinds: type) -> bool:
    """Like isinstance(), which asks a proxy of which class it claims to be."""
    return issubclass(type(one), kinds)


def _namespace(owner: object) -> Mapping[str, object]:
    """Return the `__dict__` that Python itself made, no property."""
    for base in type(owner).__mro__:
        place: Any = vars(base).get("__dict__")
        if _is(place, GetSetDescriptorType, MemberDescriptorType):
            found: Mapping[str, object] = place.__get__(owner)
            return found
    return {}


NAMES = {
    MethodType: ("__self__",),
    FunctionType: ("__defaults__", "__kwdefaults__", "__closure__"),
    CellType: ("cell_contents",),
    BaseException: ("__traceback__", "__context__", "__cause__"),
    TracebackType: ("tb_frame", "tb_next"),
}


def _edge(holder: object, held: object) -> str:
    """Say by which name `holder`, an object or namespace, refers to `held`."""
    names: Any = holder if _is(holder, dict) else _attributes(holder)
    for name, value in dict.items(names):  # not a subclass's own items()
        if value is held:
            return f".{name}"
    if _is(holder, FrameType):
        return "local variable"
    return "[...]" if _is(holder, list, tuple, set) else "->"


def _attributes(holder: object) -> dict[str, object]:
    found = dict(_namespace(holder))
    for kind, names in NAMES.items():
        if _is(holder, kind):
            found |= {name: getattr(holder, name) for name in names}
    return found
    # --8<-- [end:chain]


# --8<-- [start:demo]
SESSIONS: dict[int, object] = {}


class Session:
    """What a login leaves behind."""

    def __init__(self, user: int) -> None:
        self.user = user
        self.basket = bytes(10_000)


def main() -> None:
    """Log a hundred users in, and find out where they stay."""
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for user in range(100):
        SESSIONS[user] = Session(user)
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    worst = top_growth(before, after, n=1)[0]
    print("made here: ", linecache.getline(worst.path, worst.number).strip())
    print("held by:   ", "  ".join(referrer_chain(SESSIONS[7])))
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
