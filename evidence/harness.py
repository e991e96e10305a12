"""Measure, and record what was measured so that it can be checked and repeated.

Each `evidence/<scenario>.py` defines `measure(run: Run) -> None`. `python -m evidence` calls it in
a fresh process and writes `evidence/results/<scenario>.json`. Numbers reach the pages by their key
only, and only as long as the code they were measured with is unchanged.
"""

import contextlib
import functools
import importlib.metadata
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence.hashing import (
    file_hash,
    harness_hash,
    imported_modules,
    is_stale,
    normalised,
)
from lab.ratio import Timing, interleaved

__all__ = ["BadMeasurement", "Run", "environment", "is_stale", "read", "write"]

ROOT = Path(__file__).resolve().parent.parent
KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}|(rgb|hsl)a?\(.*")
TOP = {"scenario", "measured", "environment", "packages", "uses", "harness", "values", "charts"}


class BadMeasurement(ValueError):
    """What was to be recorded is not a measurement: a bad key, number, unit or chart."""


class Run:
    """One measuring of one scenario: what `measure` is given to record into.

    Args:
        scenario: the scenario's id, in hyphens.
        root: the repository's root.
        progress: called after each step with a few words, and whether something was recorded.
    """

    def __init__(
        self,
        scenario: str,
        *,
        root: Path = ROOT,
        progress: Callable[[str, bool], object] = lambda _words, _recorded: None,
    ) -> None:
        self.scenario = scenario
        self._root = root
        self._progress = progress
        self._uses: dict[str, str] = {}
        self._packages: set[str] = set()
        self._values: dict[str, dict[str, Any]] = {}
        self._charts: dict[str, dict[str, Any]] = {}
        script = f"evidence/{scenario.replace('-', '_')}.py"
        self.uses(script)
        modules = imported_modules((root / script).read_text(encoding="utf-8"))
        snippets = {f"{name.replace('.', '/')}.py" for name in modules if name[:9] == "snippets."}
        self.uses(*(path for path in snippets if (root / path).is_file()))

    def uses(self, *paths: str) -> None:
        """Name files that decide the numbers; when one changes, the result is stale.

        The measuring script and the snippets that it imports count by themselves. Name what is
        run in a child process, and data files. The distributions that named Python files import
        are recorded with their versions.

        Args:
            paths: relative to the repository's root, with forward slashes.

        Raises:
            BadMeasurement: there is no such file.
        """
        for path in paths:
            file = self._root / path
            if not file.is_file() or Path(path).is_absolute():
                raise BadMeasurement(f"uses: no file {path!r} below the repository's root")
            self._uses[path] = file_hash(file)
            if file.suffix == ".py":
                modules = imported_modules(file.read_text(encoding="utf-8"))
                self._packages |= distributions({module.partition(".")[0] for module in modules})

    def packages(self, *names: str) -> None:
        """Name packages that only a child process imports: their versions decide the numbers too.

        Raises:
            BadMeasurement: one of them is not installed.
        """
        for name in names:
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                raise BadMeasurement(f"packages: {name!r} is not installed") from None
            self._packages.add(normalised(name))

    def step(self, words: str) -> None:
        """Say what was done, for the progress bar."""
        self._progress(words, False)

    def value(
        self,
        key: str,
        number: float,
        unit: str,
        *,
        spread: tuple[float, float] | None = None,
        note: str = "",
    ) -> None:
        """Record one number.

        Args:
            key: lower-case words in hyphens, once a scenario.
            number: finite; not rounded, the page does that.
            unit: as it is read after the number: `requests`, `ms`, `MB`, `times`.
            spread: the lowest and the highest of the rounds, in the same unit.
            note: what a reader must know to read the number right.

        Raises:
            BadMeasurement: any of these does not hold.
        """
        self._check_key("value", key, self._values)
        # A bool is an int to Python, and numpy's float is a float: only the second is a number.
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise BadMeasurement(f"value {key}: {number!r} is no int or float")
        number = int(number) if isinstance(number, int) else float(number)
        if not math.isfinite(number):
            raise BadMeasurement(f"value {key}: {number!r} is not finite")
        if not unit or unit != unit.strip():
            raise BadMeasurement(f"value {key}: the unit {unit!r} is empty or has spaces around it")
        if spread is not None:
            low, high = (float(end) for end in spread)
            if not low <= number <= high:
                raise BadMeasurement(f"value {key}: {number} is outside its spread {low}..{high}")
            spread = (low, high)
        self._values[key] = {
            "value": number,
            "unit": unit,
            "spread": None if spread is None else list(spread),
            "note": note,
        }
        self._progress(key, True)

    def median(self, key: str, numbers: Sequence[float], unit: str, *, note: str = "") -> None:
        """Record the median of some rounds, with the lowest and the highest as its spread.

        Raises:
            BadMeasurement: there are no numbers, or `value` refuses.
        """
        if not numbers:
            raise BadMeasurement(f"median {key}: there are no numbers")
        spread = (float(min(numbers)), float(max(numbers)))
        self.value(key, statistics.median(numbers), unit, spread=spread, note=note)

    def compare(
        self, candidates: Mapping[str, Callable[[], object]], rounds: int = 5
    ) -> dict[str, Timing]:
        """Time the candidates in turns (see `lab.ratio.interleaved`), and report progress.

        Returns:
            One `Timing` per name, in seconds.

        Raises:
            ValueError: there are no candidates, or `rounds` is below 1.
        """
        return interleaved(
            candidates,
            rounds,
            after_turn=lambda name, number: self.step(f"{name}, round {number} of {rounds}"),
        )

    def chart(self, key: str, chart: object, *, columns: Sequence[str]) -> None:
        """Record a chart: a Vega-Lite specification with its data in it, and no colours of its own.

        Args:
            key: lower-case words in hyphens, once a scenario.
            chart: an `altair` chart, or a Vega-Lite specification as a dictionary.
            columns: the columns of its data that the table below the chart shows, in this order.

        Raises:
            BadMeasurement: it is no valid specification, its data is not inside or empty, a column
                is missing in a row, or a colour is set by hand.
        """
        self._check_key("chart", key, self._charts)
        spec = _specification(key, chart)
        rows = _rows(spec)
        if not rows:
            raise BadMeasurement(f"chart {key}: its data is not inline: give it data.values")
        if not columns:
            raise BadMeasurement(f"chart {key}: name at least one column for its table")
        for column in columns:
            if any(column not in row for row in rows):
                raise BadMeasurement(f"chart {key}: the column {column!r} is not in every row")
        colour = next(_colours(spec), None)
        if colour is not None:
            raise BadMeasurement(f"chart {key}: the colour {colour} is the theme's to choose")
        self._charts[key] = {"spec": spec, "columns": list(columns)}
        self._progress(key, True)

    def result(self, servers: Mapping[str, str]) -> dict[str, Any]:
        """Give the finished record.

        Args:
            servers: versions of the servers, by name.

        Raises:
            BadMeasurement: nothing was recorded.
        """
        if not self._values and not self._charts:
            raise BadMeasurement(f"{self.scenario}: nothing was recorded")
        return {
            "scenario": self.scenario,
            "measured": datetime.now(UTC).date().isoformat(),
            "environment": environment(servers),
            "packages": {name: importlib.metadata.version(name) for name in sorted(self._packages)},
            "uses": dict(sorted(self._uses.items())),
            "harness": harness_hash(self._root),
            "values": dict(sorted(self._values.items())),
            "charts": dict(sorted(self._charts.items())),
        }

    def _check_key(self, kind: str, key: str, taken: Mapping[str, object]) -> None:
        if not KEY.fullmatch(key):
            raise BadMeasurement(f"{kind} {key!r}: a key is lower-case words in hyphens")
        if key in taken:
            raise BadMeasurement(f"{kind} {key}: recorded twice")


# It reads the record of every installed file, which takes a second.
_providers = functools.cache(importlib.metadata.packages_distributions)


def distributions(modules: set[str]) -> set[str]:
    """Give the normalised names of the installed distributions that provide these modules."""
    providers = _providers()
    names = {normalised(name) for module in modules for name in providers.get(module, [])}
    return names - {"firedrill"}


def environment(servers: Mapping[str, str]) -> dict[str, Any]:
    """Describe the machine: what a reader needs to judge an absolute number."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "servers": dict(sorted(servers.items())),
    }


def read(path: Path) -> dict[str, Any]:
    """Read one recorded result.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what `write` writes; the message names the file.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    if not isinstance(result, dict) or set(result) != TOP:
        raise ValueError(f"{path}: a result has exactly the keys {', '.join(sorted(TOP))}")
    for kind in ("values", "charts"):
        for key in result[kind]:
            if not KEY.fullmatch(key):
                raise ValueError(f"{path}: {kind}: the key {key!r} is not words in hyphens")
    return result


def write(result: Mapping[str, Any], folder: Path) -> Path:
    """Write one result to `<folder>/<scenario>.json`, whole or not at all.

    Returns:
        The file.

    Raises:
        OSError: the folder cannot be written; the former file is untouched.
        ValueError: the result holds a number that JSON has no word for.
    """
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['scenario']}.json"
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    return path


