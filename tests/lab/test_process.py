"""Children are known to the reaper, and SIGKILL means dead."""

from __future__ import annotations

import signal
import sys

import pytest

from lab import reap
from lab.process import kill9, spawn


def test_spawn_gives_output_and_variables() -> None:
    code = "import os; print(os.environ['COLOUR'])"
    with spawn([sys.executable, "-c", code], env={"COLOUR": "red"}) as child:
        out, _ = child.communicate(timeout=30)
    assert (out, child.returncode) == ("red\n", 0)


def test_spawn_without_capture_writes_where_the_test_writes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with spawn(["echo", "hello"], capture=False) as child:
        child.wait(30)
    assert capfd.readouterr().out == "hello\n"


def test_leaving_the_block_kills_the_child_and_its_children() -> None:
    with spawn(["sh", "-c", "sleep 600 & echo $!; wait"]) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert reap.born(grandchild) is not None
    assert child.returncode == -signal.SIGKILL
    assert reap.born(grandchild) is None


def test_kill9_returns_when_the_process_is_dead() -> None:
    with spawn(["sleep", "600"]) as child:
        kill9(child.pid)
        assert reap.born(child.pid) is None
        assert child.wait(5) == -signal.SIGKILL


def test_kill9_of_nobody_says_so() -> None:
    with pytest.raises(ProcessLookupError):
        kill9(2**22 + 1)
