"""The report says where it was made and who holds it, and nothing of what is in it."""

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from snippets.memory_leaks import leak_report
from snippets.memory_leaks.leak_report import referrer_chain, top_growth
from tests.scenarios.memory_leaks.conftest import Demo

pytestmark = pytest.mark.slow

HERE = Path(__file__).name


class Thing:
    def __init__(self) -> None:
        self.part: object = None

    def method(self) -> None: ...


HELD: dict[str, object] = {}
PLACES: list[object] = [[]]


class Holder:
    kept: object = None


def grow(count: int, keep: list[bytes]) -> None:
    # One frame in each version of Python, unlike a comprehension.
    keep.extend(map(bytes, [1000] * count))


def by_another_way(keep: list[bytes]) -> None:
    grow(10, keep)


def two_snapshots(frames: int, work: Callable[[], object]) -> list[leak_report.Line]:
    tracemalloc.start(frames)
    try:
        before = tracemalloc.take_snapshot()
        work()
        return top_growth(before, tracemalloc.take_snapshot(), n=5)
    finally:
        tracemalloc.stop()


def test_the_line_that_grew_most_comes_first_with_bytes_and_blocks() -> None:
    keep: list[bytes] = []
    first = two_snapshots(1, lambda: grow(100, keep))[0]
    assert Path(first.path).name == HERE
    assert first.bytes >= 100 * 1000
    assert first.blocks >= 100
    assert first.called_from == ()
    assert str(first).endswith("blocks: keep.extend(map(bytes, [1000] * count))")


def test_with_more_frames_the_way_there_is_told_nearest_first() -> None:
    keep: list[bytes] = []

    def both() -> None:
        grow(100, keep)
        by_another_way(keep)

    lines = [one for one in two_snapshots(10, both) if Path(one.path).name == HERE]
    assert [one.bytes > 50_000 for one in lines[:2]] == [True, False]
    source = Path(__file__).read_text().splitlines()
    called = [
        source[int(where.rpartition(":")[2]) - 1].strip()
        for where in lines[1].called_from
        if where.startswith(__file__)
    ]
    assert called[:2] == ["grow(10, keep)", "by_another_way(keep)"]


def test_what_shrank_or_stayed_and_what_the_tool_made_is_not_told() -> None:
    keep: list[bytes] = []
    tracemalloc.start()
    stays = bytes(1000)
    grow(100, keep)
    before = tracemalloc.take_snapshot()
    keep.clear()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    assert top_growth(before, after) == []
    del stays


@pytest.mark.parametrize("n", [0, 1])
def test_gives_at_most_n(n: int) -> None:
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    keep = [bytes(1000), [1], {}]
    found = top_growth(before, tracemalloc.take_snapshot(), n)
    tracemalloc.stop()
    assert len(found) == n
    del keep


def in_a_module_dict(thing: Thing) -> list[str]:
    HELD["password of bob"] = thing
    return [".HELD dict", "[...] Thing"]


def deep_in_containers(thing: Thing) -> list[str]:
    PLACES[0] = [(1, {7: thing})]
    return [".PLACES list", "[...] list", "[...] tuple", "[...] dict", "[...] Thing"]


def in_a_class(thing: Thing) -> list[str]:
    Holder.kept = thing
    return [".Holder type", ".kept Thing"]


def in_an_attribute(thing: Thing) -> list[str]:
    owner = Thing()
    owner.part = thing
    PLACES[0] = owner
    return [".PLACES list", "[...] Thing", ".part Thing"]


def in_a_bound_method(thing: Thing) -> list[str]:
    PLACES[0] = thing.method
    return [".PLACES list", "[...] method", ".__self__ Thing"]


def in_a_closure(thing: Thing) -> list[str]:
    PLACES[0] = lambda: thing
    return [
        ".PLACES list",
        "[...] function",
        ".__closure__ tuple",
        "[...] cell",
        ".cell_contents Thing",
    ]


def in_an_exception(thing: Thing) -> list[str]:
    def fail(held: Thing) -> None:
        raise ValueError(id(held))

    try:
        fail(thing)
    except ValueError as error:
        PLACES[0] = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    return [
        ".PLACES list",
        "[...] ValueError",
        ".__traceback__ traceback",
        ".tb_frame frame",
        "local variable Thing",
    ]


