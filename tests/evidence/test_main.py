"""`make evidence` records a whole measurement, or leaves everything as it was."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evidence.harness import is_stale, read
from lab.eventually import eventually

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "evidence"]
FAILING = "def measure(run):\n    run.value('half', 1, 'unit')\n    raise RuntimeError('no luck')\n"
WAITING = """
import pathlib, time
def measure(run):
    run.value('half', 1, 'unit')
    pathlib.Path('measuring').touch()
    time.sleep(60)
"""


def measure(root: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *names], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_scenario_is_measured_and_recorded(repository: Path) -> None:
    run = measure(repository, "toy-sums")
    assert run.returncode == 0, run.stderr
    assert "one-call" in run.stdout
    result = read(repository / "evidence/results/toy-sums.json")
    assert result["values"]["sum"]["value"] == 3
    assert set(result["values"]) == {"sum", "one-call"}
    assert set(result["charts"]) == {"sums"}
    assert is_stale(result, repository) == []


def test_a_failed_measurement_leaves_the_recorded_result(repository: Path) -> None:
    results = repository / "evidence/results"
    assert measure(repository, "toy-sums").returncode == 0
    before = (results / "toy-sums.json").read_bytes()
    (repository / "evidence/toy_sums.py").write_text(FAILING)
    run = measure(repository)
    assert run.returncode == 1
    assert "no luck" in run.stderr
    assert "evidence/results/toy-sums.json is unchanged" in run.stderr
    assert [path.name for path in results.iterdir()] == ["toy-sums.json"]
    assert (results / "toy-sums.json").read_bytes() == before


def test_one_failure_does_not_keep_the_others_from_being_measured(repository: Path) -> None:
    (repository / "evidence/a_failure.py").write_text(FAILING)
    run = measure(repository)
    assert run.returncode == 1
    assert "a-failure was not measured" in run.stderr
    assert [path.name for path in (repository / "evidence/results").iterdir()] == ["toy-sums.json"]


def test_a_bad_measurement_is_told_without_a_traceback(repository: Path) -> None:
    (repository / "evidence/toy_sums.py").write_text(
        "def measure(run):\n    run.value('Bad', 1, 'unit')\n"
    )
    run = measure(repository)
    assert run.returncode == 1
    assert "a key is lower-case words in hyphens" in run.stderr
    assert "Traceback" not in run.stderr


def test_an_unknown_scenario_is_answered_with_the_known_ones(repository: Path) -> None:
    run = measure(repository, "toy-summs")
    assert run.returncode == 2
    assert "no measurements for toy-summs" in run.stderr
    assert "one of: toy-sums" in run.stderr


def test_an_interrupt_leaves_nothing_behind(repository: Path) -> None:
    (repository / "evidence/toy_sums.py").write_text(WAITING)
    run = subprocess.Popen(
        COMMAND, cwd=repository, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    eventually((repository / "measuring").exists, timeout=30)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "interrupted; the recorded result is unchanged" in told
    assert "Traceback" not in told
    assert not (repository / "evidence/results").exists()
