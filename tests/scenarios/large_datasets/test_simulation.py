"""The simulation starts with the recorded table; what streams holds its batch, whatever comes."""

from fractions import Fraction

import pytest

from catalog.run.picture import Lines
from tests.scenarios.large_datasets.simulation import EACH, MIB, SLIDERS, simulate
from tests.scenarios.stated import recorded

START = {one.name: one.start for one in SLIDERS}
STREAMS = ("batches", "keyset pages", "cursor")


def held(**values: int) -> dict[str, tuple[int, float]]:
    """Rows and MiB that each reader holds at most."""
    rows = simulate(**(START | values)).table.rows
    return {str(name): (int(count), float(mib)) for name, count, mib in rows}


def test_it_starts_with_what_was_recorded() -> None:
    """A million rows in fetchall, as good as measured; streams below what a process took."""
    found = held()
    measured = recorded("large-datasets", "memory-fetchall")
    mend = f"start the slider 'size' at {round(measured * MIB / START['rows'])}"
    assert START["rows"] == 1_000_000
    assert found["fetchall"][1] == pytest.approx(measured, rel=0.01), mend
    assert found["cursor"][1] <= recorded("large-datasets", "memory-server-side-cursor")
    assert found["keyset pages"][1] <= recorded("large-datasets", "memory-keyset")


def test_the_bounds_of_the_drill_hold() -> None:
    """At its 300,000 rows: streams at most 8 MiB, a tenth of what fetchall holds."""
    found = held(rows=300_000)
    assert all(found[name][1] <= 8 for name in STREAMS)
    assert all(found["fetchall"][1] >= 10 * found[name][1] for name in STREAMS)


@pytest.mark.parametrize("rows", [100_000, 2_000_000])
@pytest.mark.parametrize("batch", [100, 20_000])
def test_what_is_held_is_counted(rows: int, batch: int) -> None:
    found = {name: count for name, (count, _) in held(rows=rows, batch=batch).items()}
    assert found["fetchall"] == rows
    assert found["cursor"] == batch
    # The old one is dropped when the new one is whole.
    assert batch <= found["batches"] <= 2 * batch
    assert batch <= found["keyset pages"] <= 2 * batch + EACH


def test_bytes_follow_the_size_of_a_row() -> None:
    one, two = held(size=200), held(size=400)
    assert all(two[name] == (one[name][0], 2 * one[name][1]) for name in one)


def test_the_line_of_fetchall_climbs_and_the_others_stay() -> None:
    (panel,) = simulate(**START).panels
    assert isinstance(panel, Lines)
    lines = {line.name: [y for _, y in line.points] for line in panel.lines}
    assert lines["fetchall"] == sorted(set(lines["fetchall"]))
    assert lines["fetchall"][-1] == Fraction(START["size"] * START["rows"], MIB)
    for name in STREAMS:
        assert max(lines[name]) == max(lines[name][1:5]), "no more later than at first"


def test_nothing_stays_alive_behind_a_reader() -> None:
    assert held() == held()
