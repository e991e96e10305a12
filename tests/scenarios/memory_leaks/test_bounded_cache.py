"""A method's cache is bounded, ages, and dies with its object."""

import copy
import gc
import pickle
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.clock import FakeClock
from snippets.memory_leaks.bounded_cache import cached_method
from tests.scenarios.memory_leaks.conftest import Demo


class Doubler:
    """Counts how often it computes."""

    def __init__(self) -> None:
        self.computed: list[object] = []

    @cached_method(maxsize=2)
    def double(self, number: int, *, times: int = 2) -> int:
        """Multiply."""
        self.computed.append(number)
        return number * times


def test_computes_once_for_each_set_of_arguments() -> None:
    one = Doubler()
    assert [one.double(3), one.double(3), one.double(3, times=3)] == [6, 6, 9]
    assert one.computed == [3, 3]


def test_objects_share_nothing_even_when_equal() -> None:
    class Equal(Doubler):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]  # not hashable either

    first, second = Equal(), Equal()
    first.double(1)
    second.double(1)
    assert (first.computed, second.computed) == ([1], [1])


def test_the_least_recently_used_goes_first() -> None:
    one = Doubler()
    for number in (1, 2, 1, 3, 1, 2):
        one.double(number)
    assert one.computed == [1, 2, 3, 2]


@given(st.lists(st.integers(0, 6)), st.integers(1, 5))
def test_it_computes_when_lru_cache_of_one_object_does(numbers: list[int], size: int) -> None:
    computed: list[int] = []

    class One:
        @cached_method(maxsize=size)
        def get(self, number: int) -> int:
            computed.append(number)
            return number

    peer = lru_cache(maxsize=size)(lambda number: number)
    one = One()
    for number in numbers:
        before, misses = len(computed), peer.cache_info().misses
        assert one.get(number) == peer(number)
        assert len(computed) - before == peer.cache_info().misses - misses


def test_a_result_expires_at_its_age() -> None:
    clock, computed = FakeClock(100.0), list[int]()

    class Aged:
        @cached_method(maxsize=10, ttl=5.0, clock=clock)
        def get(self) -> None:
            computed.append(1)

    one = Aged()
    for seconds in (0.0, 4.9, 0.1, 4.9, 0.1):
        clock.advance(seconds)
        one.get()
    assert len(computed) == 3


def test_the_bound_may_be_bytes() -> None:
    computed: list[int] = []

    class Pages:
        @cached_method(maxsize=100, weigh=len)
        def get(self, size: int) -> bytes:
            computed.append(size)
            return bytes(size)

    pages = Pages()
    for size in (60, 40, 60, 40, 1, 60, 101, 101, 40):
        pages.get(size)
    # 1 displaces the 60; 60 the 40 and ... nothing keeps the 101
    assert computed == [60, 40, 1, 60, 101, 101, 40]


def test_results_that_weigh_nothing_are_bounded_by_their_number() -> None:
    computed: list[int] = []

    class Pages:
        @cached_method(maxsize=100, weigh=len)
        def find(self, name: int) -> bytes:
            computed.append(name)
            return b""

    pages = Pages()
    for name in range(10_001):  # one more than there is room for
        pages.find(name)
    for name in (10_000, 1, 0):
        pages.find(name)
    assert computed[10_001:] == [0]


def test_a_method_that_asks_itself_the_same_is_weighed_once() -> None:
    computed: list[int] = []

    class Pages:
        @cached_method(maxsize=100, weigh=len)
        def get(self, size: int) -> bytes:
            computed.append(size)
            return self.get(size) if len(computed) == 1 else bytes(size)

    pages = Pages()
    for size in (60, 40, 60, 40):
        pages.get(size)
    assert computed == [60, 60, 40]


def test_weight_is_given_back_when_an_entry_expires() -> None:
    clock, computed = FakeClock(0.0), list[int]()

    class Pages:
        @cached_method(maxsize=100, ttl=1.0, weigh=len, clock=clock)
        def get(self, size: int) -> bytes:
            computed.append(size)
            return bytes(size)

    pages = Pages()
    for _ in range(5):
        pages.get(60)
        pages.get(60)
        clock.advance(2.0)
    assert computed == [60] * 5


def test_an_exception_is_not_kept() -> None:
    class Flaky:
        calls = 0

        @cached_method(maxsize=2)
        def get(self) -> int:
            Flaky.calls += 1
            return 1 // (Flaky.calls - 1)

    one = Flaky()
    with pytest.raises(ZeroDivisionError):
        one.get()
    assert one.get() == 1


