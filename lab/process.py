"""Child processes that a test starts, pauses and kills, and that never outlive the run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from lab import reap, reaper


class Child(subprocess.Popen[str]):
    """A child process in text mode; leaving its `with` block kills it and its descendants."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill what still runs, then close the pipes and collect the exit code."""
        family = reap.family([self.pid]) if self.poll() is None else ()
        killed = {pid: reap.born(pid) for pid in family}
        # The child first: one that waits for its own children would end by itself after them.
        for pid in sorted(killed, key=lambda pid: pid != self.pid):
            reap.send(pid, signal.SIGKILL)
        super().__exit__(kind, value, traceback)
        # A signal is sent before it is obeyed, and whoever comes next counts on a free port.
        for pid, since in killed.items():
            _dead(pid, since)
        reaper.current().disown(self.pid)


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    capture: bool = True,
) -> Child:
    """Start a child that the reaper ends if this process dies, also by kill -9.

    Args:
        argv: the program and its arguments.
        env: variables over this process's own.
        cwd: its working directory; this process's when None.
        capture: put standard output and error together into the pipe `stdout`; False lets the
            child write where this process writes.

    Raises:
        OSError: the program cannot be run.
    """
    run = reaper.current()
    child = Child(
        [str(word) for word in argv],
        env={**os.environ, **(env or {}), reap.MARK: str(run.folder)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
        text=True,
        start_new_session=True,
    )
    run.own(child.pid)
    return child


def kill9(pid: int) -> None:
    """SIGKILL one process, as the kernel's out-of-memory killer does; returns when it is dead.

    The exit code stays with whoever started it (`wait` on its `Popen`).

    Raises:
        ProcessLookupError: there is no such process.
        TimeoutError: it lives on after five seconds (it hangs in the kernel).
    """
    since = reap.born(pid)
    os.kill(pid, signal.SIGKILL)
    _dead(pid, since)


def _dead(pid: int, since: str | None) -> None:
    """Return when the process that began at `since` is dead; its number may be another's by now."""
    until = time.monotonic() + 5.0
    while since is not None and reap.born(pid) == since:
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} lives on 5 s after SIGKILL")
        time.sleep(0.002)
