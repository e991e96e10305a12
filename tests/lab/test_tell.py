"""`make drill` tells a failure and its fix, and nothing of the machinery, unless one breaks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import drill
from lab.eventually import eventually

pytestmark = pytest.mark.slow

DRILL = '''
"""Drills of the toy."""
import warnings

def test_doubling_holds(story):
    """A window admits twice its limit.

    More words, which are not told.
    """
    print("noise")
    story.scene("two bursts", requests=2_000)
    story.naive("the window admits both", admitted=200, ratio=2.0)
    story.good("the bucket admits one", admitted=100)
'''
BROKEN = '''

def test_broken(story):
    """The lock is lost."""
    story.naive("lost")
    assert 200 == 100, "admitted too many"
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "tests" / "scenarios" / "toy_limits"
    folder.mkdir(parents=True)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["lab.story"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (folder / "test_drill.py").write_text(DRILL)
    (tmp_path / "tests" / "scenarios" / "no_drills").mkdir()
    return tmp_path


def told(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import pathlib, sys; from lab import drill;"
        f"sys.exit(drill.main(sys.argv[1:], pathlib.Path({str(root)!r})))"
    )
    base = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=root,
        env={**base, "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def test_the_story_is_told_in_order_with_numbers_and_without_noise(root: Path) -> None:
    run = told(root, "toy-limits")
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.strip() for line in run.stdout.splitlines() if line.strip("- ")][1:-1] == [
        "1. A window admits twice its limit.",
        "two bursts  requests 2,000",
        "✗ the window admits both  admitted 200, ratio 2",
        "✓ the bucket admits one  admitted 100",
    ]
    assert "1 drill: each naive version failed, each fix held" in run.stdout
    assert "\x1b" not in run.stdout


def test_a_drill_that_does_not_hold_shows_pytests_own_text(root: Path) -> None:
    path = root / "tests/scenarios/toy_limits/test_drill.py"
    path.write_text(path.read_text() + BROKEN)
    run = told(root, "toy-limits")
    assert run.returncode == 1
    assert "admitted too many" in run.stdout
    assert "1 of 2 drills did not hold" in run.stdout


def test_a_module_that_cannot_be_read_is_shown(root: Path) -> None:
    (root / "tests/scenarios/toy_limits/test_drill.py").write_text("import no_such_module\n")
    run = told(root, "toy-limits")
    assert run.returncode == 1
    assert "no_such_module" in run.stdout


@pytest.mark.parametrize("arguments", [[], [""], ["toy-limit"], ["no-drills"]])
def test_without_a_known_scenario_one_line_lists_them(root: Path, arguments: list[str]) -> None:
    run = told(root, *arguments)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "one of: toy-limits" in run.stderr
    assert run.stdout == ""


def test_a_narrow_terminal_wraps_and_loses_nothing(root: Path) -> None:
    run = told(root, "toy-limits", COLUMNS="24")
    assert max(len(line) for line in run.stdout.splitlines()) <= 24
    assert "admitted 200" in " ".join(run.stdout.split())


def test_a_terminal_without_unicode_is_spared_it(root: Path) -> None:
    run = told(root, "toy-limits", PYTHONIOENCODING="ascii")
    assert run.returncode == 0
    assert run.stdout.isascii()
    assert "x the window admits both" in run.stdout


def test_numbers_are_spelt_with_their_names() -> None:
    given: dict[str, float | str] = {"a_b": 1234567, "c": 0.12345, "d": 12345.6, "e": "half"}
    assert drill.numbers(given) == "a b 1,234,567, c 0.123, d 12,346, e half"


def test_an_interrupt_says_one_line(root: Path) -> None:
    (root / "tests/scenarios/toy_limits/test_drill.py").write_text(
        "import pathlib, time\n"
        "def test_waits(story):\n"
        "    pathlib.Path('waiting').touch()\n"
        "    time.sleep(60)\n"
    )
    code = (
        "import pathlib, sys; from lab import drill;"
        f"sys.exit(drill.main(['toy-limits'], pathlib.Path({str(root)!r})))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    eventually((root / "waiting").exists, timeout=30)
    running.send_signal(signal.SIGINT)
    told, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert told.splitlines()[-1] == "drill: interrupted"
    assert "Traceback" not in told
