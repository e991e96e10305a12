# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""An event bus that never lets go of a listener, as most are first written.

The bus lives as long as the process. It holds each bound method, the method
holds its object, the object holds the request. Nothing ever removes it, and
every event is also delivered to all the dead ones.
"""

from collections.abc import Callable


# --8<-- [start:bus]
class EventBus:
    """Listeners by topic; one instance for the whole process."""

    def __init__(self) -> None:
        self.listeners: dict[str, list[Callable[[float], None]]] = {}

    def on(self, topic: str, listener: Callable[[float], None]) -> None:
        """Call `listener` at each event of `topic`."""
        # BUG: a strong reference, and there is no off().
        self.listeners.setdefault(topic, []).append(listener)

    def emit(self, topic: str, value: float) -> int:
        """Tell everybody; return how many were called."""
        found = self.listeners.get(topic, [])
        for listener in found:
            listener(value)  # BUG: one that raises silences those after it.
        return len(found)


BUS = EventBus()


class PriceRequest:
    """A request that wants to know the price while it is answered."""

    def __init__(self, size: int) -> None:
        self.body = bytes(size)
        self.price = 0.0
        BUS.on("price", self.on_price)  # BUG: registered, never removed.

    def on_price(self, price: float) -> None:
        """Note the price."""
        self.price = price


# --8<-- [end:bus]


# --8<-- [start:demo]
def main() -> None:
    """Answer a thousand requests, then send one event."""
    for _ in range(1000):
        PriceRequest(size=10_000)
    called = BUS.emit("price", 42.0)
    print("1,000 requests have been answered and are over")
    print(f"one event still calls {called:,} of them")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
