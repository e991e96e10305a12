"""The peer of the chain: objgraph finds the same module behind the same things."""

from collections.abc import Callable
from types import ModuleType

import objgraph
import pytest

from tests.scenarios.memory_leaks import test_leak_report
from tests.scenarios.memory_leaks.test_leak_report import HOLDS, Thing, let_go

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("hold", HOLDS)
def test_objgraph_finds_the_same_module(hold: Callable[[Thing], list[str]]) -> None:
    thing = Thing()
    hold(thing)
    try:
        peer = objgraph.find_backref_chain(thing, objgraph.is_proper_module)
    finally:
        let_go()
    assert isinstance(peer[0], ModuleType)
    assert peer[0].__name__ == test_leak_report.__name__
    del peer
