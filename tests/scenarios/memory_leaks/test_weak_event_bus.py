"""The bus holds nobody, calls everybody, and forgets the dead."""

import functools
import gc
import weakref
from collections.abc import Callable
from types import ModuleType

import pytest

from snippets.memory_leaks.weak_event_bus import EventBus, Subscription
from tests.scenarios.memory_leaks.conftest import Demo


class Listener:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def hear(self, value: object) -> None:
        self.heard.append(value)


HEARD: list[object] = []


def hear_globally(value: object) -> None:
    HEARD.append(value)


def test_a_listener_hears_as_long_as_its_object_lives() -> None:
    bus, listener = EventBus(), Listener()
    bus.subscribe("price", listener.hear)
    assert bus.emit("price", 1) == 1
    assert bus.emit("weather", 2) == 0
    assert listener.heard == [1]
    del listener
    assert len(bus) == 0
    assert bus.emit("price", 3) == 0


def test_neither_the_bus_nor_its_subscription_keeps_the_object() -> None:
    bus, listener = EventBus(), Listener()
    gone = weakref.ref(listener)
    subscription = bus.subscribe("price", listener.hear)
    del listener
    assert gone() is None
    subscription.cancel()


def test_listeners_do_not_keep_the_bus() -> None:
    bus, listener = EventBus(), Listener()
    bus.subscribe("price", listener.hear)
    gone = weakref.ref(bus)
    del bus
    assert gone() is None  # without the collector: there is no cycle
    del listener


def test_nothing_is_left_of_the_dead_not_even_their_topics() -> None:
    bus = EventBus()
    for number in range(100):
        bus.subscribe(f"topic {number}", Listener().hear)
    assert len(bus) == 0
    assert bus._topics == {}


def test_the_dead_are_buried_by_the_next_subscription_too() -> None:
    bus, alive = EventBus(), Listener()
    for _ in range(100):
        bus.subscribe("price", Listener().hear)
    bus.subscribe("price", alive.hear)
    assert len(bus._topics["price"]) == 1
    assert not bus._dead


def test_a_cancelled_listener_hears_no_more_and_cancelling_twice_is_no_error() -> None:
    bus, listener = EventBus(), Listener()
    subscription = bus.subscribe("price", listener.hear)
    subscription.cancel()
    subscription.cancel()
    assert bus.emit("price", 1) == 0
    assert listener.heard == []


def test_a_block_ends_the_subscription_also_when_it_raises() -> None:
    bus, listener = EventBus(), Listener()
    with pytest.raises(ZeroDivisionError), bus.subscribe("price", listener.hear):
        bus.emit("price", 1 / 0)
    assert len(bus) == 0


def test_listeners_are_called_in_the_order_in_which_they_subscribed() -> None:
    bus, order = EventBus(), list[int]()
    for number in range(3):
        bus.subscribe("price", functools.partial(order.append, number), strong=True)
    bus.emit("price")
    assert order == [0, 1, 2]


def test_who_is_cancelled_during_an_emit_is_not_called_in_it() -> None:
    bus, second = EventBus(), Listener()
    bus.subscribe("price", lambda _: subscription.cancel(), strong=True)
    subscription = bus.subscribe("price", second.hear)
    assert bus.emit("price", 1) == 1
    assert second.heard == []


def test_who_cancels_itself_and_all_others_is_the_last_to_hear() -> None:
    bus, second = EventBus(), Listener()
    subscriptions: list[Subscription] = []
    subscriptions += [
        bus.subscribe("price", lambda _: [one.cancel() for one in subscriptions], strong=True),
        bus.subscribe("price", second.hear),
    ]
    assert bus.emit("price", 1) == 1
    assert second.heard == []
    assert bus._topics == {}


def test_who_dies_during_an_emit_is_not_called_in_it() -> None:
    bus, listeners = EventBus(), [Listener()]
    bus.subscribe("price", lambda _: listeners.clear(), strong=True)
    bus.subscribe("price", listeners[0].hear)
    assert bus.emit("price", 1) == 1
    assert len(bus) == 1


def test_who_subscribes_during_an_emit_is_called_from_the_next_one_on() -> None:
    bus, late = EventBus(), Listener()
    with bus.subscribe("price", lambda _: bus.subscribe("price", late.hear), strong=True):
        assert bus.emit("price", 1) == 1
    assert late.heard == []
    assert bus.emit("price", 2) == 1


