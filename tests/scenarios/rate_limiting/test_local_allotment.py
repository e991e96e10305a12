"""Local allotments spend what the shared limiter gave, and never more."""

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.clock import FakeClock
from snippets.rate_limiting.gcra import Gcra
from snippets.rate_limiting.local_allotment import Decision, LocalAllotment
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog
from tests.scenarios.rate_limiting.traffic import Hit, keyed, most_in_any_window, run_demo

pytestmark = pytest.mark.anyio


class Shared:
    """A shared limiter on a clock of its own, that remembers what it was asked."""

    policies = ()

    def __init__(self, limiter: Gcra | SlidingWindowLog) -> None:
        self.limiter = limiter
        self.clock = FakeClock()
        self.asked: list[tuple[str, int]] = []

    async def hit(self, key: str, cost: int = 1) -> Decision:
        self.asked.append((key, cost))
        await asyncio.sleep(0)  # as over a network, others run meanwhile
        return Decision(*self.limiter.hit(key, self.clock(), cost))

    def local(self, size: int, hold: float, max_keys: int = 100) -> LocalAllotment:
        return LocalAllotment(self, size, hold, max_keys, self.clock)


def shared(limit: int, window: float) -> Shared:
    return Shared(SlidingWindowLog(limit, window))


async def allowed(local: LocalAllotment, keys: Sequence[str], cost: int = 1) -> list[bool]:
    return [(await local.hit(key, cost)).allowed for key in keys]


def at(clock: FakeClock, now: float) -> None:
    clock.advance(now - clock())


# -- the bound -------------------------------------------------------------------------------------


@given(load=keyed(), size=st.integers(1, 5), hold=st.integers(1, 9))
def test_five_processes_stay_within_what_was_given_and_what_they_held(
    load: list[tuple[str, float, int]], size: int, hold: int
) -> None:
    common = shared(6, 10)
    processes = {name: common.local(size, hold) for name in "abcde"}

    async def run() -> list[Hit]:
        passed = []
        for name, now, cost in load:
            at(common.clock, now)
            if (await processes[name].hit("bob", cost)).allowed:
                passed.append((now, cost))
        return passed

    # Spent in any 10 s: taken in 10 s, or left over from before in one of the processes. An
    # allotment for a cost above `size` is spent at once.
    assert most_in_any_window(asyncio.run(run()), 10) <= 6 + 5 * (size - 1)


async def test_one_call_serves_a_whole_allotment() -> None:
    common = shared(100, 60)
    local = common.local(size=10, hold=5.0)
    assert all(await allowed(local, "a" * 20))
    assert common.asked == [("a", 10)] * 2


async def test_takes_what_it_needs_when_that_is_all_there_is() -> None:
    common = shared(12, 60)
    local = common.local(size=10, hold=5.0)
    assert sum(await allowed(local, "a" * 50)) == 12


async def test_unspent_units_are_void_after_the_hold() -> None:
    common = shared(100, 1000)
    local = common.local(size=10, hold=5.0)
    for now, calls in ((0.0, 1), (4.875, 1), (5.0, 2)):
        at(common.clock, now)
        await local.hit("a")
        assert len(common.asked) == calls


# -- one call at a time ----------------------------------------------------------------------------


async def test_a_crowd_asks_once_per_allotment() -> None:
    common = shared(1000, 60)
    local = common.local(size=10, hold=5.0)
    answers = await asyncio.gather(*(local.hit("a") for _ in range(95)))
    assert all(answer.allowed for answer in answers)
    assert common.asked == [("a", 10)] * 10


async def test_keys_ask_at_the_same_time() -> None:
    busy, most = 0, 0

    class Slow(Shared):
        async def hit(self, key: str, cost: int = 1) -> Decision:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            answer = await super().hit(key, cost)
            busy -= 1
            return answer

    local = Slow(SlidingWindowLog(100, 60)).local(size=10, hold=5.0)
    await asyncio.gather(*(local.hit(key) for key in "abcabc"))
    assert most == 3


async def test_the_next_one_asks_when_who_asks_gives_up() -> None:
    stuck = asyncio.Event()

    class Stuck(Shared):
        async def hit(self, key: str, cost: int = 1) -> Decision:
            if not stuck.is_set():
                stuck.set()
                await asyncio.Event().wait()
            return await super().hit(key, cost)

    local = Stuck(SlidingWindowLog(100, 60)).local(size=10, hold=5.0)
    first, second = (asyncio.create_task(local.hit("a")) for _ in range(2))
    await stuck.wait()
    first.cancel()
    assert (await second).allowed
    assert first.cancelled()