def _specification(key: str, chart: object) -> dict[str, Any]:
    """Turn a chart into a checked specification, its data inline and without configuration."""
    import altair as alt
    import jsonschema

    try:
        spec = chart.to_dict() if isinstance(chart, alt.TopLevelMixin) else chart
        if isinstance(spec, dict):
            alt.Chart.from_dict(spec, validate=True)
    except jsonschema.ValidationError as error:
        place = "/".join(str(step) for step in error.absolute_path)
        raise BadMeasurement(f"chart {key}: no valid Vega-Lite: {place}: {error.message}") from None
    except (TypeError, ValueError) as error:
        raise BadMeasurement(f"chart {key}: no valid Vega-Lite: {error}") from error
    if not isinstance(spec, dict):
        raise BadMeasurement(f"chart {key}: {type(chart).__name__} is no altair chart and no dict")
    # Through JSON and back: what is recorded must be plain, and a copy.
    spec = dict(json.loads(json.dumps(spec, default=str, allow_nan=False)))
    # The theme configures. Altair names each table and keeps the rows apart: put them in place.
    spec.pop("config", None)
    _place(spec, spec.pop("datasets", {}))
    return spec


def _place(node: object, tables: Mapping[str, Any]) -> None:
    """Replace each `data: {name}` by the rows it names."""
    if isinstance(node, dict):
        data = node.get("data")
        if isinstance(data, dict) and data.get("name") in tables:
            node["data"] = {"values": tables[data["name"]]}
        for key, child in node.items():
            if key != "data":
                _place(child, tables)
    elif isinstance(node, list):
        for child in node:
            _place(child, tables)


def _rows(node: object) -> list[dict[str, Any]]:
    """Collect all inline rows of a specification; none at all when any data is elsewhere."""
    rows: list[dict[str, Any]] = []
    if isinstance(node, dict):
        data = node.get("data")
        if isinstance(data, dict):
            values = data.get("values")
            if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
                return []
            rows += values
        for key, child in node.items():
            if key != "data":
                rows += _rows(child)
    elif isinstance(node, list):
        for child in node:
            rows += _rows(child)
    return rows


def _colours(node: object) -> Iterator[str]:
    """Find colours that are written out, outside the data."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key not in {"data", "$schema"}:
                yield from _colours(child)
    elif isinstance(node, list):
        for child in node:
            yield from _colours(child)
    elif isinstance(node, str) and COLOUR.fullmatch(node):
        yield node


def _cpu_model() -> str:
    """Name the processor, as the system does."""
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, model = line.partition(":")
            if name.strip() == "model name":
                return model.strip()
    return platform.processor() or platform.machine()
