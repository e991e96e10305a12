"""Run everything, or what takes under a minute: `python -m lab.suite all|check`.

Every step runs even when an earlier one failed. The last step is pytest, whose summary is the
last line; what failed before is told right above it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from lab import browser, platform, report
from lab.cover import DATA

ROOT = Path(__file__).resolve().parent.parent
WORKERS = "2"
STOP_SECONDS = 15.0
"""How long an interrupted step may take to stop its servers."""


class Step(Protocol):
    """One step of the suite: a name, and a run that says whether it went well."""

    @property
    def name(self) -> str:
        """What it is called in the account."""
        ...

    def run(self) -> bool:
        """Run it, its output on the terminal."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A step that is a program; it went well when its status is 0."""

    name: str
    argv: Sequence[str]
    root: Path = ROOT

    def run(self) -> bool:
        """Run it in a process group of its own, which an interrupt ends as a whole."""
        child = subprocess.Popen(
            self.argv, cwd=self.root, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return child.wait() == 0
        except KeyboardInterrupt:
            _end(child)
            raise


@dataclass(frozen=True, slots=True)
class Together:
    """Programs that run side by side; what each said is told whole, in order."""

    commands: Sequence[Command]

    @property
    def name(self) -> str:
        """What they are called in the account."""
        return ", ".join(command.name for command in self.commands)

    def run(self) -> bool:
        """Run them all to their end."""
        good = True
        with ExitStack() as stack:
            started = []
            for command in self.commands:
                said = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
                child = subprocess.Popen(
                    command.argv, cwd=command.root, stdin=subprocess.DEVNULL,
                    stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                started.append((command, child, said))
            try:
                for command, child, said in started:
                    failed = child.wait() != 0
                    said.seek(0)
                    _say(said.read() + f"   {'FAILED' if failed else 'ok'}: {command.name}")
                    good = good and not failed
            except KeyboardInterrupt:
                for _, child, _ in started:
                    _end(child)
                raise
        return good


@dataclass(frozen=True, slots=True)
class Call:
    """A step that is a function; it went well when it gives true."""

    name: str
    function: Callable[[], bool]

    def run(self) -> bool:
        """Call it."""
        return self.function()


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process group: ask, then make."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=seconds)
        except ProcessLookupError:
            child.wait()
        except subprocess.TimeoutExpired:
            continue
        return


def run(steps: Sequence[Step]) -> bool:
    """Run all steps; before the last, give an account of the others.

    Returns:
        Whether all went well.
    """
    account: list[tuple[str, bool, float]] = []
    for number, step in enumerate(steps, start=1):
        if number == len(steps):
            _tell(account)
        _say(f"-- {step.name}")
        began = time.monotonic()
        good = step.run()
        account.append((step.name, good, time.monotonic() - began))
    return all(good for _, good, _ in account)


def _tell(account: Sequence[tuple[str, bool, float]]) -> None:
    """Give the account so far: seconds and outcome of each step."""
    _say("-- so far")
    for name, good, seconds in account:
        _say(f"{seconds:7.1f} s  {'ok    ' if good else 'FAILED'}  {name}")


def _say(line: str) -> None:
    print(line, flush=True)


def python(*arguments: str) -> list[str]:
    """Give a command of this environment's Python."""
    return [sys.executable, *arguments]


def lint() -> Step:
    """Give the step that reads the code without running it."""
    return Together(
        [
            Command("ruff check", python("-m", "ruff", "check", "--quiet")),
            Command("ruff format", python("-m", "ruff", "format", "--check", "--quiet")),
            Command("catalog check", python("-m", "catalog", "check")),
            Command("mypy", python("-m", "mypy", "--sqlite-cache", "--no-error-summary")),
        ]
    )


def tests(name: str, *arguments: str) -> Command:
    """Give a step that is a run of pytest."""
    return Command(name, python("-m", "pytest", "--quiet", *arguments))


def check() -> list[Step]:
    """Give the steps of `make check`."""
    fast = "not (slow or serial or browser or server)"
    # The tests of a scenario, and of the runner, run while one works on it: pytest tests/run.
    others = ("--ignore=tests/scenarios", "--ignore=tests/run")
    return [lint(), tests("fast tests", "-n", WORKERS, "-m", fast, *others)]


def everything(notes: Path) -> list[Step]:
    """Give the steps of `make test`; each pytest run leaves its outcomes in the folder `notes`."""
    # By default a worker is sent the first eighth of the tests, all of the browser's among them,
    # and works on it long after the other has done the rest.
    share = ("-n", WORKERS, "--dist", "worksteal")
    parallel = tests(
        "tests, in parallel", *share, "-m", "not serial", "--cover-snippets",
        f"--outcomes={notes / 'parallel.json'}",
    )  # fmt: skip
    serial = tests("tests that run alone", "-m", "serial", f"--outcomes={notes / 'serial.json'}")
    return [
        Call("browser", _browser),
        lint(),
        parallel,
        Call("branch coverage of snippets/", _coverage),
        serial,
    ]


def _browser() -> bool:
    try:
        _say(str(browser.ensure()))
    except browser.BrowserUnavailable as error:
        _say(f"browser: {error}")
        return False
    return True


def _coverage() -> bool:
    """Combine what the workers measured and hold it against the promise of every branch."""
    data = f"--data-file={DATA}"
    combined = Command("combine", python("-m", "coverage", "combine", "--quiet", data))
    told = Command("report", python("-m", "coverage", "report", data))
    return combined.run() and told.run()


def _all() -> bool:
    """Run `make test`, and record what it verified."""
    from lab import servers

    notes = ROOT / "build" / "outcomes"
    for left in (notes, (ROOT / DATA).parent):
        shutil.rmtree(left, ignore_errors=True)
    before = report.hashes(ROOT)
    good = run(everything(notes))
    files = {name: notes / f"{name}.json" for name in ("parallel", "serial")}
    if all(file.is_file() for file in files.values()):
        parts: dict[str, report.Notes] = {
            name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()
        }
        outcomes = report.combine(part["modules"] for part in parts.values())
        result = report.verified(outcomes, before, servers.versions(), ROOT)
        report.write(result | report.totals(parts), ROOT / "build" / "verified.json")
    return good


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run one of the two suites.

    Returns:
        0: everything went well; 1: something failed; 2: no such suite; 130: interrupted.
    """
    suites: dict[str, Callable[[], bool]] = {"all": _all, "check": lambda: run(check())}
    if len(arguments) != 1 or arguments[0] not in suites:
        print("suite: say which. Mend: make test, or make check", file=sys.stderr)
        return 2
    # SIGINT too: a shell's background job ignores it, and so would every test of an interrupt.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    for line in platform.profile():
        _say(line)
    try:
        return 0 if suites[arguments[0]]() else 1
    except KeyboardInterrupt:
        _say("interrupted: everything was stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
