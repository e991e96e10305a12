"""Nobody but the bus knows the display, and the bus does not keep it."""

from snippets.memory_leaks.weak_event_bus import EventBus


class Display:
    """Shows a price."""

    def __init__(self, heard: list[float]) -> None:
        self.heard = heard

    def show(self, price: float) -> None:
        """Note the price."""
        self.heard.append(price)


def subscribe(bus: EventBus, heard: list[float]) -> None:
    """Subscribe a display to the topic "price"."""
    bus.subscribe("price", Display(heard).show)