def test_all_that_was_raised_is_raised_and_leaves_no_cycle() -> None:
    bus, heard = EventBus(), Listener()
    with (
        bus.subscribe("price", lambda _: 1 / 0, strong=True),
        bus.subscribe("price", heard.hear),
        bus.subscribe("price", lambda _: int("x"), strong=True),
    ):
        gc.collect()
        try:
            bus.emit("price", 1)
        except ExceptionGroup as group:
            kinds = [type(one) for one in group.exceptions]
    assert kinds == [ZeroDivisionError, ValueError]
    assert heard.heard == [1]
    assert gc.collect() == 0


def test_what_is_meant_for_the_whole_program_is_not_collected() -> None:
    bus, second = EventBus(), Listener()
    bus.subscribe("price", keyboard)
    bus.subscribe("price", second.hear)
    with pytest.raises(KeyboardInterrupt):
        bus.emit("price", 1)
    assert second.heard == []


def keyboard(_: object) -> None:
    raise KeyboardInterrupt


def test_the_same_listener_twice_is_called_twice() -> None:
    bus, listener = EventBus(), Listener()
    first = bus.subscribe("price", listener.hear)
    bus.subscribe("price", listener.hear)
    assert bus.emit("price", 1) == 2
    first.cancel()
    assert bus.emit("price", 2) == 1


def test_the_dead_are_buried_by_the_next_emit_too() -> None:
    bus = EventBus()
    bus.subscribe("price", Listener().hear)
    bus.emit("weather")
    assert bus._topics == {}


def test_a_function_of_a_module_is_held_weakly() -> None:
    bus = EventBus()
    bus.subscribe("price", hear_globally)
    assert bus.emit("price", 1) == 1
    assert HEARD == [1]
    HEARD.clear()


def test_a_function_dies_with_its_module() -> None:
    module = ModuleType("reloaded")
    exec("def hear(value): ...", vars(module))
    bus = EventBus()
    bus.subscribe("price", module.hear)
    assert len(bus) == 1
    del module
    gc.collect()
    assert len(bus) == 0


def wrapped(function: Callable[[object], None]) -> Callable[[object], None]:
    @functools.wraps(function)
    def call(value: object) -> None:
        function(value)

    return call


@wrapped
def hear_decorated(value: object) -> None:
    HEARD.append(value)


def test_a_wrapper_counts_as_its_modules_only_where_the_module_holds_it() -> None:
    bus = EventBus()
    bus.subscribe("price", hear_decorated)
    with pytest.raises(TypeError, match="dies at once"):
        bus.subscribe("price", wrapped(hear_globally))
    gc.collect()
    assert bus.emit("price", 1) == 1
    assert HEARD == [1]
    HEARD.clear()


class Hearer:
    def __call__(self, value: object) -> None:
        HEARD.append(value)


def closure() -> functools.partial[None]:
    return functools.partial(hear_globally)


def local() -> Callable[[object], None]:
    def note(value: object) -> None:
        HEARD.append(value)

    return note


@pytest.mark.parametrize(
    "listener",
    [lambda _: None, local(), closure(), [].append, Hearer(), print],
    ids=["lambda", "local function", "partial", "method of a list", "callable object", "built-in"],
)
def test_what_would_be_gone_at_once_is_refused_and_may_be_held(listener: object) -> None:
    bus = EventBus()
    with pytest.raises(TypeError, match="dies at once"):
        bus.subscribe("price", listener)  # type: ignore[arg-type]  # some take no value
    assert bus._topics == {}
    bus.subscribe("price", listener, strong=True)  # type: ignore[arg-type]
    assert len(bus) == 1


async def hear_later(_: object) -> None: ...


@pytest.mark.parametrize("listener", [hear_later, functools.partial(hear_later, 1)])
def test_a_coroutine_function_is_refused_as_nobody_would_await_it(listener: object) -> None:
    bus = EventBus()
    with pytest.raises(TypeError, match="cannot await"):
        bus.subscribe("price", listener, strong=True)  # type: ignore[arg-type]
    assert bus._topics == {}


def test_an_object_without_weak_references_is_refused() -> None:
    class Slotted:
        __slots__ = ()

        def hear(self, _: object) -> None: ...

    with pytest.raises(TypeError, match="cannot create weak reference to 'Slotted' object"):
        EventBus().subscribe("price", Slotted().hear)


def test_demo(demo: Demo) -> None:
    assert demo("weak_event_bus") == [
        "1,000 requests are over, 0 listeners are left",
        "one event calls 1, who notes 42.0",
        "a lambda is refused: it would be gone at once",
        "43.0",
        "after the block 1 is left",
    ]
