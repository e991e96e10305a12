"""The simulation starts with the drill's load and numbers, and no limiter exceeds its bound."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenarios.rate_limiting.simulation import SLIDERS, simulate
from tests.scenarios.stated import asserted, recorded

START = {one.name: one.start for one in SLIDERS}
CHOICES = st.fixed_dictionaries({one.name: st.sampled_from(one.values) for one in SLIDERS})


def admitted(**values: int) -> dict[str, int]:
    return {str(row[0]): int(row[-1]) for row in simulate(**(START | values)).table.rows}


def test_it_starts_with_the_numbers_of_the_drill() -> None:
    drill = asserted("rate_limiting", "test_a_window_boundary_does_not_double_the_limit")
    naive, table = next(one for one in drill if isinstance(one, tuple)), drill[-1]
    assert isinstance(table, dict)
    bursts = {name: both[0] for name, both in table.items()}
    assert admitted() == {
        "fixed window": naive[0],
        "sliding window log": bursts["sliding window log"],
        "sliding window counter": bursts["sliding window counter"],
        "token bucket": bursts["token bucket, burst 10"],
        "GCRA (leaky bucket)": bursts["GCRA, burst 10"],
    }
    hundred = admitted(burst=100)
    assert hundred["token bucket"] == bursts["token bucket, burst 100"]
    assert hundred["GCRA (leaky bucket)"] == bursts["GCRA, burst 100"]
    assert admitted(burst=1)["GCRA (leaky bucket)"] == bursts["GCRA, burst 1"]


def test_it_starts_with_the_recorded_worst_minute() -> None:
    found = admitted()
    assert found["fixed window"] == recorded("rate-limiting", "worst-fixed-window") == 200
    assert found["sliding window log"] == recorded("rate-limiting", "worst-sliding-log") == 100
    assert found["sliding window counter"] <= recorded("rate-limiting", "worst-sliding-counter")
    assert found["token bucket"] <= recorded("rate-limiting", "worst-burst-10")


@settings(max_examples=60)
@given(CHOICES)
def test_no_limiter_admits_more_than_its_bound(values: dict[str, int]) -> None:
    """Both crowds lie within 60 s, so the sum is one window's; bounds as on the page."""
    found = admitted(**values)
    limit, burst, sent = values["limit"], values["burst"], 2 * values["crowd"]
    bounds = {
        "fixed window": 2 * limit,
        "sliding window log": limit,
        "sliding window counter": 2 * limit - 1,
        "token bucket": limit + burst,
        "GCRA (leaky bucket)": limit + burst,
    }
    assert found.keys() == bounds.keys()
    assert all(0 < found[name] <= min(sent, most) for name, most in bounds.items()), found


def test_the_boundary_matters_to_the_fixed_window_and_the_burst_to_the_bucket() -> None:
    assert admitted(limit=100, crowd=300)["fixed window"] == 200
    assert admitted(burst=200, crowd=300)["token bucket"] > admitted(burst=10)["token bucket"]
    late = admitted(pause=58)
    assert late["sliding window log"] == 100
    assert late["sliding window counter"] > admitted()["sliding window counter"]


def test_the_caption_says_what_the_table_holds() -> None:
    said = simulate(**START).caption
    assert "Of 200 requests within 2 seconds, at a limit of 100 a minute" in said
    assert "the fixed window admits 200 and the sliding window log 100" in said
