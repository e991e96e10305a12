"""Read what was measured (`evidence/results/`) and what was last tested (`build/verified.json`)."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.problem import Problem

VERIFIED = "build/verified.json"
_NO_SPACE = {"%", "x", "\N{MULTIPLICATION SIGN}", "\N{DEGREE SIGN}"}


class Value(BaseModel):
    """A recorded number.

    Attributes:
        value: the number.
        unit: what it counts; empty for a plain ratio.
        spread: lowest and highest of the rounds, in the same unit.
        note: how it was taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    value: Annotated[float, Field(allow_inf_nan=False)] | int
    unit: str
    spread: tuple[float, float] | None = None
    note: str = ""


class Chart(BaseModel):
    """A recorded chart: a Vega-Lite specification with its values inside."""

    model_config = ConfigDict(frozen=True, extra="allow")
    spec: dict[str, object]
    columns: tuple[str, ...] = ()


class Result(BaseModel):
    """What one run of `make evidence` recorded for a scenario."""

    model_config = ConfigDict(frozen=True, extra="allow")
    scenario: str
    measured: str
    environment: dict[str, object]
    packages: dict[str, str]
    uses: dict[str, str]
    harness: str
    values: dict[str, Value]
    charts: dict[str, Chart]


class VerifiedFile(BaseModel):
    """A file all of whose tests passed."""

    model_config = ConfigDict(frozen=True, extra="allow")
    sha256: str
    tests: int


class Verified(BaseModel):
    """What the last whole test run verified."""

    model_config = ConfigDict(frozen=True, extra="allow")
    date: str = ""
    python: str = ""
    platform: str = ""
    servers: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    files: dict[str, VerifiedFile] = Field(default_factory=dict)
    tests: dict[str, dict[str, int]] = Field(default_factory=dict)
    left_out: dict[str, int] = Field(default_factory=dict)
    counted: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """Every recorded result, by scenario id."""

    by_scenario: Mapping[str, Result] = field(default_factory=dict)

    def value(self, key: str) -> Value | None:
        """Give the value of `<scenario>/<key>`, or None."""
        scenario, _, name = key.partition("/")
        result = self.by_scenario.get(scenario)
        return result.values.get(name) if result else None

    def chart(self, key: str) -> Chart | None:
        """Give the chart of `<scenario>/<key>`, or None."""
        scenario, _, name = key.partition("/")
        result = self.by_scenario.get(scenario)
        return result.charts.get(name) if result else None

    def value_keys(self) -> set[str]:
        """Give every `<scenario>/<key>` that has a value."""
        return {f"{s}/{key}" for s, result in self.by_scenario.items() for key in result.values}

    def chart_keys(self) -> set[str]:
        """Give every `<scenario>/<key>` that has a chart."""
        return {f"{s}/{key}" for s, result in self.by_scenario.items() for key in result.charts}


def read_results(root: Path) -> tuple[Results, list[Problem]]:
    """Read every `evidence/results/<scenario>.json`."""
    found: dict[str, Result] = {}
    problems: list[Problem] = []
    for file in sorted((root / "evidence" / "results").glob("*.json")):
        path = file.relative_to(root).as_posix()
        mend = f"measure again: make evidence SCENARIO={file.stem}"
        try:
            result = Result.model_validate_json(file.read_bytes())
        except OSError as error:
            problems.append(Problem(path, 1, f"cannot be read: {error.strerror}", mend))
            continue
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            what = f"not a recorded result: {place} {first['msg']}".replace("  ", " ")
            problems.append(Problem(path, 1, what, mend))
            continue
        if result.scenario != file.stem:
            what = f"holds the results of {result.scenario!r}"
            problems.append(Problem(path, 1, what, mend))
        found[file.stem] = result
    return Results(found), problems


def read_verified(root: Path) -> tuple[Verified, list[Problem]]:
    """Read the report of the last test run; without one nothing is verified."""
    try:
        data = (root / VERIFIED).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Verified(), []
    try:
        return Verified.model_validate_json(data), []
    except (ValidationError, json.JSONDecodeError):
        what = "not a report of a test run"
        return Verified(), [Problem(VERIFIED, 1, what, "remove it, or run make test")]


def format_number(value: float) -> str:
    """Write a number for prose: whole ones in groups of three, others to three digits."""
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 100):
        return f"{int(value):,}"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def format_value(value: Value, *, bare: bool = False) -> str:
    """Write a recorded number with its unit, or without it when bare."""
    number = format_number(value.value)
    if bare or not value.unit:
        return number
    space = "" if value.unit in _NO_SPACE else "\N{NO-BREAK SPACE}"
    return f"{number}{space}{value.unit}"
