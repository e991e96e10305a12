"""What is recorded is a measurement: named, finite, with its unit, its data and its colours."""

import json
import math
from pathlib import Path
from typing import Any, cast

import altair as alt
import pytest

from evidence.harness import BadMeasurement, Run, environment, read, write

BARS: dict[str, Any] = {
    "data": {"values": [{"of": "one", "is": 2}]},
    "mark": "bar",
    "encoding": {"x": {"field": "of", "type": "nominal"}},
}


@pytest.fixture
def run(repository: Path) -> Run:
    return Run("toy-sums", root=repository)


def test_the_script_and_the_snippets_it_imports_count_by_themselves(run: Run) -> None:
    run.value("one", 1, "unit")
    assert list(run.result({})["uses"]) == ["evidence/toy_sums.py", "snippets/toy_sums/add.py"]


def test_a_named_file_counts_and_brings_its_packages(run: Run, repository: Path) -> None:
    (repository / "peer.py").write_text("def late():\n    import redis\n")
    run.uses("peer.py")
    run.packages("polars")
    run.value("one", 1, "unit")
    result = run.result({})
    assert "peer.py" in result["uses"]
    assert {"redis", "polars"} <= set(result["packages"])


@pytest.mark.parametrize("path", ["absent.py", "/etc/passwd", "snippets"])
def test_a_file_that_is_not_there_is_refused(run: Run, path: str) -> None:
    with pytest.raises(BadMeasurement, match="no file"):
        run.uses(path)


def test_a_package_that_is_not_there_is_refused(run: Run) -> None:
    with pytest.raises(BadMeasurement, match="'no-such-package' is not installed"):
        run.packages("no-such-package")


def test_a_value_is_recorded_with_unit_spread_and_note(run: Run) -> None:
    run.value("per-second", 2.5, "requests/s", spread=(2, 3), note="warm")
    assert run.result({})["values"] == {
        "per-second": {"value": 2.5, "unit": "requests/s", "spread": [2.0, 3.0], "note": "warm"}
    }


def test_a_median_carries_the_lowest_and_the_highest(run: Run) -> None:
    run.median("time", [3.0, 1.0, 2.0, 9.0, 2.5], "ms")
    row = run.result({})["values"]["time"]
    assert (row["value"], row["spread"]) == (2.5, [1.0, 9.0])


@pytest.mark.parametrize("key", ["", "Upper", "under_score", "-x", "a--b", "ü", "a b"])
def test_a_key_is_words_in_hyphens(run: Run, key: str) -> None:
    with pytest.raises(BadMeasurement, match="hyphens"):
        run.value(key, 1, "unit")


@pytest.mark.parametrize("number", [math.nan, math.inf, True, "1", None])
def test_a_number_is_a_finite_number(run: Run, number: object) -> None:
    with pytest.raises(BadMeasurement):
        run.value("x", cast("float", number), "unit")


@pytest.mark.parametrize("unit", ["", " ms", "ms "])
def test_a_unit_reads_well_after_a_number(run: Run, unit: str) -> None:
    with pytest.raises(BadMeasurement, match="unit"):
        run.value("x", 1, unit)


@pytest.mark.parametrize("spread", [(2, 3), (0, 0.5), (3, 0)])
def test_a_value_lies_within_its_spread(run: Run, spread: tuple[float, float]) -> None:
    with pytest.raises(BadMeasurement, match="outside its spread"):
        run.value("x", 1, "unit", spread=spread)


def test_a_key_is_recorded_once(run: Run) -> None:
    run.value("x", 1, "unit")
    with pytest.raises(BadMeasurement, match="twice"):
        run.value("x", 2, "unit")
    run.chart("x", BARS, columns=["of"])
    with pytest.raises(BadMeasurement, match="twice"):
        run.chart("x", BARS, columns=["of"])


def test_nothing_recorded_is_no_result(run: Run) -> None:
    with pytest.raises(BadMeasurement, match="nothing was recorded"):
        run.result({})


def test_no_rounds_have_no_median(run: Run) -> None:
    with pytest.raises(BadMeasurement, match="no numbers"):
        run.median("x", [], "ms")


