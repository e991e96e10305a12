"""A clock that a test moves by hand."""

import math


class FakeClock:
    """Calling it gives the time in seconds; only `advance` moves it.

    Pass it wherever a snippet takes `time.monotonic` or `time.time`. It is not locked: advance it
    from one thread, before or after a race but not during one.

    Args:
        start: the first reading, in seconds; any finite number.

    Raises:
        ValueError: `start` is not finite.
    """

    def __init__(self, start: float = 0.0) -> None:
        if not math.isfinite(start):
            raise ValueError(f"start must be a finite number of seconds, not {start!r}")
        self._now = float(start)

    def __call__(self) -> float:
        """Give the time in seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move the clock forward and give the new time, both in seconds.

        Raises:
            ValueError: `seconds` is negative or not finite; time does not run backwards.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"a clock advances by 0 seconds or more, not {seconds!r}")
        self._now += seconds
        return self._now
