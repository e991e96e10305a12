"""Peak memory: of a whole process, as the system counts it, or of one call, as Python counts it.

`peak_rss` answers "how much memory does this job need", C extensions and allocator waste included.
`traced_peak` answers "how much does this call allocate", in Python's own allocator, to the byte.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Mapping, Sequence

ERROR_LINES = 20
"""How many of a failed child's last lines are shown."""

# The system counts a process's peak from the fork on, so a child of a large process looks large.
# A small process in between starts the command and reports the peak of that one child, which on
# Linux is the VmHWM of /proc (a test holds them together): there it can be read only while the
# process lives, and an arbitrary command does not stop to be asked.
_LAUNCHER = """
import os, sys
report, *command = sys.argv[1:]
pid = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(pid, 0)
os.write(int(report), f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}".encode())
"""
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in one unit of `ru_maxrss`: macOS counts bytes, Linux KiB."""


class ChildFailed(RuntimeError):
    """The measured process ended with an error, so its memory says nothing."""


def traced_peak(fn: Callable[[], object]) -> int:
    """Give the peak of Python memory allocated while `fn()` runs, in bytes.

    Memory that was allocated before the call does not count, nor does what a C library takes from
    the system on its own (libpq, Arrow). Tracing slows allocation down by one or two orders of
    magnitude: never time a traced call.

    Raises:
        RuntimeError: tracing is already on, so the peak would be somebody else's.
        Exception: whatever `fn` raises.
    """
    if tracemalloc.is_tracing():
        raise RuntimeError("tracemalloc is already tracing; stop it before traced_peak")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        fn()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def peak_rss(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    baseline: bool = True,
) -> int:
    """Run a command in a fresh process and give the peak of its resident memory, in bytes.

    A fresh process, because an allocator keeps what it once had: two measurements in one process
    give the larger one twice. Processes that the command starts itself do not count.

    Args:
        argv: the command; for Python code begin with `sys.executable`.
        env: the whole environment of the child; the current one when `None`.
        baseline: subtract the peak of the same interpreter (`argv[0]`) doing nothing, so that the
            result is the job's and not Python's own 10 MB. Needs `argv[0]` to understand
            `-c pass`.

    Returns:
        Bytes, never below zero. Resident memory is counted in pages and the baseline varies from
        run to run: take differences below 1 MiB for nothing. Without a baseline the result is at
        least some 9 MB, the size of the process that starts the command.

    Raises:
        ChildFailed: the command did not end with status 0; the message carries its last lines.
        FileNotFoundError: there is no such command.
        ValueError: `argv` is empty.
    """
    if not argv:
        raise ValueError("argv is empty: name the command to measure")
    command = [os.fspath(part) for part in argv]
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"no such command: {command[0]}")
    peak = _peak(command, env)
    if baseline:
        peak -= _peak([command[0], "-c", "pass"], env)
    return max(peak, 0)


def _peak(command: list[str], env: Mapping[str, str] | None) -> int:
    """Run one command to its end and give its own peak, in bytes."""
    report, write = os.pipe()
    with tempfile.TemporaryFile() as errors, os.fdopen(report, "rb") as answer:
        try:
            launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(write), *command],
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[write],
                start_new_session=True,
            )
        finally:
            os.close(write)
        try:
            launcher.wait()
        except BaseException:
            os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()
            raise
        numbers = answer.read().split()
        errors.seek(0)
        last_lines = errors.read().decode(errors="replace").splitlines()[-ERROR_LINES:]
    status, peak = (int(number) for number in numbers) if numbers else (launcher.returncode, 0)
    if status != 0:
        said = "\n".join(last_lines) or "(nothing on stderr)"
        raise ChildFailed(f"{command[0]} ended with status {status}; its last lines:\n{said}")
    return peak * _UNIT
