"""Memory is measured in bytes, of the right process, and of nothing else."""

import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from lab.memory import ChildFailed, peak_rss, traced_peak

MIB = 1024 * 1024


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_peak_rss_finds_memory_that_was_freed_again() -> None:
    peak = peak_rss(python(f"data = b'x' * {64 * MIB}; del data"))
    assert peak == pytest.approx(64 * MIB, abs=3 * MIB)


def test_peak_rss_of_nothing_is_nothing() -> None:
    assert peak_rss(python("pass")) < MIB


def test_peak_rss_does_not_count_the_parent() -> None:
    ballast = b"x" * (64 * MIB)
    assert peak_rss(python("pass"), baseline=False) < 32 * MIB
    assert len(ballast) == 64 * MIB


def test_peak_rss_without_baseline_includes_the_interpreter() -> None:
    assert peak_rss(python("pass"), baseline=False) > 4 * MIB


@pytest.mark.linux
def test_peak_rss_agrees_with_the_kernels_high_water_mark(tmp_path: Path) -> None:
    out = tmp_path / "status"
    code = (
        f"data = b'x' * {32 * MIB}; import shutil; shutil.copy('/proc/self/status', {str(out)!r})"
    )
    peak = peak_rss(python(code), baseline=False)
    (line,) = (line for line in out.read_text().splitlines() if line.startswith("VmHWM:"))
    assert peak == pytest.approx(int(line.split()[1]) * 1024, abs=MIB)


def test_peak_rss_gives_the_child_the_environment_it_is_told() -> None:
    code = "import os, sys; sys.exit(os.environ.get('FIREDRILL_X') != 'yes')"
    peak_rss(python(code), env={**os.environ, "FIREDRILL_X": "yes"})
    with pytest.raises(ChildFailed):
        peak_rss(python(code), env={k: v for k, v in os.environ.items() if k != "FIREDRILL_X"})


def test_a_child_that_fails_shows_its_last_lines() -> None:
    with pytest.raises(ChildFailed, match=r"(?s)status 3.*out of luck"):
        peak_rss(python("import sys; print('out of luck', file=sys.stderr); sys.exit(3)"))


def test_a_child_that_is_killed_has_no_peak() -> None:
    with pytest.raises(ChildFailed, match="status -9"):
        peak_rss(python("import os; os.kill(os.getpid(), 9)"))


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        peak_rss(["no-such-command"])


def test_an_empty_command_is_refused() -> None:
    with pytest.raises(ValueError, match="argv is empty"):
        peak_rss([])


def test_traced_peak_counts_what_was_freed_again_but_not_what_was_there() -> None:
    before = b"x" * MIB

    def job() -> None:
        data = b"x" * (8 * MIB)
        del data

    assert traced_peak(job) == pytest.approx(8 * MIB, abs=MIB // 8)
    assert len(before) == MIB


def test_traced_peak_stops_tracing_when_the_job_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        traced_peak(lambda: 1 // 0)
    assert not tracemalloc.is_tracing()


def test_traced_peak_refuses_to_nest() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RuntimeError, match="already tracing"):
            traced_peak(lambda: None)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
