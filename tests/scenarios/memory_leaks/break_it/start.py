"""Which listener is accepted, and never called?"""

from snippets.memory_leaks.weak_event_bus import EventBus

DISPLAYS: list[object] = []


class Display:
    """Shows a price."""

    def __init__(self, heard: list[float]) -> None:
        self.heard = heard

    def show(self, price: float) -> None:
        """Note the price."""
        self.heard.append(price)


def subscribe(bus: EventBus, heard: list[float]) -> None:
    """Subscribe a display to the topic "price"."""
    display = Display(heard)
    DISPLAYS.append(display)
    bus.subscribe("price", display.show)
