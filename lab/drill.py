"""Tell a failure and its fix, live: `python -m lab.drill <scenario>` (`make drill`).

Runs the drills of one scenario on real servers. What each drill tells through its `story` is
printed the moment it happens; pytest itself is not heard unless a drill does not hold.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from lab.story import TELLER, Line, Number, Teller

ROOT = Path(__file__).resolve().parent.parent
MARKS = {"scene": " ", "naive": "✗", "good": "✓"}
ASCII_MARKS = {"scene": " ", "naive": "x", "good": "+"}
STYLES = {"scene": "dim", "naive": "red", "good": "green"}


def scenarios(root: Path = ROOT) -> list[str]:
    """Give the ids of all scenarios that have drills, sorted."""
    found = (root / "tests" / "scenarios").glob("*/test_drill.py")
    return sorted(path.parent.name.replace("_", "-") for path in found)


class Narrator(Teller):
    """Prints the story of each drill to a terminal, and is a pytest plugin that follows the run.

    Args:
        file: where to print; colours only when it is a terminal and `NO_COLOR` is not set.
    """

    def __init__(self, file: TextIO) -> None:
        self.console = Console(file=file, highlight=False, markup=False)
        utf8 = (file.encoding or "").lower().replace("-", "") == "utf8"
        self._marks = MARKS if utf8 else ASCII_MARKS
        self.held = 0
        self.broken: list[str] = []
        self._number = 0

    def line(self, line: Line) -> None:
        """Print one line of the story, its numbers after the words."""
        words = Text(line.text, style=STYLES[line.kind])
        if line.numbers:
            words.append("  ")
            words.append(numbers(line.numbers), style="bold" if line.kind != "scene" else "")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=4, justify="right", style=STYLES[line.kind])
        grid.add_column(overflow="fold")
        grid.add_row(self._marks[line.kind], words)
        self.console.print(grid)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Give the drills their teller."""
        config.stash[TELLER] = self

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Print the title: what fails, in the words of the drill's docstring."""
        function = getattr(item, "function", None)
        title = (getattr(function, "__doc__", None) or item.name).strip().splitlines()[0]
        self._number += 1
        self.console.print(Text(f"\n{self._number}. {title}", style="bold"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count, and keep what pytest says about a drill that does not hold."""
        if report.failed:
            self.broken.append(f"{report.nodeid} ({report.when})\n{report.longreprtext}")
        elif report.when == "call":
            self.held += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what pytest says about a module that cannot be read."""
        if report.failed:
            self.broken.append(f"{report.nodeid}\n{report.longreprtext}")


def numbers(given: Mapping[str, Number]) -> str:
    """Spell numbers by name in one line: `admitted 200, limit 100`."""
    return ", ".join(f"{name.replace('_', ' ')} {_short(number)}" for name, number in given.items())


def _short(number: Number) -> str:
    if isinstance(number, float):
        return f"{number:,.3g}" if abs(number) < 1000 else f"{number:,.0f}"
    return f"{number:,}" if isinstance(number, int) else number


def tell(module: Path, file: TextIO) -> int:
    """Run the drills of one module and tell them.

    Returns:
        0: all held; 1: at least one did not, or there was none; 130: Ctrl-C.
    """
    narrator = Narrator(file)
    console = narrator.console
    console.print(Rule(module.parent.name.replace("_", " "), characters="-", style="dim"))
    began = time.monotonic()
    # Without its terminal reporter pytest says nothing; the options of that plugin go with it.
    arguments = ["-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=--strict-markers"]
    # This very module has imported lab.story, which holds no assertion to rewrite.
    arguments += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*arguments, str(module)], plugins=[narrator])
    seconds = time.monotonic() - began
    if status == pytest.ExitCode.INTERRUPTED and not narrator.broken:
        console.print("\ndrill: interrupted")
        return 130
    for text in narrator.broken:
        console.print(Rule("did not hold", characters="-", style="red"))
        console.print(text, soft_wrap=True)
    total = narrator.held + len(narrator.broken)
    console.print(Rule(characters="-", style="dim"))
    if status != pytest.ExitCode.OK or not total:
        console.print(f"{len(narrator.broken)} of {total} drills did not hold, in {seconds:.1f} s")
        return 1
    drills = "1 drill" if total == 1 else f"{total} drills"
    console.print(f"{drills}: each naive version failed, each fix held, in {seconds:.1f} s")
    return 0


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Tell the drills of the scenario named, and give the exit status (2: unknown or missing)."""
    known = scenarios(root)
    name = arguments[0] if len(arguments) == 1 else ""
    if name not in known:
        wrong = f"no drills for {name!r}" if name else "name one scenario"
        print(
            f"drill: {wrong}. Mend: make drill SCENARIO=<one of: {', '.join(known) or 'none yet'}>",
            file=sys.stderr,
        )
        return 2
    module = root / "tests" / "scenarios" / name.replace("-", "_") / "test_drill.py"
    # pytest captures the descriptors 1 and 2: the story goes out by one of its own.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding) as file:
        return tell(module, file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
