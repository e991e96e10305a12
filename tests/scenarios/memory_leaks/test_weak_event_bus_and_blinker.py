"""The bus calls whom its peer, blinker, calls."""

import blinker
from hypothesis import given
from hypothesis import strategies as st

from snippets.memory_leaks.weak_event_bus import EventBus
from tests.scenarios.memory_leaks.test_weak_event_bus import HEARD, Listener


@given(st.lists(st.tuples(st.sampled_from(["on", "off", "die", "emit"]), st.integers(0, 4))))
def test_it_calls_whom_blinker_calls(steps: list[tuple[str, int]]) -> None:
    """The differential peer: the same steps, the same listeners called."""
    bus, signal = EventBus(), blinker.Signal()
    ours = {number: Listener() for number in range(5)}
    theirs = {number: Sender() for number in range(5)}
    subscriptions = {}
    for step, number in steps:
        if step == "on" and number in ours and number not in subscriptions:
            subscriptions[number] = bus.subscribe("price", ours[number].hear)
            signal.connect(theirs[number].receive)
        elif step == "off" and number in subscriptions:
            subscriptions.pop(number).cancel()
            if number in theirs:
                signal.disconnect(theirs[number].receive)
        elif step == "die":
            ours.pop(number, None)
            theirs.pop(number, None)
        else:
            assert bus.emit("price", number) == len(signal.send(None, value=number))
    assert {n: one.heard for n, one in ours.items()} == {n: one.heard for n, one in theirs.items()}


class Sender(Listener):
    def receive(self, _: object, value: object) -> None:
        self.hear(value)


def test_blinker_takes_a_lambda_and_loses_it() -> None:
    signal = blinker.Signal()
    signal.connect(lambda _: HEARD.append(1))
    assert signal.send(None) == []
