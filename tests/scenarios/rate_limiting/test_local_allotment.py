"""Local allotments spend what the shared limiter gave, and never more."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.rate_limiting.local_allotment import LocalAllotment
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog
from tests.scenarios.rate_limiting.traffic import hits, most_in_any_window, run_demo


class Shared:
    """A shared limiter with its clock, that counts how often it is asked."""

    class Answer(NamedTuple):
        allowed: bool
        retry_after: float

    def __init__(self, limit: int, window: float) -> None:
        self.log = SlidingWindowLog(limit, window)
        self.now = 0.0
        self.calls = 0

    def take(self, key: str, units: int) -> Answer:
        self.calls += 1
        answer = self.log.hit(key, self.now, units)
        return self.Answer(answer.allowed, answer.retry_after)


def allow(local: LocalAllotment, shared: Shared, key: str, now: float) -> bool:
    shared.now = now
    return local.allow(key, now)


@given(load=hits(), size=st.integers(1, 5), hold=st.integers(1, 9), choices=st.data())
def test_two_processes_stay_within_the_longer_window(
    load: list[tuple[float, int]], size: int, hold: int, choices: st.DataObject
) -> None:
    shared = Shared(limit=6, window=10)
    processes = [LocalAllotment(shared.take, size, hold) for _ in range(2)]
    passed = [
        (now, 1)
        for now, _ in load
        if allow(choices.draw(st.sampled_from(processes)), shared, "a", now)
    ]
    # Spent in any 10 s: taken in 10 s, or left over from before in either process.
    assert most_in_any_window(passed, 10) <= 6 + 2 * (size - 1)


def test_one_call_serves_a_whole_allotment() -> None:
    shared = Shared(limit=100, window=60)
    local = LocalAllotment(shared.take, size=10, hold=5.0)
    assert all(allow(local, shared, "a", i / 10) for i in range(20))
    assert shared.calls == 2


def test_takes_single_units_when_that_is_all_there_is() -> None:
    shared = Shared(limit=12, window=60)
    local = LocalAllotment(shared.take, size=10, hold=5.0)
    assert sum(allow(local, shared, "a", i / 100) for i in range(50)) == 12


def test_a_refusal_is_remembered_until_it_ends() -> None:
    shared = Shared(limit=1, window=60)
    local = LocalAllotment(shared.take, size=1, hold=5.0)
    assert allow(local, shared, "a", 0.0)
    assert not any(allow(local, shared, "a", 1.0 + i / 100) for i in range(1000))
    assert shared.calls == 2
    assert allow(local, shared, "a", 60.0)


def test_unspent_units_are_void_after_the_hold() -> None:
    shared = Shared(limit=100, window=1000)
    local = LocalAllotment(shared.take, size=10, hold=5.0)
    allow(local, shared, "a", 0.0)
    allow(local, shared, "a", 4.875)
    assert shared.calls == 1
    allow(local, shared, "a", 5.0)
    assert shared.calls == 2


def test_keys_do_not_share() -> None:
    shared = Shared(limit=1, window=60)
    local = LocalAllotment(shared.take, size=1, hold=5.0)
    assert [allow(local, shared, key, 0.0) for key in "aabb"] == [True, False, True, False]


def test_a_full_table_gives_up_the_oldest_allotment() -> None:
    shared = Shared(limit=100, window=60)
    local = LocalAllotment(shared.take, size=2, hold=60.0, max_keys=2)
    for key in "abcbc":
        allow(local, shared, key, 0.0)
    assert shared.calls == 3
    allow(local, shared, "a", 0.0)
    assert shared.calls == 4


def test_demo_shows_where_larger_allotments_stop_paying(capsys: pytest.CaptureFixture[str]) -> None:
    run_demo("local_allotment")
    assert capsys.readouterr().out.splitlines() == [
        " 1 at once: 100% pass, 1000 calls per 1,000",
        "10 at once: 100% pass, 100 calls per 1,000",
        "20 at once: 100% pass, 1510 calls per 1,000",
        "50 at once: 100% pass, 1881 calls per 1,000",
    ]
