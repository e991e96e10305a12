"""Wait for what must become true, and no longer."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_SECONDS = 0.01
"""How long `eventually` rests between two looks."""


class NeverTrue(AssertionError):
    """The awaited thing did not happen in time."""


def eventually(predicate: Callable[[], T], timeout: float = 5.0) -> T:
    """Call `predicate` until it gives something true, and give that.

    For what has no event to wait on, such as the view of another process. It is asked at once,
    then every 10 ms, and one last time when the time is over.

    Args:
        predicate: asked again and again; it must be cheap. What it raises is not caught.
        timeout: how long to go on, in seconds, 0 or more.

    Returns:
        The first true value.

    Raises:
        NeverTrue: the time is over; the message carries the last value.
        ValueError: `timeout` is negative.
    """
    if timeout < 0:
        raise ValueError(f"timeout must be 0 seconds or more, not {timeout!r}")
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        value = predicate()
        if value:
            return value
        if late:
            raise NeverTrue(f"not true within {timeout:g} s; the last value was {value!r}")
        time.sleep(PAUSE_SECONDS)
