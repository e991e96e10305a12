"""The reaper: a small process that outlives a test run only to clean up after it.

It is started by `lab.reaper` as a script of its own, so it imports nothing but the standard
library. Its standard input is the test run's life-line: when that closes, or the parent process is
gone (a `kill -9` closes nothing that a forked child still holds), or the run says that it is done,
the reaper ends every process that the run started and removes the run's folder and whatever its
servers left elsewhere.

The functions that read the process table serve the rest of the laboratory as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MARK = "FIREDRILL_RUN"  # environment variable: the folder of the run that started a process
PROC = Path("/proc")


class Entry(NamedTuple):
    """One living process. `born` tells it from a later process that got the same id."""

    parent: int
    born: str


def table() -> dict[int, Entry]:
    """Every living process of this machine by id; zombies are dead and left out."""
    found: dict[int, Entry] = {}
    if (PROC / "self" / "stat").exists():
        for folder in PROC.iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    # The second field, the name in parentheses, may itself hold spaces.
                    fields = (
                        (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                    )
                    if fields[0] not in "ZX":
                        found[int(folder.name)] = Entry(int(fields[1]), fields[19])
        return found
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,stat=,lstart="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, parent, state, born = line.split(None, 3)
        if not state.startswith("Z"):
            found[int(pid)] = Entry(int(parent), born.strip())
    return found


def _stat(folder: Path) -> list[str]:
    """The fields of a process from the third on: state, parent's id, ...; the 20th is its start."""
    # The second field, the name in parentheses, may itself hold spaces and parentheses.
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()


def born(pid: int) -> str | None:
    """When process `pid` started, in the system's own notation; None if it is gone or a zombie."""
    if (PROC / "self" / "stat").exists():
        try:
            fields = _stat(PROC / str(pid))
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    entry = table().get(pid)
    return entry.born if entry else None


def family(pids: Iterable[int], living: dict[int, Entry] | None = None) -> set[int]:
    """The living ones of `pids` with all their descendants (PostgreSQL's are no process group)."""
    living = table() if living is None else living
    children: dict[int, list[int]] = {}
    for pid, entry in living.items():
        children.setdefault(entry.parent, []).append(pid)
    found: set[int] = set()
    waiting = [pid for pid in pids if pid in living]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def marked(folder: str) -> set[int]:
    """Living processes that carry this run's mark in their environment (Linux; empty elsewhere)."""
    mark = f"{MARK}={folder}".encode()
    found: set[int] = set()
    if not (PROC / "self" / "environ").exists():
        return found
    for pid in table():
        with contextlib.suppress(OSError):
            if mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def send(pid: int, number: int) -> None:
    """Signal a process; one that is gone already is what we wanted."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def forget_shared_memory(folder: Path) -> None:
    """Remove the System V segments that PostgreSQL servers killed in `folder` left in the kernel.

    Their key and id are on the seventh line of `postmaster.pid`, which only a clean stop removes.
    """
    for record in folder.glob("**/postmaster.pid"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            key, segment = (int(word) for word in record.read_text().splitlines()[6].split())
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.shmget(key, 0, 0) == segment:
                libc.shmctl(segment, 0, None)  # IPC_RMID


def remove(folder: Path) -> None:
    """Remove a folder whose last writers may still be ending; no error when it is gone."""
    forget_shared_memory(folder)
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


class Estate:
    """What one run owns, as told through its pipe: processes, and files outside its folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.processes: dict[int, tuple[str, int]] = {}  # id -> (born, the signal that ends it)
        self.litter: set[str] = set()
        self.done = False

    def hear(self, line: bytes) -> None:
        """Take in one message of the run (see `lab.reaper.Run`)."""
        message = json.loads(line)
        if message["do"] == "own":
            self.processes[message["pid"]] = (message["born"], message["signal"])
        elif message["do"] == "disown":
            self.processes.pop(message["pid"], None)
        elif message["do"] == "litter":
            self.litter.add(message["path"])
        elif message["do"] == "done":
            self.done = True

    def living(self) -> set[int]:
        """Every process of the run that still lives, with descendants, but never this one."""
        now = table()
        own = {p for p, (when, _) in self.processes.items() if p in now and now[p].born == when}
        return family(own | marked(self.folder), now) - {os.getpid()}

    def settle(self) -> None:
        """End every process, then remove every file. PostgreSQL gets two seconds to tidy up."""
        gentle = {p: s for p, (_, s) in self.processes.items() if s != signal.SIGKILL}
        everyone = self.living()
        gentle_family = family(gentle.keys() & everyone)
        for pid in everyone:
            if pid not in gentle_family:
                send(pid, signal.SIGKILL)
            elif pid in gentle:
                send(pid, gentle[pid])
            send(pid, signal.SIGCONT)
        until = time.monotonic() + 2.0
        while gentle_family & self.living() and time.monotonic() < until:
            time.sleep(0.01)
        for _ in range(200):
            rest = self.living()
            if not rest:
                break
            for pid in rest:
                send(pid, signal.SIGKILL)
            time.sleep(0.01)
        for path in self.litter:
            Path(path).unlink(missing_ok=True)
        remove(Path(self.folder))


def main(place: str, mode: int, parent: int) -> None:
    """Make the run's folder in `place`, tell its name, and listen until the run has ended.

    The folder is made here, not by the run, so that there is no moment at which it exists and
    nobody would remove it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(place) / f"firedrill-{os.urandom(6).hex()}"
    estate = Estate(str(folder))
    folder.mkdir()
    folder.chmod(mode)
    os.mkfifo(folder / "reaper", 0o600)
    pipe = os.open(folder / "reaper", os.O_RDWR)  # also for writing: it never reads as closed
    with contextlib.suppress(OSError):  # the run may be gone already
        os.write(1, str(folder).encode())
    os.close(1)
    heard = b""
    while not estate.done and os.getppid() == parent:
        readable, _, _ = select.select([0, pipe], [], [], 0.5)
        if pipe in readable:
            heard += os.read(pipe, 65536)
            *lines, heard = heard.split(b"\n")
            for line in lines:
                estate.hear(line)
        elif 0 in readable and not os.read(0, 1):
            break
    estate.settle()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2], 8), int(sys.argv[3]))
