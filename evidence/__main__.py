"""Measure again and record: `python -m evidence [scenario ...]` (`make evidence`).

Each scenario is measured in a fresh process, one after the other. A measurement that fails, or is
interrupted, leaves the recorded result as it was.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from evidence import harness

ROOT = harness.ROOT
OWN = {"__init__", "__main__", "child", "harness", "hashing"}


class MeasurementFailed(RuntimeError):
    """One scenario could not be measured; the text says why."""


def scenarios(folder: Path) -> list[str]:
    """Give the ids of all scenarios that have a measuring script, sorted."""
    names = {path.stem for path in folder.glob("*.py")} - OWN
    return sorted(name.replace("_", "-") for name in names)


def main(arguments: Sequence[str], *, root: Path = ROOT) -> int:
    """Measure the named scenarios, or all, and give the exit status.

    Returns:
        0: all were measured and recorded; 1: at least one was not; 2: an unknown name; 130: Ctrl-C.
    """
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    known = scenarios(root / "evidence")
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        console.print(
            f"evidence: no measurements for {', '.join(unknown)}. "
            f"Mend: make evidence SCENARIO=<one of: {', '.join(known) or 'none yet'}>"
        )
        return 2
    failed = False
    try:
        for scenario in arguments or known:
            failed |= not _record(scenario, root, console)
    except KeyboardInterrupt:
        console.print("evidence: interrupted; the recorded result is unchanged")
        return 130
    return 1 if failed else 0


def _record(scenario: str, root: Path, console: Console) -> bool:
    """Measure one scenario and write its result; say whether that worked."""
    path = root / "evidence" / "results" / f"{scenario}.json"
    before: dict[str, Any] = {}
    if path.exists():
        # A result that cannot be read is about to be replaced by one that can.
        with contextlib.suppress(ValueError):
            before = harness.read(path)
    try:
        after = _measure(scenario, root, console, steps=_steps(before))
        harness.write(after, path.parent)
        harness.read(path)
    except (MeasurementFailed, OSError, ValueError) as error:
        console.print(f"evidence: {scenario} was not measured: {error}")
        fate = "is unchanged" if before or path.exists() else "was not written"
        console.print(f"evidence: {path.relative_to(root)} {fate}")
        return False
    Console().print(_table(before, after))
    return True


def _measure(scenario: str, root: Path, console: Console, *, steps: int | None) -> dict[str, Any]:
    """Run the measuring script in a fresh process, and give what it recorded.

    Raises:
        MeasurementFailed: it ended without a result.
    """
    read, write = os.pipe()
    words = TextColumn("{task.fields[words]}", style="dim")
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    bar = Progress(*columns, words, console=console, transient=True)
    result: dict[str, Any] | None = None
    error = ""
    with os.fdopen(read, encoding="utf-8") as events, bar:
        task = bar.add_task(scenario, total=steps, words="")
        with _child(["-m", "evidence.child", scenario, str(write)], write, root) as child:
            for event in map(json.loads, events):
                result = event.get("result", result)
                error = event.get("error", error)
                words, recorded = event.get("step", ("", False))
                bar.update(task, advance=int(recorded), words=words)
            child.wait()
    if result is None or child.returncode != 0:
        raise MeasurementFailed(error.strip() or f"its process ended with {child.returncode}")
    return result


@contextlib.contextmanager
def _child(arguments: list[str], descriptor: int, root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python in a process group of its own, which does not outlive the block."""
    try:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            pass_fds=[descriptor],
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    try:
        yield child
    finally:
        if child.poll() is None:
            # Asked first, so that it stops its servers; then made to.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGINT)
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _steps(before: Mapping[str, Any]) -> int | None:
    """Guess how many steps there will be: as many values and charts as last time."""
    count = len(before.get("values", {})) + len(before.get("charts", {}))
    return count or None


def _table(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    """Lay out what was measured beside what was recorded before."""
    table = Table(title=f"{after['scenario']}, measured {after['measured']}")
    table.add_column("key", overflow="fold")
    for name in ("value", "lowest", "highest", "before"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    former = before.get("values", {})
    for key, row in after["values"].items():
        low, high = row["spread"] or ("", "")
        old = former.get(key, {}).get("value", "")
        table.add_row(
            key, *(_short(number) for number in (row["value"], low, high, old)), row["unit"]
        )
    return table


def _short(number: float | str) -> str:
    return (
        number if isinstance(number, str) else f"{number:,.4g}" if number % 1 else f"{number:,.0f}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
