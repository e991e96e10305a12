"""Recorded numbers: how they are read and how they are written into prose."""

import json
from pathlib import Path

import pytest

from catalog.results import (
    VERIFIED,
    Value,
    format_number,
    format_value,
    read_results,
    read_verified,
)

RESULT = {
    "scenario": "rate-limiting",
    "measured": "2026-11-22",
    "environment": {},
    "packages": {},
    "uses": {},
    "harness": "0",
    "values": {"rtt": {"value": 0.25, "unit": "ms", "spread": [0.2, 0.3], "note": ""}},
    "charts": {"latency": {"spec": {"mark": "bar"}}},
}


def put(root: Path, text: str, name: str = "rate-limiting") -> None:
    folder = root / "evidence" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (2.0, "2"),
        (0.12345, "0.123"),
        (9.876, "9.88"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (0.000_012_3, "0.0000123"),
        (-1.5, "-1.5"),
    ],
)
def test_numbers_are_written_to_three_digits(number: float, text: str) -> None:
    assert format_number(number) == text


def test_a_unit_does_not_leave_its_number() -> None:
    assert format_value(Value(value=3, unit="ms")) == "3\N{NO-BREAK SPACE}ms"
    assert format_value(Value(value=3, unit="%")) == "3%"
    assert format_value(Value(value=3, unit="ms"), bare=True) == "3"
    assert format_value(Value(value=3, unit="")) == "3"


def test_results_are_found_by_key(tmp_path: Path) -> None:
    put(tmp_path, json.dumps(RESULT))
    results, problems = read_results(tmp_path)
    assert problems == []
    value = results.value("rate-limiting/rtt")
    assert value is not None
    assert value.value == 0.25
    assert results.value("rate-limiting/other") is None
    assert results.value("other/rtt") is None
    assert results.chart("rate-limiting/latency") is not None
    assert results.chart("other/latency") is None
    assert results.value_keys() == {"rate-limiting/rtt"}
    assert results.chart_keys() == {"rate-limiting/latency"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", json.dumps(RESULT | {"values": {"a": {"value": "many", "unit": ""}}})],
)
def test_a_broken_result_says_how_to_measure_again(tmp_path: Path, text: str) -> None:
    put(tmp_path, text)
    _, (problem,) = read_results(tmp_path)
    assert problem.path == "evidence/results/rate-limiting.json"
    assert problem.mend == "measure again: make evidence SCENARIO=rate-limiting"


def test_a_result_under_a_wrong_name_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path, json.dumps(RESULT), "caching")
    _, (problem,) = read_results(tmp_path)
    assert "holds the results of 'rate-limiting'" in problem.what


def test_without_a_report_nothing_is_verified(tmp_path: Path) -> None:
    verified, problems = read_verified(tmp_path)
    assert (verified.files, problems) == ({}, [])


def test_a_broken_report_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / VERIFIED).write_text("{", encoding="utf-8")
    _, (problem,) = read_verified(tmp_path)
    assert problem.path == VERIFIED
