# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Cache a method's results, bounded in size and age, and freed with the object.

`functools.lru_cache` on a method keeps `self` in its keys, so it keeps every
object ever asked. Here each object carries its own cache in its `__dict__`, as
`functools.cached_property` does: the cache dies with the object, even when a
cached value refers to it, and objects that compare equal share nothing.

`maxsize` counts what `weigh` returns: entries by default, bytes if you say so.
A result may weigh nothing, so `maxentries` bounds their number as well. Keys
are not weighed: limit the length of what a client may ask. The least recently
used entry goes first. Cost: O(1) per call.

One thread or one event loop: hold a lock where threads share an object. For a
plain function take `functools.lru_cache(maxsize=...)`.

Source: https://docs.python.org/3/faq/programming.html#faq-cache-method-calls
"""

import functools
import inspect
import itertools
import math
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
_NUMBERS = itertools.count()


class _Cache(Generic[R]):
    """The results of one method of one object."""

    def __init__(self, owner: object) -> None:
        self.owner = weakref.ref(owner)  # copy.copy() takes the cache along
        self.weight = 0
        self.entries: OrderedDict[Hashable, tuple[float, int, R]] = (
            OrderedDict()
        )

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Stay behind: a deep copy or a pickle of the owner starts without."""
        return type(None), ()

    def keep(self, key: Hashable, entry: tuple[float, int, R]) -> None:
        """Add an entry; the method may have added the same itself meanwhile."""
        if (old := self.entries.pop(key, None)) is not None:
            self.weight -= old[1]
        self.entries[key] = entry
        self.weight += entry[1]


def _one(_: object) -> int:
    return 1


def _must_serve_again(method: Callable[..., object]) -> None:
    if (
        inspect.iscoroutinefunction(method)
        or inspect.isgeneratorfunction(method)
        or inspect.isasyncgenfunction(method)
    ):
        raise TypeError(f"{method!r}: its results serve once")


# --8<-- [start:core]
def cached_method(
    maxsize: int,
    *,
    maxentries: int = 10_000,
    ttl: float = math.inf,
    weigh: Callable[[Any], int] = _one,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Keep results of at most `maxsize` weight for at most `ttl` seconds.

    At most `maxentries` are kept, also of results that weigh nothing. One that
    weighs more than `maxsize` is returned and not kept; an exception is not
    kept either. Arguments must be hashable. `weigh` is asked of each result,
    of a None too.

    Raises:
        ValueError: a bound is below 1, `ttl` is not above 0, or `maxsize`
            counts entries and is above `maxentries`.
        TypeError: `method` is an `async def` or a generator, whose results
            serve once; at the call, when the object has no `__dict__`, or
            `__slots__` without `__weakref__`.
    """
    if maxsize < 1 or maxentries < 1 or not ttl > 0:
        raise ValueError(
            "need maxsize >= 1, maxentries >= 1, ttl > 0: "
            f"{maxsize}, {maxentries}, {ttl}"
        )
    if weigh is _one and maxsize > maxentries:
        raise ValueError(f"{maxsize} entries need maxentries={maxsize}")

    def decorate(
        method: Callable[Concatenate[S, P], R],
    ) -> Callable[Concatenate[S, P], R]:
        _must_serve_again(method)
        # Not the name alone: an override may call what it overrides.
        place = f"_cached_{method.__name__}_{next(_NUMBERS)}"

        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            cache: _Cache[R] | None = vars(self).get(place)
            if cache is None or cache.owner() is not self:
                cache = vars(self)[place] = _Cache(self)
            entries = cache.entries
            key = (args, tuple(sorted(kwargs.items())))
            if (entry := entries.pop(key, None)) is not None:
                if clock() < entry[0]:
                    entries[key] = entry  # now the most recently used
                    return entry[2]
                cache.weight -= entry[1]
            result = method(self, *args, **kwargs)
            weight = weigh(result)
            if weight <= maxsize:
                cache.keep(key, (clock() + ttl, weight, result))
                while cache.weight > maxsize or len(entries) > maxentries:
                    _, (_, lost, _) = entries.popitem(last=False)
                    cache.weight -= lost
            return result

        return call

    return decorate
    # --8<-- [end:core]


# --8<-- [start:demo]
class Report:
    """One request's report."""

    def __init__(self, size: int) -> None:
        self.body = bytes(size)
        self.computed = 0

    @cached_method(maxsize=3)
    def total(self, year: int) -> int:
        """Add up a year."""
        self.computed += 1
        return year + len(self.body)


def main() -> None:
    """Ask one report often, then look whether reports stay."""
    import weakref

    report = Report(10_000)
    for year in (2024, 2025, 2026, 2026, 2026):
        report.total(year)
    print(f"5 calls, computed {report.computed} times")
    report.total(2023)  # a fourth year: 2024 goes
    report.total(2024)
    print(f"3 years fit, so a fourth costs one: {report.computed} times")
    alive = weakref.ref(report)
    del report
    print(f"the report is gone: {alive() is None}")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
