"""Two crowds of requests, one on each side of a full minute, at five limiters.

At the start these are the limiters and the load of the drill of the boundary.
"""

from collections.abc import Callable

from catalog.run.picture import Bars
from catalog.run.sliders import Outcome, Slider, Table
from snippets.rate_limiting.gcra import Gcra
from snippets.rate_limiting.naive_fixed_window import NaiveFixedWindow
from snippets.rate_limiting.sliding_window_counter import SlidingWindowCounter
from snippets.rate_limiting.sliding_window_log import SlidingWindowLog
from snippets.rate_limiting.token_bucket import TokenBucket

WINDOW = 60  # seconds
TITLE = "Admitted on both sides of a full minute"
QUESTION = (
    "What do five limiters admit when one crowd of requests comes in the last second of a minute "
    "and another after it?"
)
MODEL = (
    "The limiters are the files above, on a virtual clock. "
    "Each crowd comes evenly within one second, and both lie within 60 seconds of each other. "
    "For some another pattern is worse: the table at the top has the worst minute of each."
)
SLIDERS = (
    Slider("limit", "Limit", "requests a minute", low=10, high=200, step=10, start=100),
    Slider("crowd", "Each crowd", "requests", low=10, high=300, step=10, start=100),
    Slider("burst", "Burst of bucket and GCRA", "at once", low=1, high=200, step=1, start=10),
    Slider("pause", "The second comes after", "s of the new minute", 0, 58, 1, start=0),
)

Allow = Callable[[float], bool]


def limiters(limit: int, burst: int) -> dict[str, Allow]:
    """Give the five by name, each anew."""
    naive = NaiveFixedWindow(limit, WINDOW)
    log = SlidingWindowLog(limit, WINDOW)
    counter = SlidingWindowCounter(limit, WINDOW)
    bucket = TokenBucket(limit / WINDOW, burst)
    cells = Gcra(limit, WINDOW, burst)
    return {
        "fixed window": lambda now: naive.allow("a", now),
        "sliding window log": lambda now: log.hit("a", now).allowed,
        "sliding window counter": lambda now: counter.hit("a", now).allowed,
        "token bucket": lambda now: bucket.hit("a", now).allowed,
        "GCRA (leaky bucket)": lambda now: cells.hit("a", now).allowed,
    }


def simulate(limit: int, crowd: int, burst: int, pause: int) -> Outcome:
    """Send both crowds to each limiter."""
    before, after = (
        [start + number / crowd for number in range(crowd)]
        for start in (WINDOW - 1.0, WINDOW + float(pause))
    )
    admitted = {
        name: (sum(map(allow, before)), sum(map(allow, after)))
        for name, allow in limiters(limit, burst).items()
    }
    sums = {name: sum(both) for name, both in admitted.items()}
    fixed, log = sums["fixed window"], sums["sliding window log"]
    return Outcome(
        panels=[
            Bars(
                "Requests admitted within 60 seconds",
                list(admitted.items()),
                parts=("before the full minute", "after it"),
                marks=(("limit", limit), ("twice the limit", 2 * limit)),
            )
        ],
        caption=(
            f"Of {2 * crowd} requests within {pause + 2} seconds, at a limit of {limit} a minute, "
            f"the fixed window admits {fixed} and the sliding window log {log}; "
            f"with a burst of {burst} the token bucket admits {sums['token bucket']}."
        ),
        table=Table(
            ("Limiter", "Before", "After", "Within 60 s"),
            [(name, *both, sum(both)) for name, both in admitted.items()],
        ),
    )
