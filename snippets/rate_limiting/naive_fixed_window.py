# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""A fixed-window counter in a dict, as most services first write it.

It counts requests per key and per clock-aligned window. Bound: any half-open
window of `window` seconds admits up to 2 * limit, half of them on either side
of the boundary. The table grows by one entry per key and window, for ever, and
each process counts alone: N processes admit N times the limit.
"""


# --8<-- [start:bug]
class NaiveFixedWindow:
    """At most `limit` requests per key in each `window` seconds."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self.window = window
        # BUG: no entry is ever removed, so every new key is a small leak.
        self.counts: dict[tuple[str, int], int] = {}

    def allow(self, key: str, now: float) -> bool:
        """Say whether a request at `now` (seconds) may pass."""
        # BUG: the count restarts at the boundary, whatever came just before.
        slot = (key, int(now // self.window))
        self.counts[slot] = self.counts.get(slot, 0) + 1
        return self.counts[slot] <= self.limit
        # --8<-- [end:bug]


# --8<-- [start:demo]
def main() -> None:
    """Fire 100 requests on either side of 11:01:00, limit 100 a minute."""
    limiter = NaiveFixedWindow(limit=100, window=60.0)
    eleven = 11 * 3600.0
    before = [eleven + 59.0 + i / 100 for i in range(100)]
    after = [eleven + 60.0 + i / 100 for i in range(100)]
    passed = [limiter.allow("mallory", now) for now in before + after]
    print("limit: 100 a minute")
    print(f"11:00:59  {sum(passed[:100])} of 100 admitted")
    print(f"11:01:00  {sum(passed[100:])} of 100 admitted")
    print(f"{sum(passed)} requests passed within two seconds")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
