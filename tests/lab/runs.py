"""Test runs inside a test: pytest in a process of its own, to be watched, interrupted, killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import reap
from lab.process import Child, spawn


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A temporary folder that every user may pass through, for a run's TMPDIR."""
    folder = Path(tempfile.mkdtemp(prefix="lab-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def write(folder: Path, source: str) -> Path:
    """Write a test file; its functions may use every fixture of `lab.fixtures`."""
    path = folder / "test_inner.py"
    path.write_text(textwrap.dedent(source))
    return path


def command(path: Path, *arguments: str) -> list[str]:
    plugins = ["-p", "lab.fixtures", "-p", "no:cacheprovider"]
    if "-n" in arguments:
        plugins += ["-p", "xdist"]
    where = [f"--rootdir={path.parent}", "-c", os.devnull]
    return [sys.executable, "-m", "pytest", "-q", *plugins, *where, *arguments, str(path)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("FIREDRILL_", "PYTEST_"))}
    own = {
        "TMPDIR": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # starts in half the time
    }
    return {**keep, **own, **more}


def finish(path: Path, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run to the end; standard output and error together in `stdout`."""
    return subprocess.run(
        command(path, *arguments),
        cwd=path.parent,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def start(path: Path, *arguments: str, env: Mapping[str, str]) -> Child:
    """Start a run in a session of its own, as a terminal does."""
    return spawn(command(path, *arguments), env=env, cwd=path.parent)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Return when `condition()` holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def living(identities: Mapping[int, str]) -> set[int]:
    """Those of the processes (id -> start) that still live."""
    return {pid for pid, born in identities.items() if reap.born(pid) == born}


def identities(pid: int) -> dict[int, str]:
    """A process with all its descendants, and all that carry their run's mark: id -> start."""
    now = reap.table()
    return {p: now[p].born for p in reap.family([pid], now)}
