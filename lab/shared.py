"""The servers that all tests of one run share, started once and only when a test needs them.

Under pytest-xdist the controller owns them: its workers ask it over a loopback connection
(`Desk`, `RemoteServers`), because only they know which tests were collected.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from lab import servers
from lab.errors import ServerUnavailable
from lab.servers import binaries
from lab.servers.base import GIVE_UP, HOST
from lab.servers.binaries import VARIABLES


@dataclass(frozen=True, slots=True)
class Address:
    """Where a shared server is.

    Attributes:
        url: its address, without keys for S3.
        ours: whether this run started it; another's server is treated as a guest treats it.
        access_key: S3 only.
        secret_key: S3 only.
        region: S3 only.
    """

    url: str
    ours: bool
    access_key: str = ""
    secret_key: str = ""
    region: str = ""


START: dict[str, Callable[[], servers.Server]] = {
    "postgres": servers.postgres,
    "valkey": servers.valkey,
    "nats": servers.nats,
    "s3": servers.s3,
}


PROGRAMS: dict[str, Callable[[], object]] = {
    "postgres": binaries.postgres_folder,
    "valkey": binaries.valkey,
    "nats": binaries.nats,
    "s3": binaries.seaweedfs,
}


def _import_for(name: str) -> None:
    """Import and look up whatever a thread that starts this server would.

    Such a thread must never want Python's import lock. Where the main thread waits for it while
    ctrl-C comes, it sees ctrl-C between getting the lock and the `try` that lets go of it
    (`importlib._bootstrap`, Python 3.11 to 3.13): it holds the lock for ever, and a thread that
    imports hangs.
    """
    HOST.encode("idna")  # as the socket module does with an address
    if name == "postgres":
        import psycopg  # noqa: F401 - late: who starts no PostgreSQL does not wait for it
    with contextlib.suppress(ServerUnavailable):  # the thread says it to who asks
        PROGRAMS[name]()


class Servers(Protocol):
    """What a fixture asks for an address, in the run's own process or in a worker."""

    def prepare(self, names: Iterable[str]) -> None:
        """Begin to start these servers, all at once, and return."""

    def address(self, name: str) -> Address:
        """Where a server is, once it serves. Raises ServerUnavailable, each time the same."""

    def close(self) -> None:
        """End whatever this object started."""


class OwnServers:
    """Starts each server at most once, each in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(len(START), thread_name_prefix="lab")
        self._starting: dict[str, Future[Address]] = {}
        self._started: list[servers.Server] = []
        self._closing = threading.Event()
        self._busy = 0  # threads in `_start`
        self._idle = threading.Condition()

    def prepare(self, names: Iterable[str]) -> None:
        """Begin to start these servers, all at once, and return."""
        for name in sorted(set(names)):
            self._future(name)

    def address(self, name: str) -> Address:
        """Where a server is, once it serves.

        Raises:
            ServerUnavailable: it cannot be had; each time the same.
        """
        return self._future(name).result()

    def close(self) -> None:
        """End the servers, all at once; those that are starting are not waited for."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        # Not the pool's own wait: ctrl-C while it starts a thread makes it forget that thread.
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0)
        with ThreadPoolExecutor(len(START)) as pool:
            list(pool.map(lambda server: server.stop(), self._started))

    def _future(self, name: str) -> Future[Address]:
        with self._lock:
            if name not in self._starting:
                _import_for(name)
                self._starting[name] = self._pool.submit(self._start, name)
            return self._starting[name]

    def _start(self, name: str) -> Address:
        with self._idle:
            if self._closing.is_set():
                raise ServerUnavailable(name, "the run has ended", "start the tests again")
            self._busy += 1
        try:
            GIVE_UP.set(self._closing)
            return self._begin(name)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _begin(self, name: str) -> Address:
        if given := os.environ.get(VARIABLES[name]):
            return guest(name, given)
        server = START[name]()
        self._started.append(server)
        if isinstance(server, servers.S3Server):
            keys = (server.access_key, server.secret_key, server.region)
            return Address(server.url, True, *keys)
        return Address(server.url, True)


def guest(name: str, given: str) -> Address:
    """The address of a server that somebody else runs, from its environment variable.

    An S3 address carries its keys: `http://key:secret@host:port?region=us-east-1`.

    Raises:
        ServerUnavailable: the address is not one of that server.
    """
    schemes = {
        "postgres": ("postgresql://", "postgres://"),
        "valkey": ("redis://", "rediss://", "unix://"),
        "nats": ("nats://", "tls://"),
        "s3": ("http://", "https://"),
    }[name]
    variable = VARIABLES[name]
    if not given.startswith(schemes):
        raise ServerUnavailable(
            name, f"{variable} does not start with {schemes[0]}", f"correct or unset {variable}"
        )
    if name != "s3":
        return Address(given, ours=False)
    parts = urlsplit(given)
    if not (parts.username and parts.password and parts.hostname):
        raise ServerUnavailable(
            name,
            f"{variable} has no keys",
            f"write {variable}=http://ACCESS_KEY:SECRET_KEY@127.0.0.1:9000",
        )
    host = parts.netloc.rpartition("@")[2]
    return Address(
        urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")),
        ours=False,
        access_key=unquote(parts.username),
        secret_key=unquote(parts.password),
        region=parse_qs(parts.query).get("region", ["us-east-1"])[0],
    )


class Desk:
    """The controller's side: answers its workers, each on a connection and thread of its own."""

    def __init__(self, own: OwnServers) -> None:
        self._own = own
        self._key = secrets.token_bytes(32)
        self._closed = False
        self._listener = Listener(("127.0.0.1", 0), authkey=self._key)
        threading.Thread(target=self._accept, name="lab desk", daemon=True).start()

    @property
    def whereabouts(self) -> tuple[str, int, bytes]:
        """What a worker needs to reach this desk: host, port, key."""
        host, port = self._listener.address
        return str(host), int(port), self._key

    def close(self) -> None:
        """Take no more workers."""
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):  # a stranger, or the end
                if self._closed:
                    return
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection[Any, Any]) -> None:
        with closing(connection):
            while True:
                try:
                    question, argument = connection.recv()
                    if question == "prepare":
                        self._own.prepare(argument)
                        continue
                    connection.send(self._answer(argument))
                except (OSError, EOFError):  # the worker ended
                    return

    def _answer(self, name: str) -> Address | ServerUnavailable:
        try:
            return self._own.address(name)
        except ServerUnavailable as error:
            return error


class RemoteServers:
    """A worker's side: asks the controller's desk."""

    def __init__(self, host: str, port: int, key: bytes) -> None:
        self._connection = Client((host, port), authkey=key)
        self._lock = threading.Lock()

    def prepare(self, names: Iterable[str]) -> None:
        """Ask the controller to begin to start these servers."""
        with self._lock:
            self._connection.send(("prepare", sorted(set(names))))

    def address(self, name: str) -> Address:
        """Where a server is, once it serves.

        Raises:
            ServerUnavailable: it cannot be had, or the controller has ended.
        """
        with self._lock:
            try:
                self._connection.send(("address", name))
                answer = self._connection.recv()
            except (OSError, EOFError):
                raise ServerUnavailable(
                    name, "the test run that owns it has ended", "start the tests again"
                ) from None
        if isinstance(answer, ServerUnavailable):
            raise answer
        assert isinstance(answer, Address)
        return answer

    def close(self) -> None:
        """Hang up; the controller ends the servers."""
        self._connection.close()
