"""The suite runs every step, fails when one fails, and ends with pytest's own last word."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import suite
from lab.eventually import eventually
from lab.suite import Call, Command, Step, Together, run

ROOT = Path(__file__).resolve().parents[2]


def step(name: str, code: str, root: Path = ROOT) -> Command:
    return Command(name, [sys.executable, "-c", code], root)


def test_all_good_is_good(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([step("one", "pass"), step("two", "print('3 passed in 1s')")])
    assert capfd.readouterr().out.splitlines()[-1] == "3 passed in 1s"


def test_a_failure_does_not_stop_the_rest_and_is_told_above_the_last_run(
    capfd: pytest.CaptureFixture[str],
) -> None:
    steps: list[Step] = [
        step("lint", "import sys; sys.exit(1)"),
        Call("browser", lambda: True),
        step("tests", "print('3 passed in 1s')"),
    ]
    assert not run(steps)
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == "3 passed in 1s"
    told = lines[lines.index("-- so far") + 1 :]
    assert told[0].split()[2:] == ["FAILED", "lint"]
    assert told[1].split()[2:] == ["ok", "browser"]


def test_together_each_says_its_own_whole_and_all_must_be_good(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The first can end only after the second has begun."""
    seen = tmp_path / "seen"
    first = "import pathlib, time\nwhile not pathlib.Path('seen').exists(): time.sleep(0.01)"
    steps = [
        step("first", f"{first}\nprint('waited')", tmp_path),
        step("second", "import pathlib; pathlib.Path('seen').touch(); print(1); 1 / 0", tmp_path),
    ]
    both = Together(steps)
    assert both.name == "first, second"
    assert not both.run()
    assert seen.exists()
    lines = capfd.readouterr().out.splitlines()
    assert lines[:3] == ["waited", "   ok: first", "1"]
    assert lines[-2:] == ["ZeroDivisionError: division by zero", "   FAILED: second"]
    assert Together(steps[:1]).run()


def test_a_failure_of_the_last_step_fails_the_suite() -> None:
    assert not run([step("one", "pass"), step("two", "import sys; sys.exit(5)")])


@pytest.mark.slow
@pytest.mark.parametrize("before", ["SIG_DFL", "SIG_IGN"])
def test_an_interrupt_stops_the_whole_group_and_says_one_line(tmp_path: Path, before: str) -> None:
    """Also where it was started to ignore one, as a shell starts a job in the background."""
    # A step with a child of its own, as pytest has: both must be gone.
    grandchild = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(60)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    code = (
        f"import signal; signal.signal(signal.SIGINT, signal.{before});"
        "import sys, pathlib; from lab import suite;"
        f"step = suite.Command('s', [sys.executable, '-c', {child!r}], pathlib.Path('.'));"
        "suite.check = lambda: [step]; suite.platform.profile = list;"
        "sys.exit(suite.main(['check']))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    eventually((tmp_path / "started").exists, timeout=30)
    running.send_signal(signal.SIGINT)
    # The pipe ends only when the last process that holds it is gone.
    told, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert told.splitlines()[-1] == "interrupted: everything was stopped"
    assert "Traceback" not in told


def test_pytest_is_the_last_step_of_both_suites(tmp_path: Path) -> None:
    for steps in (suite.check(), suite.everything(tmp_path)):
        last = steps[-1]
        assert isinstance(last, Command)
        assert last.argv[1:3] == ["-m", "pytest"]


def test_the_two_runs_of_make_test_leave_no_test_out(tmp_path: Path) -> None:
    marks = [
        argument
        for step in suite.everything(tmp_path)
        if isinstance(step, Command) and "pytest" in step.argv
        for argument in step.argv[step.argv.index("-m", 2) + 1 :][:1]
    ]
    assert sorted(marks) == ["not serial", "serial"]


@pytest.mark.parametrize("arguments", [[], ["some"], ["all", "check"]])
def test_an_unknown_suite_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite.main(arguments) == 2
    assert "make test, or make check" in capsys.readouterr().err


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    lines = [line for line in script.read_text().splitlines() if line and line[0] != "#"]
    assert lines == [
        "set -euo pipefail",
        'cd "$(dirname "${BASH_SOURCE[0]}")/.."',
        "exec make test </dev/null",
    ]
    assert script.stat().st_mode & 0o111 == 0o111
