"""What every real server has in common: a port, a folder, a process, a start, an end."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import reap, reaper
from lab.errors import PortInUse, ServerUnavailable

HOST = "127.0.0.1"
START_SECONDS = 30.0  # far above any start seen; a slow machine must not fail a test
STOP_SECONDS = 10.0
GIVE_UP: ContextVar[threading.Event | None] = ContextVar("GIVE_UP", default=None)
"""Once this event is set, a server that this thread is starting is ended instead of waited for."""
_IN_USE = re.compile(
    r"address already in use|errno: 98|port .* (is )?already in use", re.IGNORECASE
)


def free_port(span: int = 0) -> int:
    """A loopback port that nobody listens on now; with `span`, `port + span` is free as well.

    Chosen at random between 10,000 and 21,999, below the ports that Linux (32,768 and up) and
    macOS (49,152 and up) give to outgoing connections, so that a server can be started again on
    its port later.
    """
    for _ in range(1000):
        # Not `random`: servers start in threads, and Hypothesis seeds and watches its state.
        port = 10_000 + secrets.randbelow(12_000)
        if all(_is_free(p) for p in {port, port + span}):
            return port
    raise ServerUnavailable("lab", "no free port on 127.0.0.1", "end programs that listen on it")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


class Server:
    """One running server on a loopback port, in a folder of its own; a context manager.

    Attributes:
        name: "postgres", "valkey", "nats", "s3" or "nginx".
        url: its address in the form that clients take.
        port: the loopback port of that address.
        home: its private folder; data and log are in it.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments that describe, none decides
        self,
        name: str,
        argv: list[str],
        *,
        url: str,
        port: int,
        home: Path,
        ready: Callable[[], bool],
        stop_signal: int = signal.SIGTERM,
        last_signal: int = signal.SIGKILL,
        as_ordinary_user: bool = False,
        environment: Mapping[str, str] | None = None,
        litter: tuple[Path, ...] = (),
    ) -> None:
        """Describe the server; `start` runs it.

        Args:
            name: what messages call it.
            argv: the command; it stays in the foreground.
            url: the address that clients take.
            port: the port in it.
            home: the folder made for it, its working directory.
            ready: asks the server whether it serves; may raise OSError.
            stop_signal: ends it cleanly.
            last_signal: what the reaper sends when the test run is dead.
            as_ordinary_user: root starts it as nobody.
            environment: added to this process's.
            litter: files that it makes outside `home`.
        """
        self.name = name
        self.url = url
        self.port = port
        self.home = home
        self._argv = argv
        self._ready = ready
        self._stop_signal = stop_signal
        self._last_signal = last_signal
        self._as_ordinary_user = as_ordinary_user
        self._environment = dict(environment or {})
        self._litter = litter
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: set[int] = set()

    def __repr__(self) -> str:
        return f"<{self.name} at {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the server's first process."""
        if self._process is None:
            raise ServerUnavailable(self.name, "it was never started", "call start() first")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the first process runs (or is paused)."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Everything the server wrote so far."""
        log = self.home / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def start(self) -> Self:
        """Run the server and return when it serves; after `kill9` this is the restart.

        Raises:
            PortInUse: another program has its port.
            ServerUnavailable: it ended, or did not serve within 30 seconds; the log's end is told.
                Or whoever starts it has given up (`GIVE_UP`).
        """
        if self.alive:
            return self
        give_up = GIVE_UP.get() or threading.Event()
        said = len(self.log())
        run = reaper.current()
        for path in self._litter:
            run.litter(path)
        who = reaper.ordinary_user() if self._as_ordinary_user else {}
        with (self.home / "log").open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self._argv,
                    cwd=self.home,
                    env={**os.environ, reap.MARK: str(run.folder), **self._environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # ctrl-C in the terminal is ours to handle
                    **who,
                )
            except OSError as error:
                raise ServerUnavailable(
                    self.name,
                    f"{self._argv[0]} cannot be run ({error.strerror})",
                    "reinstall it: rm -rf .venv && make .venv/.ready",
                ) from error
        until = time.monotonic() + START_SECONDS
        try:
            run.own(self._process.pid, self._last_signal)
            while self._process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(OSError):
                    if self._ready():
                        return self
                if give_up.wait(0.01):
                    break
        except BaseException:  # ctrl-C while it starts, or the run has just been closed
            self._kill(set())
            raise
        ended = self._process.poll()
        self.kill9()
        if give_up.is_set():
            raise ServerUnavailable(
                self.name, "the run ended while it started", "start the tests again"
            )
        last = self.log()[said:].strip()
        if _IN_USE.search(last):
            raise PortInUse(
                self.name,
                f"port {self.port} of 127.0.0.1 is in use by another program",
                f"find it with `ss -ltnp 'sport = :{self.port}'` or `lsof -i :{self.port}`, end it",
            )
        what = "did not serve within 30 s" if ended is None else f"ended with code {ended}"
        raise ServerUnavailable(
            self.name, f"it {what}; its log ends:\n{last[-1500:]}\n", "read the log's last lines"
        )

    def stop(self) -> None:
        """End the server, cleanly if it can, and remove its folder (again: no effect)."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            everyone = reap.family([self.pid])
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                self._kill(everyone)
        for path in self._litter:
            path.unlink(missing_ok=True)
        if self.home.exists():
            reap.remove(self.home)

    def kill9(self) -> None:
        """Crash: SIGKILL every process of the server at once. Its folder stays for `start`."""
        self._kill(set())

    def pause(self) -> None:
        """Freeze: SIGSTOP every process. Connections stay open and nothing answers."""
        while fresh := reap.family([self.pid]) - self._paused:  # until no new child appears
            for pid in sorted(fresh):
                reap.send(pid, signal.SIGSTOP)
            self._paused |= fresh

    def resume(self) -> None:
        """Thaw what `pause` froze: SIGCONT."""
        for pid in self._paused:
            reap.send(pid, signal.SIGCONT)
        self._paused.clear()

    def _kill(self, also: set[int]) -> None:
        if self._process is None:
            return
        everyone = also | (reap.family([self.pid]) if self._process.poll() is None else set())
        if self._process.poll() is None:
            self._process.kill()
        for pid in sorted(everyone - {self.pid}):
            reap.send(pid, signal.SIGKILL)
        self._process.wait()
        until = time.monotonic() + STOP_SECONDS
        while any(reap.born(pid) for pid in everyone) and time.monotonic() < until:
            time.sleep(0.002)
        self._paused.clear()
        with contextlib.suppress(ServerUnavailable):  # the run was closed meanwhile
            reaper.current().disown(self.pid)


def start_on_free_port(make: Callable[[int], Server], span: int = 0) -> Server:
    """Start `make(port)`; if another program takes the port in between, again on another one.

    Three ports are tried before `PortInUse` is raised.
    """
    for attempt in range(3):
        server = make(free_port(span))
        try:
            return server.start()
        except PortInUse:
            server.stop()
            if attempt == 2:
                raise
        except BaseException:
            server.stop()
            raise
    raise AssertionError


def answers(port: int, question: bytes, answer: bytes) -> bool:
    """Whether a loopback server's first bytes, after `question`, start with `answer`."""
    with socket.create_connection((HOST, port), 0.5) as connection:
        connection.settimeout(1.0)
        if question:
            connection.sendall(question)
        return connection.recv(len(answer)) == answer


