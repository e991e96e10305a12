"""Servers of one run: started once, only when named; a guest's manners on servers of others."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import threading
import time
from multiprocessing import AuthenticationError
from pathlib import Path

import pytest
import redis

from lab import reaper, servers
from lab.errors import PortInUse, ServerUnavailable
from lab.servers import base, binaries
from lab.shared import START, Address, Desk, OwnServers, RemoteServers, guest
from tests.lab import runs

pytestmark = pytest.mark.slow

USES_ALL = """
    import os, subprocess
    import psycopg, redis
    from lab import servers

    def test_postgres(postgres_url):
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE TABLE t (id int)")

    def test_redis(redis_url):
        with redis.Redis.from_url(redis_url) as client:
            assert client.dbsize() == 0
            client.set("mine", 1)

    def test_nats(nats_url, nats_subject):
        import asyncio, nats
        async def publish():
            client = await nats.connect(nats_url)
            await client.jetstream().add_stream(name=nats_subject, subjects=[nats_subject])
            await client.jetstream().publish(nats_subject, b"x")
            await client.close()
        asyncio.run(publish())

    def test_s3(s3):
        client = s3.client()
        client.put_object(Bucket=s3.name, Key="mine", Body=b"x")
        client.create_multipart_upload(Bucket=s3.name, Key="unfinished")
        client.close()
