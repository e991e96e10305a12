"""The exercise of a page: what a reader is to break, hints one at a time, a check in Python.

It lives with the tests of its scenario, in `tests/scenarios/<id>/break_it/`: `task.md` (the task,
then a numbered list of hints), `start.py` (what the reader begins with), `check.py` (whose `check`
judges the reader's module) and `solution.py`, which proves that it can be done and is not shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.run.bundle import Bundle, bundle

PARTS = ("task.md", "start.py", "check.py", "solution.py")
_HINT = re.compile(r"^\d+\. ")


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise.

    Attributes:
        folder: where it lives, relative to the root of the repository.
        task: what to do, in Markdown.
        hints: what helps, in Markdown, in order.
        start: what the reader begins with.
        bundle: what the page needs to judge.
        missing: which of its files are not there.
    """

    folder: str
    task: str
    hints: tuple[str, ...]
    start: str
    bundle: Bundle | None
    missing: tuple[str, ...]

    @property
    def checker(self) -> str:
        """Give the file that judges."""
        return f"{self.folder}/check.py"


def folder(scenario: str) -> str:
    """Give where the exercise of a scenario is: `tests/scenarios/rate_limiting/break_it`.

    Args:
        scenario: its id in Python, with underscores.
    """
    return f"tests/scenarios/{scenario}/break_it"


def served(scenario: str) -> str:
    """Give the staged path of an exercise: `assets/run/exercises/rate-limiting.json`."""
    return f"assets/run/exercises/{scenario}.json"


def read_exercise(root: Path, scenario: str) -> Exercise | None:
    """Read the exercise of a scenario; None when it has none.

    Args:
        root: root of the repository.
        scenario: its id in Python, with underscores.
    """
    place = folder(scenario)
    if not (root / place).is_dir():
        return None
    missing = tuple(name for name in PARTS if not (root / place / name).is_file())
    if missing:
        return Exercise(place, "", (), "", None, missing)
    task, hints = _parts((root / place / "task.md").read_text(encoding="utf-8"))
    found = bundle(root, [f"{place}/start.py", f"{place}/check.py"])
    start = (root / place / "start.py").read_text(encoding="utf-8")
    return Exercise(place, task, hints, start, found, ())


def _parts(text: str) -> tuple[str, tuple[str, ...]]:
    """Split a task from its hints."""
    task: list[str] = []
    hints: list[str] = []
    for line in text.strip().split("\n"):
        if _HINT.match(line):
            hints.append(_HINT.sub("", line))
        elif hints:
            hints[-1] += f"\n{line.strip()}"
        else:
            task.append(line)
    return "\n".join(task).strip(), tuple(hint.strip() for hint in hints)


def folded(hints: tuple[str, ...]) -> Iterator[str]:
    """Give each hint inside the one before: a reader sees the next after the last."""
    for depth, hint in enumerate(hints):
        indent = "    " * depth
        yield f'{indent}??? tip "{"Another hint" if depth else "A hint"}"'
        yield from (f"{indent}    {line}" for line in hint.split("\n"))
        yield ""
