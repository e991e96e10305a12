"""Our limiters decide as the library `limits` does, hit for hit, once the conventions agree."""

import random
from collections.abc import Iterator

import pytest
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from lab.clock import FakeClock
from snippets.rate_limiting.naive_fixed_window import NaiveFixedWindow
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog

LIMIT = 10
DECISIONS = 18_000
WINDOW = 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Stop the time that `limits` reads, and its background expiry with it."""
    frozen = FakeClock(1_000_000_000.0)
    monkeypatch.setattr("time.time", frozen)
    monkeypatch.setattr(MemoryStorage, "_MemoryStorage__schedule_expiry", lambda _self: None)
    return frozen


def gaps() -> Iterator[int]:
    """Give pauses of whole seconds, 4 on average, so that hits often meet a window's very end."""
    chance = random.Random(5)
    for _ in range(DECISIONS):
        yield chance.choice((0, 0, 1, 2, 5, 16))


def test_the_log_decides_as_limits_does_once_the_window_is_closed_at_both_ends(
    clock: FakeClock,
) -> None:
    peer, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(LIMIT)
    half_open = SlidingWindowLog(LIMIT, WINDOW)
    # All times are whole seconds, so half a second more is the closed window.
    closed = SlidingWindowLog(LIMIT, WINDOW + 0.5)
    differ_open = differ_closed = 0
    for gap in gaps():
        clock.advance(gap)
        theirs = peer.hit(item, "a")
        differ_open += half_open.hit("a", clock()).allowed != theirs
        differ_closed += closed.hit("a", clock()).allowed != theirs
    assert differ_closed == 0
    assert differ_open > 0


def test_the_fixed_window_of_limits_begins_with_the_first_hit_not_with_the_clock(
    clock: FakeClock,
) -> None:
    peer, item = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(LIMIT)
    by_the_clock = NaiveFixedWindow(LIMIT, WINDOW)
    begin, used = -1e9, 0
    differ_clock = differ_first_hit = 0
    for gap in gaps():
        clock.advance(gap)
        if clock() >= begin + WINDOW:
            begin, used = clock(), 0
        used += 1
        theirs = peer.hit(item, "a")
        differ_first_hit += (used <= LIMIT) != theirs
        differ_clock += by_the_clock.allow("a", clock()) != theirs
    assert differ_first_hit == 0
    assert differ_clock > 0