"""


# -- a run starts what its tests name --------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_only_the_servers_that_collected_tests_name_are_started_and_each_once(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = runs.write(
        tmp_path,
        """
        import pytest
        from lab import reaper

        def started():
            return sorted(p.name.split("-")[0] for p in reaper.current().folder.glob("*-*"))

        @pytest.mark.parametrize("number", range(4))
        def test_it(redis_url, number):
            assert [name for name in started() if name != "gw0"] == ["valkey"]

        def test_not_selected(postgres_url, s3):
            raise AssertionError
        """,
    )
    with runs.empty_folder() as folder:
        env = runs.environment(folder)
        done = runs.finish(path, "-k", "test_it", *arguments, env=env)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_a_missing_server_fails_the_tests_that_need_it_with_the_mend_and_no_others(
    tmp_path: Path,
) -> None:
    path = runs.write(tmp_path, USES_ALL)
    (tmp_path / "conftest.py").write_text(
        "from lab.servers import binaries\n"
        "binaries.valkey = lambda: binaries._first('valkey', [], [], 'valkey-server')\n"
    )
    with runs.empty_folder() as folder:
        done = runs.finish(path, env=runs.environment(folder))
    assert done.returncode == 1
    assert "3 passed" in done.stdout
    assert "1 error" in done.stdout
    assert "valkey: its program is neither in this environment nor on PATH" in done.stdout
    assert "Mend: run `make .venv/.ready`" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("variable", "value", "test"),
    [
        ("FIREDRILL_TEST_POSTGRES_URL", "postgresql://u@127.0.0.1:1/x", "test_postgres"),
        ("FIREDRILL_TEST_REDIS_URL", "redis://127.0.0.1:1", "test_redis"),
        ("FIREDRILL_TEST_S3_URL", "http://k:s@127.0.0.1:1", "test_s3"),
    ],
)
def test_a_given_address_that_does_not_answer_fails_with_the_mend(
    tmp_path: Path, variable: str, value: str, test: str
) -> None:
    path = runs.write(tmp_path, USES_ALL)
    with runs.empty_folder() as folder:
        done = runs.finish(path, "-k", test, env=runs.environment(folder, **{variable: value}))
    assert "1 error" in done.stdout, done.stdout
    assert f"or unset {variable}" in done.stdout
    assert "Traceback" not in done.stdout


# -- the manners of a guest ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_redis_of_somebody_else_keeps_every_key_and_is_never_flushed(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = runs.write(tmp_path, USES_ALL)
    with servers.valkey("--databases", "6") as server, runs.empty_folder() as folder:
        for number in (0, 4, 5):
            with redis.Redis.from_url(f"{server.url}/{number}") as client:
                client.set("precious", number)
        env = runs.environment(folder, FIREDRILL_TEST_REDIS_URL=server.url)
        done = runs.finish(path, "-k", "test_redis", *arguments, env=env)
        assert done.returncode == 0, done.stdout
        with redis.Redis.from_url(server.url) as client:
            assert set(client.info("keyspace")) == {"db0", "db4", "db5"}
            assert not {c for c in client.info("commandstats") if "flush" in c}
            for number in (0, 4, 5):
                client.select(number)
                assert client.get("precious") == str(number).encode()


def test_a_redis_without_an_empty_database_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = runs.write(tmp_path, USES_ALL)
    with (
        servers.valkey("--databases", "1") as server,
        redis.Redis.from_url(server.url) as client,
        runs.empty_folder() as folder,
    ):
        client.set("precious", 1)
        env = runs.environment(folder, FIREDRILL_TEST_REDIS_URL=server.url)
        done = runs.finish(path, "-k", "test_redis", env=env)
        assert client.get("precious") == b"1"
    assert "1 error" in done.stdout
    assert "is empty, and tests never empty one" in done.stdout


def test_a_postgres_of_somebody_else_has_the_same_databases_afterwards(tmp_path: Path) -> None:
    path = runs.write(tmp_path, USES_ALL)
    with servers.postgres() as server, runs.empty_folder() as folder:
        server.query("CREATE DATABASE precious")
        env = runs.environment(folder, FIREDRILL_TEST_POSTGRES_URL=server.url)
        done = runs.finish(path, "-k", "test_postgres", env=env)
        assert done.returncode == 0, done.stdout
        rows = server.query("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1")
        assert rows == [("postgres",), ("precious",)]


def test_an_s3_of_somebody_else_has_the_same_buckets_afterwards(tmp_path: Path) -> None:
    path = runs.write(tmp_path, USES_ALL)
    with servers.s3() as server, runs.empty_folder() as folder:
        client = server.bucket("precious").client()
        client.create_bucket(Bucket="precious")
        given = server.url.replace("//", f"//{server.access_key}:{server.secret_key}@")
        env = runs.environment(folder, FIREDRILL_TEST_S3_URL=given)
        done = runs.finish(path, "-k", "test_s3", env=env)
        assert done.returncode == 0, done.stdout
        assert [b["Name"] for b in client.list_buckets()["Buckets"]] == ["precious"]
        client.close()


def test_database_url_of_a_developer_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/production")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    path = runs.write(tmp_path, USES_ALL)
    with runs.empty_folder() as folder:
        done = runs.finish(path, "-k", "test_postgres or test_redis", env=runs.environment(folder))
    assert done.returncode == 0, done.stdout


def test_an_s3_address_carries_keys_and_region() -> None:
    given = "https://key:se%2Fcret@storage.example:9000/?region=eu-central-1"
    assert guest("s3", given) == Address(
        "https://storage.example:9000", False, "key", "se/cret", "eu-central-1"
    )


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("postgres", "mysql://127.0.0.1/x"),
        ("valkey", "127.0.0.1:6379"),
        ("nats", "http://127.0.0.1"),
        ("s3", "s3://bucket"),
        ("s3", "http://127.0.0.1:9000"),
    ],
)
def test_an_address_of_the_wrong_kind_is_refused_with_the_mend(name: str, given: str) -> None:
    with pytest.raises(ServerUnavailable, match=binaries.VARIABLES[name]):
        guest(name, given)


# -- the end, while servers start ------------------------------------------------------------------


class Slow:
    """Servers that run and never serve; each is noted."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.made: list[servers.Server] = []

    def __call__(self) -> servers.Server:
        return base.start_on_free_port(self._make)

    def _make(self, port: int) -> servers.Server:
        server = servers.Server(
            "valkey",
            [sys.executable, "-c", "import time; time.sleep(600)"],
            url=f"redis://127.0.0.1:{port}",
            port=port,
            home=reaper.current().subfolder("slow"),
            ready=self._never,
        )
        self.made.append(server)
        return server

    def _never(self) -> bool:
        self.begun.set()
        return False


def test_the_end_does_not_wait_for_a_server_that_is_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow()
    monkeypatch.setitem(START, "valkey", slow)
    own = OwnServers()
    own.prepare(["valkey"])
    assert slow.begun.wait(30)
    since = time.monotonic()
    own.close()
    assert time.monotonic() - since < base.START_SECONDS / 2
    assert [(one.alive, one.home.exists()) for one in slow.made] == [(False, False)]
    with pytest.raises(ServerUnavailable, match="the run ended while it started"):
        own.address("valkey")


