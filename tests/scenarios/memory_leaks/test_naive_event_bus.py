"""The bus keeps everybody who ever registered."""

from snippets.memory_leaks import naive_event_bus
from tests.scenarios.memory_leaks.conftest import Demo


def test_the_bus_calls_everybody_it_ever_met() -> None:
    bus = naive_event_bus.EventBus()
    heard: list[float] = []
    for _ in range(3):
        bus.on("price", heard.append)
    assert bus.emit("price", 1.0) == 3
    assert bus.emit("weather", 1.0) == 0
    assert heard == [1.0, 1.0, 1.0]


def test_demo_of_the_bus(demo: Demo) -> None:
    assert demo("naive_event_bus") == [
        "1,000 requests have been answered and are over",
        "one event still calls 1,000 of them",
    ]
