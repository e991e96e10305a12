"""The simulation starts with the file of the drill; no row is lost or counted twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.run.picture import Lines
from tests.scenarios.bulk_upload.simulation import BAD, SLIDERS, is_price, lines_of, simulate
from tests.scenarios.stated import asserted

START = {one.name: one.start for one in SLIDERS}
CHOICES = st.fixed_dictionaries({one.name: st.sampled_from(one.values) for one in SLIDERS})


def counted(**values: int) -> dict[str, int]:
    return {str(what): int(rows) for what, rows in simulate(**(START | values)).table.rows}


def test_it_starts_with_the_numbers_of_the_drill() -> None:
    drill = asserted("bulk_upload", "test_a_bad_row_costs_one_row")
    (naive, failed), (inserted, rejected, _) = (
        one
        for one in drill
        if isinstance(one, tuple) and isinstance(one[0], int) and isinstance(one[1], int)
    )
    start = {"rows": failed, "bad": 1000 * rejected // failed, "batch": 1_000}
    assert start == START
    found = counted()
    assert found["stored by the import"] == inserted == 9_900
    assert found["stored by one INSERT a batch"] == naive == 0
    assert sum(found[f"rejected: {reason}"] for reason in BAD) == rejected == 100


@settings(max_examples=12)
@given(CHOICES)
def test_each_row_is_stored_or_rejected_once(values: dict[str, int]) -> None:
    found = counted(**values)
    lost = sum(found[f"rejected: {reason}"] for reason in BAD)
    assert lost == values["rows"] * values["bad"] // 1000
    assert found["stored by the import"] == values["rows"] - lost
    assert found["stored by one INSERT a batch"] <= found["stored by the import"]


def test_each_kind_of_fault_is_told_by_its_own_reason() -> None:
    found = counted(bad=5, rows=1_000)
    assert [found[f"rejected: {reason}"] for reason in BAD] == [1, 1, 1, 1, 1]


def test_a_small_batch_loses_less_to_an_insert_of_whole_batches() -> None:
    large, small = counted(bad=1), counted(bad=1, batch=50)
    assert large["stored by one INSERT a batch"] == 0
    assert small["stored by one INSERT a batch"] == 10_000 - 10 * 50
    assert counted(bad=0)["stored by one INSERT a batch"] == 10_000


def test_progress_is_of_the_bytes_and_ends_at_all_of_them() -> None:
    panel = simulate(**START).panels[0]
    assert isinstance(panel, Lines)
    progress = [x for x, _ in panel.lines[0].points]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1], len(progress)) == (0, 100, 11)


def test_the_faults_are_where_they_are_said_to_be() -> None:
    lines = list(lines_of(1_000, 10))
    assert [at for at, line in enumerate(lines) if b"Product %d," % at not in line] == [
        *range(0, 1_000, 100)
    ]


@pytest.mark.parametrize("text", ["1;50", "", ".5", "1.", "-1", "1e3", "\u0661", "1.5 "])
def test_what_is_no_price(text: str) -> None:
    assert not is_price(text)
    assert is_price("12.50")
    assert is_price("12")
