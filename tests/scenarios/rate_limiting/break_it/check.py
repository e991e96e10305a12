"""Send the reader's requests to the naive limiter, and to a good one."""

from itertools import pairwise
from math import isfinite
from typing import Protocol

from snippets.rate_limiting.naive_fixed_window import NaiveFixedWindow
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog

REQUESTS = 199


class Reader(Protocol):
    """What the reader writes."""

    def arrivals(self) -> list[float]:
        """Give the times of the requests in order, in seconds."""


def check(reader: Reader) -> str:
    """Judge the arrivals; AssertionError says what is missing."""
    times: object = reader.arrivals()
    kind = type(times).__name__
    assert isinstance(times, list), f"arrivals() gives {kind} instead of a list of times."
    assert all(isinstance(one, int | float) and isfinite(one) for one in times), (
        "A time is a number of seconds, and not all of these are."
    )
    assert len(times) == REQUESTS, f"There are {len(times)} requests instead of {REQUESTS}."
    assert times[0] >= 0, "The first request comes before second 0."
    assert all(a <= b for a, b in pairwise(times)), "The requests are not in order of time."
    span = times[-1] - times[0]
    assert span < 60, f"They take {span:.1f} s: that is a minute or more."
    naive = NaiveFixedWindow(limit=100, window=60.0)
    passed = sum(naive.allow("reader", now) for now in times)
    assert passed == REQUESTS, f"{passed} of {REQUESTS} passed, within {span:.1f} s."
    good = SlidingWindowLog(limit=100, window=60.0)
    held = sum(good.hit("reader", now).allowed for now in times)
    return (
        f"{passed} requests passed within {span:.1f} s, at a limit of 100 a minute.\n"
        f"The sliding window log lets {held} of the same requests pass."
    )
