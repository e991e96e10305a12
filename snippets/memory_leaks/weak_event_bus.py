# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""An event bus whose listeners die with their objects.

A bound method is held weakly: when its object goes, so does the listener. A
lambda, a closure or a callable object would be gone at once, so it is refused
unless `strong=True`; then the bus holds it until `cancel()`, or until the end
of the `with` block. An `async def` is refused: nobody would await it.

Cost: one weak reference per listener; a topic without listeners takes nothing.
Emitting calls listeners in the order in which they subscribed, in the caller's
thread. Listeners may subscribe and cancel. Objects may die in any thread, but
use the bus from one thread or event loop, or hold a lock.

blinker does this for most applications; it needs no copy of this file. What
this one adds: lambdas are refused, and one listener that raises does not
silence the others.

Source: https://docs.python.org/3/library/weakref.html#weakref.WeakMethod
"""

import inspect
import itertools
import sys
import weakref
from collections import deque
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Self

Listener = Callable[..., object]
Reference = Callable[[], Listener | None]


# --8<-- [start:subscription]
class Subscription:
    """What `subscribe` gives: call `cancel`, or use it as a context."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel
        """Call the listener no more, not even in an emit under way."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        # --8<-- [end:subscription]


# --8<-- [start:bus]
class EventBus:
    """Listeners by topic."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[int, Reference]] = {}
        self._numbers = itertools.count()
        self._dead: deque[tuple[str, int]] = deque()

    def subscribe(
        self, topic: str, listener: Listener, *, strong: bool = False
    ) -> Subscription:
        """Call `listener` at each event of `topic`; subscribed twice, twice.

        Raises:
            TypeError: it would be collected at once, cannot be weak, or is an
                `async def`, whose coroutine nobody would await.
        """
        if inspect.iscoroutinefunction(listener):
            raise TypeError(f"{listener!r} is async: emit() cannot await it")
        self._bury()
        number = next(self._numbers)
        dead = self._dead  # not self: a callback must not keep the bus

        def gone(_: object) -> None:
            # This may run in the middle of anything: note it, no more.
            dead.append((topic, number))

        reference = (lambda: listener) if strong else _weak(listener, gone)
        self._topics.setdefault(topic, {})[number] = reference
        return Subscription(lambda: self._drop(topic, number))

    def emit(self, topic: str, *args: object) -> int:
        """Call the listeners of `topic`; return how many were called.

        Raises:
            ExceptionGroup: what listeners raised, after all were called.
        """
        self._bury()
        called, errors = 0, []
        for number in list(self._topics.get(topic, ())):
            reference = self._topics.get(topic, {}).get(number)
            listener = reference() if reference else None
            if listener is None:  # cancelled or collected during this emit
                continue
            called += 1
            try:
                listener(*args)
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        try:
            if errors:
                raise ExceptionGroup(f"{len(errors)} listeners failed", errors)
        finally:
            del errors  # error -> traceback -> this frame -> errors: a cycle
        return called

    def __len__(self) -> int:
        """Return how many listeners there are, over all topics."""
        self._bury()
        return sum(map(len, self._topics.values()))

    def _bury(self) -> None:
        while self._dead:
            self._drop(*self._dead.popleft())

    def _drop(self, topic: str, number: int) -> None:
        listeners = self._topics.get(topic, {})
        listeners.pop(number, None)
        if not listeners:  # a name made up by a client must not stay either
            self._topics.pop(topic, None)


def _weak(listener: Listener, gone: Callable[[object], None]) -> Reference:
    """Return a weak reference that calls `gone` when the listener dies."""
    if isinstance(listener, MethodType):
        return weakref.WeakMethod(listener, gone)
    if isinstance(listener, FunctionType) and _lives_in_its_module(listener):
        return weakref.ref(listener, gone)
    raise TypeError(
        f"nothing else may hold {listener!r}: a weak reference to it dies at "
        "once. Pass a bound method, or strong=True and cancel it yourself"
    )


def _lives_in_its_module(function: FunctionType) -> bool:
    name = function.__qualname__
    if not name.isidentifier():  # <lambda> or <locals>
        return False
    # functools.wraps gives a closure the name of what it wraps.
    module = sys.modules.get(function.__module__)
    made_there = function.__code__.co_qualname == name
    return made_there or getattr(module, name, None) is function
    # --8<-- [end:bus]


# --8<-- [start:demo]
BUS = EventBus()


class PriceRequest:
    """A request that wants to know the price while it is answered."""

    def __init__(self, size: int) -> None:
        self.body = bytes(size)
        self.price = 0.0
        BUS.subscribe("price", self.on_price)

    def on_price(self, price: float) -> None:
        """Note the price."""
        self.price = price


def main() -> None:
    """Answer a thousand requests, then send one event."""
    for _ in range(1000):
        PriceRequest(size=10_000)
    print(f"1,000 requests are over, {len(BUS)} listeners are left")
    alive = PriceRequest(size=10_000)
    called = BUS.emit("price", 42.0)
    print(f"one event calls {called}, who notes {alive.price}")
    try:
        BUS.subscribe("price", lambda price: print("got", price))
    except TypeError:
        print("a lambda is refused: it would be gone at once")
    with BUS.subscribe("price", print, strong=True):
        BUS.emit("price", 43.0)
    print(f"after the block {len(BUS)} is left")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
