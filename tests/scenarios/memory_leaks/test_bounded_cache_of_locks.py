"""A result that cannot be copied, such as a lock, does not hinder the copy of its object."""

import copy
import pickle
import threading
from collections.abc import Callable

import pytest

from snippets.memory_leaks.bounded_cache import cached_method


class Unpicklable:
    @cached_method(maxsize=2)
    def lock(self) -> object:
        return threading.Lock()


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_results_do_not_travel_with_a_deep_copy_or_a_pickle(
    twin: Callable[[Unpicklable], Unpicklable],
) -> None:
    one = Unpicklable()
    lock = one.lock()
    assert one.lock() is lock
    other = twin(one)  # a lock itself goes into no pickle
    assert other.lock() is not lock
    assert other.lock() is other.lock()
    assert one.lock() is lock
