"""The real servers start, serve on loopback only, crash, come back, and go without a trace."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from lab import reap, reaper, servers
from lab.errors import PortInUse, ServerUnavailable
from lab.servers import binaries
from lab.servers.base import Server, answers, free_port, runnable

pytestmark = pytest.mark.slow

OK = "server { listen 127.0.0.1:{port}; location / { return 200 'ok'; } }"
START: dict[str, Callable[[], Server]] = {
    "postgres": servers.postgres,
    "valkey": servers.valkey,
    "nats": servers.nats,
    "s3": servers.s3,
    "nginx": lambda: servers.nginx(OK),
}


def test_a_free_port_leaves_the_programs_random_numbers_alone() -> None:
    before = random.getstate()
    assert 10_000 <= free_port() < 22_000
    assert random.getstate() == before


@pytest.fixture(scope="module")
def everyone() -> Iterator[dict[str, Server]]:
    """One server of each kind."""
    started = {name: start() for name, start in START.items()}
    yield started
    for server in started.values():
        server.stop()


def listeners(pids: set[int]) -> set[str]:
    """Local IP addresses (as the kernel writes them) on which these processes listen (Linux)."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(str(descriptor.readlink()))
            except FileNotFoundError:  # closed meanwhile
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].rsplit(":", 1)[0])
    return found


@pytest.mark.linux
@pytest.mark.parametrize("name", list(START))
def test_a_server_listens_on_loopback_only(everyone: dict[str, Server], name: str) -> None:
    loopback = {"0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F"}
    found = listeners(reap.family([everyone[name].pid]))
    assert found, "it listens somewhere"
    assert found <= loopback


@pytest.mark.linux
@pytest.mark.parametrize("name", ["postgres", "nginx"])
def test_what_refuses_to_run_as_root_runs_as_an_ordinary_user(
    everyone: dict[str, Server], name: str
) -> None:
    uid = Path(f"/proc/{everyone[name].pid}").stat().st_uid
    assert uid != 0
    assert uid == reaper.ordinary_user().get("user", os.getuid())


def test_versions_are_asked_of_the_programs() -> None:
    found = servers.versions()
    assert set(found) == {"postgres", "valkey", "nats", "seaweedfs", "nginx"}
    assert found["postgres"].split(".")[0] == "18"


def test_postgres_has_fsync_off_for_tests_and_on_for_measurements() -> None:
    with servers.postgres() as fast, servers.postgres(fsync="on", max_connections="20") as safe:
        names = ("fsync", "full_page_writes", "synchronous_commit", "max_connections")
        shown = [[s.query(f"SHOW {name}")[0][0] for name in names] for s in (fast, safe)]
    assert shown == [["off", "off", "on", "100"], ["on", "on", "on", "20"]]


def test_postgres_keeps_its_shared_memory_in_its_folder() -> None:
    with servers.postgres() as server:
        assert server.query("SHOW dynamic_shared_memory_type") == [("mmap",)]


def test_kill_9_of_postgres_loses_no_acknowledged_write_and_it_starts_again() -> None:
    with servers.postgres() as server:
        server.query("CREATE TABLE ledger (id int)")
        server.query("INSERT INTO ledger VALUES (1)")
        before = reap.family([server.pid])

        server.kill9()

        assert {pid for pid in before if reap.born(pid)} == set()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            server.query("SELECT 1")
        server.start()
        assert server.query("SELECT id FROM ledger") == [(1,)]


def test_a_paused_server_keeps_connections_and_answers_after_resume() -> None:
    with servers.valkey() as server, redis.Redis.from_url(server.url, socket_timeout=0.3) as client:
        client.set("key", "value")
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("key")
        server.resume()
        assert client.get("key") == b"value"


@pytest.mark.parametrize("name", list(START))
def test_stop_leaves_no_process_folder_or_socket_also_when_paused(name: str) -> None:
    server = START[name]()
    processes = reap.family([server.pid])
    litter = server._litter
    server.pause()
    server.stop()
    server.stop()
    assert {pid for pid in processes if reap.born(pid)} == set()
    assert not server.home.exists()
    assert [path for path in litter if path.exists()] == []


def test_a_port_taken_by_another_program_is_told_with_the_mend() -> None:
    with servers.valkey() as server:
        server.kill9()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", server.port))
            other.listen()
            with pytest.raises(PortInUse) as refusal:
                server.start()
    assert str(refusal.value).startswith(
        f"valkey: port {server.port} of 127.0.0.1 is in use by another program. Mend: "
    )


def test_a_setting_that_is_refused_shows_the_servers_own_words() -> None:
    with pytest.raises(ServerUnavailable, match="max_connections"):
        servers.postgres(max_connections="many")
    with pytest.raises(ServerUnavailable, match="nonsense"):
        servers.nginx("nonsense; server { listen 127.0.0.1:{port}; }")


def test_nginx_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="listen"):
        servers.nginx("server { listen 80; }")


