"""Send one event to what the reader subscribed, held weakly and held strongly."""

from collections.abc import Callable
from typing import Protocol

from snippets.memory_leaks.weak_event_bus import EventBus, Listener, Subscription


class Reader(Protocol):
    """What the reader writes."""

    def subscribe(self, bus: EventBus, heard: list[float]) -> None:
        """Subscribe a listener to the topic "price"."""


class Watched(EventBus):
    """Counts what is subscribed and what is cancelled."""

    def __init__(self, *, strong: bool) -> None:
        super().__init__()
        self.strong = strong
        self.subscribed = 0
        self.cancelled = 0

    def subscribe(self, topic: str, listener: Listener, *, strong: bool = False) -> Subscription:
        """Subscribe to "price", as strongly as this bus holds."""
        assert topic == "price", f"The topic is 'price', not {topic!r}."
        assert not strong, "With strong=True the bus keeps the listener: do without."
        self.subscribed += 1
        made = super().subscribe(topic, listener, strong=self.strong)
        return Subscription(self._counted(made.cancel))

    def _counted(self, cancel: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            self.cancelled += 1
            cancel()

        return run


def check(reader: Reader) -> str:
    """Judge the subscription; AssertionError says what is missing."""
    weak, heard = Watched(strong=False), list[float]()
    reader.subscribe(weak, heard)
    assert weak.subscribed == 1, f"{weak.subscribed} listeners were subscribed instead of one."
    assert not weak.cancelled, "It was cancelled: find a listener that goes by itself."
    called = weak.emit("price", 42.0)
    assert called == 0, f"The event reached the listener, which heard {heard}."
    strong = Watched(strong=True)
    reader.subscribe(strong, heard)
    called = strong.emit("price", 42.0)
    return (
        "The listener was accepted, and the event reached nobody.\n"
        f"Held strongly, the same listener hears {heard}, and stays until it is cancelled."
    )