def test_progress_tells_turns_and_records_apart(repository: Path) -> None:
    told: list[tuple[str, bool]] = []
    run = Run("toy-sums", root=repository, progress=lambda *what: told.append(what))
    run.compare({"a": lambda: None, "b": lambda: None}, rounds=1)
    run.value("x", 1, "unit")
    assert told == [("a, round 1 of 1", False), ("b, round 1 of 1", False), ("x", True)]


def test_a_chart_as_a_dictionary_is_recorded_as_it_is(run: Run) -> None:
    run.chart("bars", BARS, columns=["of", "is"])
    assert run.result({})["charts"] == {"bars": {"spec": BARS, "columns": ["of", "is"]}}


def test_an_altair_chart_has_its_data_in_place_and_no_configuration(run: Run) -> None:
    table = alt.InlineData(values=[{"of": "one", "is": 2}, {"of": "two", "is": 4}])
    bars = alt.Chart(table).mark_bar().encode(x="of:N", y="is:Q")
    run.chart("bars", bars + bars.mark_text(), columns=["of", "is"])
    spec = run.result({})["charts"]["bars"]["spec"]
    assert spec["data"]["values"] == [{"of": "one", "is": 2}, {"of": "two", "is": 4}]
    assert not {"config", "datasets"} & set(spec)


def test_a_data_frame_is_put_in_place(run: Run) -> None:
    import polars as pl

    frame = pl.DataFrame({"of": ["one"], "is": [2]})
    run.chart("bars", alt.Chart(frame).mark_bar().encode(x="of:N", y="is:Q"), columns=["of"])
    spec = run.result({})["charts"]["bars"]["spec"]
    assert spec["data"] == {"values": [{"of": "one", "is": 2}]}


@pytest.mark.parametrize(
    ("chart", "columns", "message"),
    [
        ({**BARS, "mark": "pie"}, ["of"], "no valid Vega-Lite"),
        ({**BARS, "encoding": {"x": {"fld": "of"}}}, ["of"], "no valid Vega-Lite"),
        ("bar", ["of"], "no altair chart and no dict"),
        ({**BARS, "data": {"url": "rows.json"}}, ["of"], "not inline"),
        ({**BARS, "data": {"values": []}}, ["of"], "not inline"),
        (BARS, [], "at least one column"),
        (BARS, ["of", "was"], "'was' is not in every row"),
        ({**BARS, "mark": {"type": "bar", "color": "#ff0000"}}, ["of"], "#ff0000 is the theme's"),
        (
            {**BARS, "encoding": {"color": {"field": "of", "scale": {"range": ["rgb(1, 2, 3)"]}}}},
            ["of"],
            "theme's",
        ),
    ],
)
def test_a_bad_chart_is_refused(run: Run, chart: object, columns: list[str], message: str) -> None:
    with pytest.raises(BadMeasurement, match=message):
        run.chart("bars", chart, columns=columns)


def test_the_environment_says_what_a_number_depends_on() -> None:
    found = environment({"valkey": "9.1.2"})
    assert found["servers"] == {"valkey": "9.1.2"}
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
    assert all(found[name] for name in ("cpu", "system", "kernel", "machine", "python"))


def test_what_is_written_can_be_read(run: Run, tmp_path: Path) -> None:
    run.value("x", 1, "unit")
    result = run.result({"valkey": "9.1.2"})
    path = write(result, tmp_path / "results")
    assert path.name == "toy-sums.json"
    assert read(path) == result


def test_a_failed_write_leaves_the_former_file_and_no_other(run: Run, tmp_path: Path) -> None:
    run.value("x", 1, "unit")
    result = run.result({})
    path = write(result, tmp_path / "results")
    before = path.read_bytes()
    result["values"]["x"]["value"] = math.nan
    with pytest.raises(ValueError, match="JSON"):
        write(result, path.parent)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scenario": "x"}', "{"])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.json: "):
        read(path)


def test_a_result_with_a_bad_key_is_refused(run: Run, tmp_path: Path) -> None:
    run.value("x", 1, "unit")
    result = run.result({})
    result["values"]["Bad Key"] = result["values"]["x"]
    path = tmp_path / "toy-sums.json"
    path.write_text(json.dumps(result))
    with pytest.raises(ValueError, match="'Bad Key'"):
        read(path)