def test_none_is_a_result_like_any_other() -> None:
    computed: list[int] = []

    class Nothing:
        @cached_method(maxsize=2)
        def get(self) -> None:
            computed.append(1)

    one = Nothing()
    one.get()
    one.get()
    assert computed == [1]


def test_the_object_dies_though_a_cached_result_refers_to_it() -> None:
    """With a WeakKeyDictionary outside the object it would live for ever."""

    class Tree:
        @cached_method(maxsize=2)
        def root(self) -> "Tree":
            return self

    tree = Tree()
    tree.root()
    alive = weakref.ref(tree)
    del tree
    gc.collect()
    assert alive() is None

    outside: weakref.WeakKeyDictionary[Tree, Tree] = weakref.WeakKeyDictionary()
    tree = Tree()
    outside[tree] = tree
    alive = weakref.ref(tree)
    del tree
    gc.collect()
    assert alive() is not None
    outside.clear()


def test_a_copy_computes_for_itself() -> None:
    one = Doubler()
    one.double(1)
    other = copy.copy(one)
    other.computed = []
    other.double(1)
    assert other.computed == [1]
    again: Doubler = pickle.loads(pickle.dumps(one))
    again.computed = []
    again.double(1)
    assert again.computed == [1]


def test_a_copy_of_a_copy_has_nothing_of_the_dead_original() -> None:
    """The address of the dead is the next one's: an id tells no two objects apart."""
    for _ in range(20):
        one = Doubler()
        one.double(1)
        copied = copy.copy(one)
        del one
        again = copy.copy(copied)
        again.computed = []
        again.double(1)
        assert again.computed == [1]


class Base:
    @cached_method(maxsize=10)
    def price(self, number: int) -> int:
        return number

    @cached_method(maxsize=10)
    def tax(self, number: int) -> int:
        return number * 1000


def test_methods_of_one_object_share_nothing() -> None:
    one = Base()
    assert [one.price(1), one.tax(1), one.price(1)] == [1, 1000, 1]


def test_an_override_may_ask_what_it_overrides() -> None:
    def dearer(base: type[Base]) -> type[Base]:
        class Dearer(base):  # type: ignore[valid-type,misc]  # a class of the same name twice
            @cached_method(maxsize=10)
            def price(self, number: int) -> int:
                return 100 + int(super().price(number - 1))

        return Dearer

    one = dearer(dearer(Base))()
    assert [one.price(2), one.price(3), one.price(2)] == [200, 201, 200]


async def later() -> None: ...


def rows() -> Iterator[int]:
    yield 1


async def rows_later() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("method", [later, rows, rows_later])
def test_refuses_a_method_whose_result_serves_once(method: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="serve once"):
        cached_method(maxsize=1)(method)


def test_keeps_name_and_docstring_of_the_method() -> None:
    assert Doubler.double.__doc__ == "Multiply."
    assert Doubler.double.__name__ == "double"


def test_refuses_what_has_no_dict_and_what_is_not_hashable() -> None:
    class Slotted:
        __slots__ = ()

        @cached_method(maxsize=2)
        def get(self, _: object) -> int:
            return 1

    with pytest.raises(TypeError, match="__dict__"):
        Slotted().get(1)

    class Unreferable:
        __slots__ = ("__dict__",)
        get = Slotted.get

    with pytest.raises(TypeError, match="weak reference"):
        Unreferable().get(1)  # type: ignore[misc]  # a method of another class
    with pytest.raises(TypeError, match="unhashable"):
        Doubler().double([])  # type: ignore[arg-type]  # the bad input


@pytest.mark.parametrize(("maxsize", "ttl"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_refuses_a_bound_that_bounds_nothing(maxsize: int, ttl: float) -> None:
    with pytest.raises(ValueError, match="maxsize"):
        cached_method(maxsize, ttl=ttl)


def test_refuses_more_entries_than_there_may_be() -> None:
    with pytest.raises(ValueError, match="maxentries >= 1"):
        cached_method(1, maxentries=0)
    with pytest.raises(ValueError, match="20000 entries need maxentries=20000"):
        cached_method(20_000)
    cached_method(20_000, maxentries=20_000)
    cached_method(20_000, weigh=len)


def test_demo(demo: Demo) -> None:
    assert demo("bounded_cache") == [
        "5 calls, computed 3 times",
        "3 years fit, so a fourth costs one: 5 times",
        "the report is gone: True",
    ]
