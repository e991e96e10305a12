"""One private folder per test run, and the reaper that makes sure nothing outlives the run.

`current()` is this process's run: a folder `firedrill-*` in the temporary directory, watched by a
helper process (`lab.reap`). Everything the laboratory starts is told to it. However the run ends
(return, ctrl-C, `kill -9`), the helper ends what is left and removes the folder. Workers of one
pytest run `join` the run of their controller.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from lab import reap
from lab.errors import ServerUnavailable

_lock = threading.RLock()
_current: Run | None = None


def is_root() -> bool:
    """Whether this process may act as every user; PostgreSQL refuses to run like that."""
    return os.geteuid() == 0


def ordinary_user() -> dict[str, Any]:
    """Arguments for `subprocess` that start a child as an ordinary user: `nobody` for root."""
    if not is_root():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def enterable(path: Path) -> bool:
    """Whether any user may enter every folder that leads to `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _temporary_directory() -> Path:
    wanted = os.environ.get("TMPDIR")
    if wanted and not (os.path.isdir(wanted) and os.access(wanted, os.W_OK | os.X_OK)):  # noqa: PTH112
        raise ServerUnavailable(
            "lab",
            f"TMPDIR={wanted} is not a folder that this user can write",
            "`unset TMPDIR`, or set it to a folder you own",
        )
    try:
        found = Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise ServerUnavailable(
            "lab", "no temporary folder can be written", "set TMPDIR to a folder you own"
        ) from None
    # Root's servers run as nobody, who must be able to reach the folder.
    for place in (found, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - only as a parent for mkdtemp
        if not is_root() or (place.is_dir() and enterable(place / "x")):
            return place
    raise ServerUnavailable(
        "lab",
        f"the user nobody, who runs PostgreSQL for root, cannot enter {found}",
        "set TMPDIR to a folder that every user can enter, such as /tmp",
    )


class Run:
    """A run's private folder and the line to its reaper. Use `current()`; close it once."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        # For root, nobody passes through the folder to its own, and lists nothing.
        mode = "711" if is_root() else "700"
        environment = {k: v for k, v in os.environ.items() if k != reap.MARK}
        self._reaper = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", reap.__file__),
                *(str(_temporary_directory()), mode, str(self._pid)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # ctrl-C in the terminal must not reach it
            env=environment,
            cwd="/",
        )
        assert self._reaper.stdout is not None
        name = self._reaper.stdout.read().decode()  # it closes this end as soon as it listens
        self._reaper.stdout.close()
        if not name:
            raise ServerUnavailable(
                "lab", "the reaper made no folder (see above)", "free some space in TMPDIR"
            )
        self.folder = Path(name)
        self._line = _open_line(self.folder)

    @property
    def is_mine(self) -> bool:
        """False in a process forked from the one that opened the run."""
        return self._pid == os.getpid()

    def subfolder(self, name: str) -> Path:
        """A new empty folder, only for its owner, that ends with the run."""
        number = next(self._numbers)
        folder = self.folder / f"{name}-{os.getpid()}-{number}"
        folder.mkdir(mode=0o700)
        return folder

    def own(self, pid: int, stop: int = signal.SIGKILL) -> None:
        """Tell the reaper of a process, and of the signal that ends it without leaving anything."""
        when = reap.born(pid)
        if when is not None:
            self._say(do="own", pid=pid, born=when, signal=int(stop))

    def disown(self, pid: int) -> None:
        """Tell the reaper that a process has ended."""
        self._say(do="disown", pid=pid)

    def litter(self, path: Path) -> None:
        """Tell the reaper of a file that a server makes outside the run's folder."""
        self._say(do="litter", path=str(path))

    def close(self) -> None:
        """End what is left and remove the folder; returns when that is done (again: no effect)."""
        if not self.is_mine or self._line < 0:  # a forked child, or closed before
            return
        self._say(do="done")
        os.close(self._line)
        self._line = -1
        assert self._reaper.stdin is not None
        with contextlib.suppress(OSError):
            self._reaper.stdin.close()
        self._reaper.wait(120)  # a second, unless the machine is overwhelmed

    def _say(self, **message: object) -> None:
        # Far below PIPE_BUF, so messages of several workers never mix.
        try:
            os.write(self._line, json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ServerUnavailable(
                "lab", "the reaper of this run is gone", "start the tests again"
            ) from error


class Joined(Run):
    """A worker's place in the run of its controller: the same folder, the same reaper."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._line = _open_line(folder)
        self.own(self._pid)

    def close(self) -> None:
        """Leave the run; the controller's reaper goes on until the controller ends."""
        if self.is_mine and self._line >= 0:
            with contextlib.suppress(ServerUnavailable):
                self.disown(self._pid)
            os.close(self._line)
            self._line = -1


def _open_line(folder: Path) -> int:
    try:
        line = os.open(folder / "reaper", os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ServerUnavailable(
            "lab", f"the run in {folder} has ended", "start the tests again"
        ) from error
    os.set_blocking(line, True)
    return line


def current() -> Run:
    """This process's run, made at the first call and closed when the process ends.

    Raises:
        ServerUnavailable: no temporary folder can be written.
    """
    with _lock:
        if _current is None or not _current.is_mine:
            return _use(Run())
        return _current


def join(folder: Path) -> Run:
    """Make the run in `folder`, of another process, this process's run as well."""
    with _lock:
        return _use(Joined(folder))


def close() -> None:
    """Close this process's run, if it has one: nothing of it is left when this returns."""
    global _current
    with _lock:
        run, _current = _current, None
        if run is not None:
            run.close()
            os.environ.pop(reap.MARK, None)


def _use(run: Run) -> Run:
    global _current  # noqa: PLW0603 - one run per process is the point
    _current = run
    # Whatever this process starts from now on carries the mark, also what tests start themselves.
    os.environ[reap.MARK] = str(run.folder)
    return run


atexit.register(close)
