"""What the last full run proved, for the badges: `build/verified.json`.

As a pytest plugin it notes the outcome of every test (`--outcomes=FILE`). After a full run
`lab.suite` combines the notes of its parts and calls `write`.
"""

import ast
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform as machine
import re
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import pytest

from lab import platform

SNIPPET = re.compile(r"\bsnippets[/.]([a-z0-9_]+)[/.]([a-z0-9_]+)\b")

Outcomes = dict[str, dict[str, int]]
"""For each test module, relative to the root: how many tests passed, and how many did not."""


class Notes(TypedDict):
    """What one run of pytest leaves behind.

    Attributes:
        modules: the outcomes.
        left_out: how many tests the platform profile deselected, by what they need.
        counted: the sums of the whole numbers that passed tests recorded (`record_property`).
    """

    modules: Outcomes
    left_out: dict[str, int]
    counted: dict[str, int]


class Recorder:
    """Notes how many tests of each module passed and failed, and writes it at the end."""

    def __init__(self, path: Path, left_out: Mapping[str, int]) -> None:
        self._path = path
        self._left_out = left_out
        self._counted: dict[str, int] = {}
        self._bad: set[str] = set()
        self._good: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of a test: it has passed when its call did, and nothing around it failed.

        A skipped test has not passed, and nobody may take it for verified.
        """
        if report.when == "call" and report.passed:
            self._good.add(report.nodeid)
            for name, number in report.user_properties:
                if isinstance(number, int):
                    self._counted[name] = self._counted.get(name, 0) + number
        elif not report.passed:
            self._bad.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that cannot be read."""
        if report.failed:
            self._bad.add(report.nodeid)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the notes; an interrupted run leaves none."""
        if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            outcomes: Outcomes = {}
            for name, tests in (("passed", self._good - self._bad), ("failed", self._bad)):
                for test in tests:
                    module = outcomes.setdefault(
                        test.partition("::")[0], {"passed": 0, "failed": 0}
                    )
                    module[name] += 1
            self._path.parent.mkdir(parents=True, exist_ok=True)
            notes: Notes = {
                "modules": outcomes,
                "left_out": platform.in_words(self._left_out),
                "counted": self._counted,
            }
            self._path.write_text(json.dumps(notes), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--outcomes`."""
    parser.addoption("--outcomes", metavar="FILE", help="note how many tests of each module passed")


def pytest_configure(config: pytest.Config) -> None:
    """Start noting, in the process that hears of every test."""
    path = config.getoption("--outcomes")
    if path and not hasattr(config, "workerinput"):
        left_out = config.stash.setdefault(platform.DESELECTED, {})
        config.pluginmanager.register(Recorder(Path(path).absolute(), left_out))


def hashes(root: Path) -> dict[str, str]:
    """Give the SHA-256 of every snippet, by its path relative to `root`."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "snippets").glob("*/*.py"))
    }


def covered(source: str) -> set[str]:
    """Give the snippets that a test module imports, or names in a string, as paths.

    Read from the syntax tree; nothing is imported.

    Raises:
        SyntaxError: `source` is no Python.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    found = (match for name in names for match in SNIPPET.finditer(name))
    return {f"snippets/{match[1]}/{match[2]}.py" for match in found}


def combine(parts: Iterable[Outcomes]) -> Outcomes:
    """Add the outcomes of several runs together, module by module."""
    total: Outcomes = {}
    for part in parts:
        for module, counts in part.items():
            sums = total.setdefault(module, {"passed": 0, "failed": 0})
            for name, count in counts.items():
                sums[name] += count
    return total


def totals(parts: Mapping[str, Notes]) -> dict[str, Any]:
    """Count what a whole run did, for the page that says how the site is tested.

    Args:
        parts: the notes of each run of pytest, by its name.

    Returns:
        `tests`: of each part, how many passed and failed; `left_out`: how many tests this platform
        cannot run, by what they need; `counted`: what tests counted themselves.
    """
    tests = {
        name: {
            kind: sum(module[kind] for module in notes["modules"].values())
            for kind in ("passed", "failed")
        }
        for name, notes in parts.items()
    }
    left_out: dict[str, int] = {}
    counted: dict[str, int] = {}
    for notes in parts.values():
        for need, number in notes["left_out"].items():
            # Every part collects the same tests before it selects its own.
            left_out[need] = max(number, left_out.get(need, 0))
        for name, number in notes["counted"].items():
            counted[name] = counted.get(name, 0) + number
    return {
        "tests": tests,
        "left_out": dict(sorted(left_out.items())),
        "counted": dict(sorted(counted.items())),
    }


def verified(
    outcomes: Outcomes, before: Mapping[str, str], servers: Mapping[str, str], root: Path
) -> dict[str, Any]:
    """Say which snippets the run has verified.

    A snippet is verified when at least one test ran in the modules that import or name it, all of
    them passed, and the file is still what it was when the run began.

    Args:
        outcomes: of the whole run.
        before: `hashes(root)` from the beginning of the run.
        servers: versions of the real servers, by name.
        root: the repository's root.
    """
    users: dict[str, list[str]] = {}
    for module in sorted(outcomes):
        if (path := root / module).is_file():
            # A module that is no Python has failed to collect, and speaks for no snippet.
            with contextlib.suppress(SyntaxError):
                for snippet in covered(path.read_text(encoding="utf-8")):
                    users.setdefault(snippet, []).append(module)
    now = hashes(root)
    files: dict[str, dict[str, Any]] = {}
    for snippet, modules in sorted(users.items()):
        passed = sum(outcomes[module]["passed"] for module in modules)
        failed = sum(outcomes[module]["failed"] for module in modules)
        same = snippet in now and now[snippet] == before.get(snippet)
        if passed and not failed and same:
            files[snippet] = {"sha256": now[snippet], "tests": passed, "modules": modules}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": machine.python_version(),
        "platform": platform.describe(),
        "servers": dict(sorted(servers.items())),
        "packages": packages(root),
        "files": files,
    }


def packages(root: Path) -> dict[str, str]:
    """Give the installed versions of what the snippets and the servers' clients come from."""
    groups = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [line for group in ("snippets", "lab") for line in groups["dependency-groups"][group]]
    names = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in wanted}
    found: dict[str, str] = {}
    for name in sorted(names):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write(report: Mapping[str, Any], path: Path) -> None:
    """Write the report, whole or not at all.

    Raises:
        OSError: the folder cannot be written; the former report is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".verified-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2, ensure_ascii=False)
            file.write("\n")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