def in_an_iterator(thing: Thing) -> list[str]:
    PLACES[0] = iter((thing,))
    return [".PLACES list", "[...] tuple_iterator", "-> tuple", "[...] Thing"]


def in_a_keyword_default(thing: Thing) -> list[str]:
    def function(*, held: Thing = thing) -> None: ...

    PLACES[0] = function
    return [".PLACES list", "[...] function", ".__kwdefaults__ dict", "[...] Thing"]


def in_a_set(thing: Thing) -> list[str]:
    PLACES[0] = {thing}
    return [".PLACES list", "[...] set", "[...] Thing"]


class Claims:
    """Like a proxy outside its request: whatever it is asked for, it raises."""

    __slots__ = ("held",)
    held: object

    @property
    def __class__(self) -> type:
        raise RuntimeError("outside of a request")

    @__class__.setter
    def __class__(self, _: type) -> None: ...

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise RuntimeError("outside of a request")


class Hides(dict[str, object]):
    def items(self) -> object:  # type: ignore[override]
        raise RuntimeError("outside of a request")


def in_a_proxy(thing: Thing) -> list[str]:
    PLACES[0] = proxy = Claims()
    proxy.held = owner = Thing()
    owner.__dict__ = Hides(part=thing)
    return [".PLACES list", "[...] Claims", "-> Thing", ".part Thing"]


HOLDS = [
    in_a_keyword_default,
    in_a_set,
    in_a_module_dict,
    deep_in_containers,
    in_a_class,
    in_an_attribute,
    in_a_bound_method,
    in_a_closure,
    in_an_exception,
    in_an_iterator,
]


def let_go() -> None:
    HELD.clear()
    PLACES[0] = []
    Holder.kept = None


@pytest.mark.parametrize("hold", HOLDS)
def test_the_chain_leads_from_the_module_to_the_thing(hold: Callable[[Thing], list[str]]) -> None:
    thing = Thing()
    expected = hold(thing)
    try:
        chain = referrer_chain(thing)
    finally:
        let_go()
    assert chain == [f"module {__name__}", *expected]


def test_a_holder_that_raises_when_asked_is_only_looked_at() -> None:
    thing = Thing()
    expected = in_a_proxy(thing)
    chain = referrer_chain(thing)
    PLACES[0] = []
    assert chain[1:] == expected


@pytest.mark.parametrize(
    ("hold", "expected"),
    [
        (lambda value: value, ["[...] bytes"]),
        (lambda value: {"hunter2": (value,)}, ["[...] dict", "[...] tuple", "[...] bytes"]),
    ],
)
def test_containers_of_plain_values_are_holders_too(
    hold: Callable[[bytes], object], expected: list[str]
) -> None:
    """The collector does not track them, so its get_referrers() does not see them."""
    value = bytes(10_000)
    HELD["a"] = hold(value)
    chain = referrer_chain(value)
    HELD.clear()
    assert chain == [f"module {__name__}", ".HELD dict", *expected]


def test_nothing_is_said_of_values_only_of_names() -> None:
    thing = Thing()
    Holder.kept = {"hunter2": {("bob", "hunter2"): {"hunter2": thing}}}
    chain = referrer_chain(thing)
    Holder.kept = None
    assert chain[1:] == [".Holder type", ".kept dict", "[...] dict", "[...] dict", "[...] Thing"]


def test_what_only_a_running_function_holds_has_no_chain() -> None:
    thing = Thing()
    assert referrer_chain(thing) == []


def test_a_chain_longer_than_the_depth_is_not_found() -> None:
    thing = Thing()
    PLACES[0] = [[[[thing]]]]
    found = [referrer_chain(thing, depth) for depth in (3, 7)]
    PLACES[0] = []
    assert found[0] == []
    assert len(found[1]) == 7


def test_frozen_holders_are_found_too() -> None:
    HELD["thing"] = thing = Thing()
    gc.freeze()
    assert len(gc.get_referrers(thing)) == 0  # what the collector's own tools see then
    chain = referrer_chain(thing)
    HELD.clear()
    assert chain[1:] == [".HELD dict", "[...] Thing"]


def test_demo(demo: Demo) -> None:
    lines = demo("leak_report")
    assert lines[0] == "made here:  self.basket = bytes(10_000)"
    assert lines[1].endswith(".SESSIONS dict  [...] Session")