def runnable(binary: Path, *beside: Path) -> Path:
    """`binary`, or a copy of it in the run's folder when nobody could not reach it.

    Root runs some servers as nobody, who cannot enter a virtual environment below `/root`.
    The copy holds `beside` (folders named with the binary's own top folder as first), so that
    relative library paths still hold.

    Args:
        binary: the program.
        beside: folders to copy side by side; the first contains the program. Without any, the
            program is one file.
    """
    if not reaper.is_root() or reaper.enterable(binary):
        return binary
    store = reaper.current().folder / "programs"
    store.mkdir(mode=0o755, exist_ok=True)
    store.chmod(0o755)
    target = store / (binary.relative_to(beside[0].parent) if beside else binary.name)
    if not target.exists():
        work = reaper.current().subfolder("copying")
        work.chmod(0o755)
        if beside:
            for folder in beside:
                _copy_tree(folder, work / folder.name)
            names = [folder.name for folder in reversed(beside)]  # the program's folder last
        else:
            shutil.copy2(binary, work / binary.name)
            names = [binary.name]
        for name in names:
            with contextlib.suppress(OSError):  # another worker of this run was first
                (work / name).rename(store / name)
        shutil.rmtree(work, ignore_errors=True)
    return target


def _copy_tree(source: Path, target: Path) -> None:
    ignore = shutil.ignore_patterns("include", "*.a", "__pycache__")
    shutil.copytree(source, target, symlinks=True, ignore=ignore)