async def test_what_the_shared_limiter_raises_is_raised_and_not_remembered() -> None:
    class Broken(Shared):
        async def hit(self, key: str, cost: int = 1) -> Decision:
            self.asked.append((key, cost))
            raise ConnectionError

    broken = Broken(SlidingWindowLog(1, 1))
    local = broken.local(size=1, hold=5.0)
    for calls in (1, 2):
        with pytest.raises(ConnectionError):
            await local.hit("a")
        assert len(broken.asked) == calls


# -- what is remembered ----------------------------------------------------------------------------


async def test_a_refusal_is_remembered_until_it_ends() -> None:
    common = shared(1, 60)
    local = common.local(size=1, hold=100.0)
    assert (await local.hit("a")).allowed
    for second in range(1, 60):
        at(common.clock, second)
        answer = await local.hit("a")
        assert (answer.allowed, answer.retry_after) == (False, 60 - second)
    assert len(common.asked) == 2
    at(common.clock, 60)
    assert (await local.hit("a")).allowed


async def test_a_refusal_is_remembered_no_longer_than_the_hold() -> None:
    common = shared(0, 60)  # closed: come back never
    local = common.local(size=1, hold=5.0)
    assert (await local.hit("a")).retry_after == math.inf
    at(common.clock, 4.875)
    assert (await local.hit("a")).retry_after == math.inf
    assert len(common.asked) == 1
    at(common.clock, 5.0)
    common.limiter = SlidingWindowLog(1, 60)  # opened meanwhile
    assert (await local.hit("a")).allowed


async def test_the_refusal_of_a_large_cost_says_nothing_about_a_smaller_one() -> None:
    common = shared(4, 60)
    local = common.local(size=1, hold=5.0)
    assert await allowed(local, "a", cost=2) == [True]
    assert await allowed(local, "aaa", cost=3) == [False] * 3
    assert await allowed(local, "a", cost=4) == [False]
    assert await allowed(local, "aaa", cost=1) == [True, True, False]
    assert common.asked == [("a", 2), ("a", 3), ("a", 1), ("a", 1), ("a", 1)]


async def test_a_cost_above_the_size_is_asked_for_as_it_is() -> None:
    common = shared(10, 60)
    local = common.local(size=5, hold=5.0)
    assert await allowed(local, "aa", cost=7) == [True, False]
    assert common.asked == [("a", 7), ("a", 7)]


async def test_a_cost_that_the_units_left_do_not_pay_is_asked_for() -> None:
    common = shared(100, 60)
    local = common.local(size=4, hold=5.0)
    assert await allowed(local, "aa", cost=3) == [True, True]
    assert common.asked == [("a", 4)] * 2


async def test_answers_say_what_is_left_here_and_there() -> None:
    common = Shared(Gcra(limit=60, window=60, burst=20))
    local = common.local(size=5, hold=5.0)
    assert await local.hit("a") == Decision(True, 19, 0.0, 5.0)
    at(common.clock, 2.0)
    assert await local.hit("a", cost=2) == Decision(True, 17, 0.0, 3.0)


async def test_keys_do_not_share() -> None:
    local = shared(1, 60).local(size=1, hold=5.0)
    assert await allowed(local, "aabb") == [True, False, True, False]


async def test_a_full_table_gives_up_the_oldest_allotment() -> None:
    common = shared(100, 60)
    local = common.local(size=2, hold=60.0, max_keys=2)
    await allowed(local, "abaa")  # a's second allotment is younger than b's first
    assert common.asked == [("a", 2), ("b", 2), ("a", 2)]
    await allowed(local, "cac")  # c takes the place of b
    assert common.asked[3:] == [("c", 2)]
    await allowed(local, "b")
    assert common.asked[4:] == [("b", 2)]


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", [0, -1, math.nan, 1.5, 2.0, True])
async def test_refuses_a_cost_that_is_no_count(cost: float) -> None:
    with pytest.raises(ValueError, match="whole number"):
        await shared(1, 60).local(1, 5.0).hit("a", cost)  # type: ignore[arg-type]  # the bad input


@pytest.mark.parametrize(
    ("size", "hold", "max_keys"),
    [(0, 5, 9), (1.5, 5, 9), (True, 5, 9), (1, 0, 9), (1, math.nan, 9), (1, 5, 0)],
)
async def test_refuses_numbers_that_make_no_sense(size: int, hold: float, max_keys: int) -> None:
    with pytest.raises(ValueError, match="whole size >= 1"):
        shared(1, 60).local(size, hold, max_keys)


# -- the demo --------------------------------------------------------------------------------------


def test_demo_shows_where_larger_allotments_stop_paying(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("local_allotment")
    assert capsys.readouterr().out.splitlines() == [
        " 1 at once: 100% pass, 1000 calls per 1,000",
        "10 at once: 100% pass, 100 calls per 1,000",
        "20 at once: 100% pass, 1510 calls per 1,000",
        "50 at once: 100% pass, 1881 calls per 1,000",
    ]