@pytest.mark.parametrize("name", list(START))
def test_a_missing_program_is_told_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(binaries, "package", lambda _: None)
    monkeypatch.setattr(binaries, "script", lambda _: tmp_path / "absent")
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailable) as refusal:
        START[name]()
    message = str(refusal.value)
    assert message.startswith(f"{name}: its program is neither in this environment nor on PATH.")
    assert "Mend: run `make .venv/.ready`" in message
    assert ("FIREDRILL_TEST_" in message) == (name != "nginx")


def test_a_program_on_path_is_the_second_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link = tmp_path / "valkey-server"
    link.symlink_to(binaries.valkey())
    monkeypatch.setattr(binaries, "package", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.valkey() == link.resolve()


def test_programs_that_the_ordinary_user_cannot_reach_are_copied(tmp_path: Path) -> None:
    closed = tmp_path / "closed"  # pytest's folders are closed to other users
    package = binaries.postgres_folder().parent.parent
    libraries = package.with_name(package.name + ".libs")
    for folder in (package, libraries):
        shutil.copytree(folder, closed / folder.name, symlinks=True)
    original = closed / package.name / "pginstall" / "bin" / "postgres"
    found = runnable(original, closed / package.name, closed / libraries.name)
    assert (found == original) == (not reaper.is_root())
    said = subprocess.run(
        [found, "--version"], capture_output=True, check=True, cwd="/", **reaper.ordinary_user()
    )
    assert said.stdout.startswith(b"postgres (PostgreSQL) 18")


def test_nginx_balances_over_its_upstreams_and_leaves_out_the_dead_one() -> None:
    def backend(name: str) -> Server:
        return servers.nginx(OK.replace("'ok'", f"'{name}'"))

    def ask(balancer: Server) -> str:
        with urllib.request.urlopen(balancer.url, timeout=10) as response:
            return str(response.read().decode())

    with backend("a") as a, backend("b") as b:
        upstream = f"upstream app {{ server 127.0.0.1:{a.port}; server 127.0.0.1:{b.port}; }}"
        site = "server { listen 127.0.0.1:{port}; location / { proxy_pass http://app; } }"
        with servers.nginx(upstream + site) as balancer:
            assert sorted(ask(balancer) for _ in range(10)) == ["a"] * 5 + ["b"] * 5
            a.kill9()
            assert {ask(balancer) for _ in range(10)} == {"b"}


def test_valkey_nats_and_nginx_speak_their_protocols(everyone: dict[str, Server]) -> None:
    assert answers(everyone["valkey"].port, b"PING\r\n", b"+PONG")
    assert answers(everyone["nats"].port, b"", b"INFO {")
    with urllib.request.urlopen(everyone["nginx"].url) as response:
        assert response.read() == b"ok"


def test_s3_refuses_who_has_no_key(everyone: dict[str, Server]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{everyone['s3'].url}/some-bucket", timeout=10)


# -- primary and replica ---------------------------------------------------------------------------


def test_a_synchronous_pair_loses_nothing_when_the_primary_crashes_and_the_old_one_rejoins() -> (
    None
):
    with servers.postgres_pair(synchronous=True) as pair:
        old = pair.primary
        old.query("CREATE TABLE ledger (id int)")
        old.query("INSERT INTO ledger SELECT generate_series(1, 100)")

        old.kill9()
        new = pair.promote()

        assert (pair.primary, pair.replica) == (new, old)
        with psycopg.connect(pair.url) as connection:
            assert connection.execute("SELECT count(*) FROM ledger").fetchone() == (100,)
            connection.execute("INSERT INTO ledger VALUES (101)")
        pair.rejoin()
        shown = old.query("SELECT count(*), pg_is_in_recovery() FROM ledger")
        assert shown == [(101, True)]


def test_an_asynchronous_pair_loses_what_a_stalled_walsender_did_not_send() -> None:
    with servers.postgres_pair() as pair:
        pair.primary.query("CREATE TABLE ledger (id int)")
        pair.wait_streaming()
        pair.freeze_walsender()
        pair.primary.query("INSERT INTO ledger SELECT generate_series(1, 100)")
        pair.primary.kill9()
        pair.promote()
        assert pair.primary.query("SELECT count(*) FROM ledger") == [(0,)]


def test_a_thawed_walsender_catches_up() -> None:
    with servers.postgres_pair() as pair:
        pair.freeze_walsender()
        pair.primary.query("CREATE TABLE ledger (id int)")
        pair.thaw_walsender()
        pair.wait_streaming()
        assert pair.replica.query("SELECT count(*) FROM ledger") == [(0,)]


def test_a_living_primary_is_not_rewound() -> None:
    with servers.postgres_pair() as pair:
        pair.promote()
        with pytest.raises(ServerUnavailable, match="still runs"):
            pair.rejoin()


def test_signals_end_the_servers_soon(everyone: dict[str, Server]) -> None:
    del everyone  # the wheels are warm
    stops = {"postgres": signal.SIGINT, "valkey": signal.SIGTERM, "nats": signal.SIGTERM}
    for name, number in stops.items():
        with START[name]() as server:
            assert server._process is not None
            reap.send(server.pid, number)
            assert server._process.wait(15) == 0