def test_ctrl_c_while_a_thread_starts_leaves_no_server_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool has not noted that thread yet, so its own shutdown would not wait for it."""
    slow = Slow()
    monkeypatch.setitem(START, "valkey", slow)
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        assert slow.begun.wait(30)
        raise KeyboardInterrupt

    own = OwnServers()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            own.prepare(["valkey"])
    own.close()
    assert [(one.alive, one.home.exists()) for one in slow.made] == [(False, False)]


def test_servers_start_while_the_main_thread_holds_the_import_lock() -> None:
    """As it may after ctrl-C: a thread that imported anything would hang, and the end with it."""
    code = """
import _imp
from lab.shared import START, OwnServers
own = OwnServers()
_imp.acquire_lock()
own.prepare(START)
print(*(own.address(name).ours for name in START))
own.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["True"] * 4


# -- the controller's desk -------------------------------------------------------------------------


class Fake(OwnServers):
    """Knows one server, without starting any."""

    def address(self, name: str) -> Address:
        if name == "valkey":
            return Address("redis://127.0.0.1:1", ours=True)
        raise PortInUse(name, "port 1 is in use", "end it")


def test_a_worker_gets_addresses_and_errors_of_its_controller() -> None:
    own = Fake()
    desk = Desk(own)
    worker = RemoteServers(*desk.whereabouts)
    assert worker.address("valkey") == Address("redis://127.0.0.1:1", ours=True)
    for _ in range(2):
        with pytest.raises(PortInUse, match="Mend: end it") as refusal:
            worker.address("nats")
        assert refusal.value.server == "nats"
    worker.close()
    desk.close()
    own.close()


def test_a_worker_without_its_key_is_turned_away_and_the_next_one_served() -> None:
    own = Fake()
    desk = Desk(own)
    host, port, key = desk.whereabouts
    with pytest.raises(AuthenticationError):
        RemoteServers(host, port, b"wrong")
    worker = RemoteServers(host, port, key)
    assert worker.address("valkey").ours
    worker.close()
    desk.close()
    own.close()


# -- an ordinary user ------------------------------------------------------------------------------

EVERY_SERVER = """
    import os
    from lab import servers

    def test_all(postgres_url, redis_url, nats_url, nats_subject, s3):
        assert os.geteuid() != 0
        with servers.postgres_pair() as pair, servers.nginx("server { listen 127.0.0.1:{port}; }"):
            assert pair.replica.query("SELECT 1") == [(1,)]
"""


def as_ordinary_user(argv: list[str]) -> list[str]:
    """The command as nobody for root, as ourselves otherwise.

    Where nobody cannot enter the folder of this Python (a home directory of mode 0700), it gets one
    capability more: to enter folders. It still cannot write, signal or own anything of root's.
    """
    if not reaper.is_root():
        return argv
    nobody = pwd.getpwnam("nobody")
    setpriv = shutil.which("setpriv")
    assert setpriv, "this test needs setpriv for root. Mend: apt-get install util-linux"
    ids = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    enter = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return [setpriv, *ids, *enter, *argv]


def test_everything_runs_as_an_ordinary_user(tmp_path: Path) -> None:
    with runs.empty_folder() as folder:
        inner = folder / "inner"
        inner.mkdir()
        path = runs.write(inner, EVERY_SERVER)
        temporary = folder / "tmp"
        temporary.mkdir()
        if who := reaper.ordinary_user():
            os.chown(temporary, who["user"], who["group"])
        done = subprocess.run(
            as_ordinary_user(runs.command(path)),
            cwd="/",
            env=runs.environment(temporary, HOME=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert (done.returncode, list(temporary.iterdir())) == (0, []), done.stdout


def test_nats_streams_of_others_stay(nats_url: str, nats_subject: str) -> None:
    import asyncio

    import nats

    from lab.fixtures import _delete_streams

    async def names() -> set[str]:
        client = await nats.connect(nats_url)
        manager = client.jsm()
        for name in (f"{nats_subject}a", f"{nats_subject}b"):
            await manager.add_stream(name=name, subjects=[f"{name}.>"])
        await _delete_streams(nats_url, f"{nats_subject}a")
        left = {s.config.name or "" for s in await manager.streams_info()}
        await client.close()
        return {name for name in left if name.startswith(nats_subject)}

    assert asyncio.run(names()) == {f"{nats_subject}b"}
