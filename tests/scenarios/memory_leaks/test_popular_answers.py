"""What the popular answer gets wrong, each with its proof."""

import gc
import sys
import traceback
import tracemalloc
import weakref
from functools import lru_cache

import pytest
from psycopg_pool import ConnectionPool

from snippets.memory_leaks import leak_detector, naive_globals
from snippets.memory_leaks.bounded_cache import cached_method
from tests.scenarios.memory_leaks.cases import SIZE, USERS, running
from tests.scenarios.memory_leaks.test_drill import connections

pytestmark = pytest.mark.slow


def test_del_and_collect_in_each_request_free_nothing_that_is_reachable() -> None:
    def request() -> None:
        profile = naive_globals.load_profile(next(USERS), SIZE)
        del profile
        gc.collect(0)

    with running(lambda _: request) as call:
        assert leak_detector.growth_per_call(call, warmup=10, calls=80) > SIZE


def test_getsizeof_does_not_see_what_an_object_refers_to() -> None:
    million = [bytes(1_000_000)]
    assert sys.getsizeof(million) < 100


def test_a_bound_of_entries_is_no_bound_of_bytes() -> None:
    def held(make: type) -> int:
        tracemalloc.start()
        one = make()
        for number in range(500):
            one.get(number)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    class Counted:
        def __init__(self) -> None:
            self.get = lru_cache(maxsize=500)(lambda _: bytes(100_000))

    class Weighed:
        @cached_method(maxsize=5_000_000, weigh=len)
        def get(self, _: int) -> bytes:
            return bytes(100_000)

    assert held(Counted) > 50_000_000
    assert held(Weighed) < 5_200_000


def test_close_does_not_bring_back_what_was_checked_out(postgres_url: str) -> None:
    pool = ConnectionPool(postgres_url, min_size=1, max_size=1, timeout=5, open=True)
    leaked = pool.getconn()
    pool.close()
    assert connections(postgres_url) == 1
    assert leaked.execute("SELECT 1").fetchone() == (1,)
    leaked.close()


def test_a_weak_reference_to_a_bound_method_is_dead_at_once() -> None:
    class Listener:
        def hear(self) -> None: ...

    listener = Listener()
    plain, method = weakref.ref(listener.hear), weakref.WeakMethod(listener.hear)
    assert plain() is None
    assert method() == listener.hear


def test_an_exception_without_its_traceback_lets_go_of_the_frame() -> None:
    class Held:
        pass

    def fail() -> tuple[Exception, "weakref.ref[Held]"]:
        held = Held()
        try:
            int("no")
        except ValueError as error:
            return error, weakref.ref(held)
        raise AssertionError

    error, gone = fail()
    assert gone() is not None
    error.with_traceback(None)
    assert gone() is None

    context, gone = fail()
    outer = ValueError("raised while the first was handled")
    outer.__context__ = context
    outer.with_traceback(None)
    assert gone() is not None  # the context keeps its frames
    del context, outer
    error, gone = fail()
    traceback.clear_frames(error.__traceback__)
    assert gone() is None
