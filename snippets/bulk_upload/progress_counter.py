# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Progress that never jumps back, and a time left that does not flicker.

The count itself belongs where the data is: added by the database, in the
transaction that stores the rows (`done = done + n`). This file is for whoever
reads it: snapshots may come late, twice or out of order, and the bar must not
move backwards. Measure in bytes of the file: their total is known at once,
the number of rows only at the end.

The speed is an exponentially weighted average: after `memory` seconds a burst
counts 37 %. Give it the time, from a clock that does not go backwards.

Source: progressbar2's SmoothingETA, an exponential average of the same kind,
https://github.com/wolph/python-progressbar
"""

import math


# --8<-- [start:meter]
class Meter:
    """The progress of one job.

    Args:
        total: units of work, 0 or more; 0 is done at once.
        memory: seconds over which the speed is averaged, above 0.

    Raises:
        ValueError: total is negative, or memory not above 0.
    """

    def __init__(self, total: int, *, memory: float = 10.0) -> None:
        if total < 0 or not memory > 0:
            raise ValueError(f"total {total} >= 0 and memory {memory} > 0")
        self.total = total
        self.done = 0
        self._memory = memory
        self._speed = 0.0  # units a second
        self._seen: float | None = None

    def update(self, done: int, now: float) -> float:
        """Take a snapshot, `now` in seconds; give the fraction, 0 to 1."""
        before = self.done
        self.done = min(self.total, max(before, done))
        if self._seen is None:
            self._seen = now
        elif now > self._seen:
            speed = (self.done - before) / (now - self._seen)
            weight = 1 - math.exp((self._seen - now) / self._memory)
            # The first speed is all there is; an average with 0 would lie.
            self._speed += (speed - self._speed) * (
                weight if self._speed else 1.0
            )
            self._seen = now
        return self.fraction

    @property
    def fraction(self) -> float:
        """How much is done, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    def eta(self) -> float | None:
        """Seconds that are left at this speed; None while it is unknown."""
        left = self.total - self.done
        if not left:
            return 0.0
        return left / self._speed if self._speed else None
        # --8<-- [end:meter]


# --8<-- [start:demo]
def main() -> None:
    """Watch an import whose snapshots come late and out of order."""
    meter = Meter(1_000_000)
    told = [(0, 0), (1, 50), (2, 100), (3, 80), (4, 200), (10, 210), (14, 1001)]
    for now, thousands in told:
        done = 1000 * thousands
        fraction = meter.update(done, now)
        eta = meter.eta()
        left = "unknown" if eta is None else f"{eta:.0f} s"
        print(f"{now:2} s: told {done:>9,}, shown {fraction:4.0%}, left {left}")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
