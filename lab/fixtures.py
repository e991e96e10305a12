"""pytest plugin: real servers for tests, each test in a space of its own.

Fixtures: `postgres_url` (a fresh database), `redis_url` (an empty database number), `nats_url` and
`nats_subject` (a unique subject prefix), `s3` (a fresh bucket). The servers behind them are started
once per run, at once, and only those that the collected tests name. A server that cannot be had
fails the tests that need it, with what to do, and no others.

A server of the reader's own is used when FIREDRILL_TEST_POSTGRES_URL, FIREDRILL_TEST_REDIS_URL,
FIREDRILL_TEST_NATS_URL or FIREDRILL_TEST_S3_URL is set. Nothing that was in it is touched: tests
get a new database, an empty database number, a new subject prefix, a new bucket, and afterwards
only what they put there is removed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from lab import reaper
from lab.errors import ServerUnavailable
from lab.servers import Bucket
from lab.shared import Address, Desk, OwnServers, RemoteServers, Servers

NEEDS = {
    "postgres_url": "postgres",
    "redis_url": "valkey",
    "nats_url": "nats",
    "nats_subject": "nats",
    "s3": "s3",
}
_servers = pytest.StashKey[Servers]()
_desk = pytest.StashKey[Desk]()


# -- one set of servers per run --------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)  # before pytest chooses its folder for `tmp_path`
def pytest_configure(config: pytest.Config) -> None:
    """Make the run's servers reachable; none is started yet. `tmp_path` ends with the run too.

    `--basetemp=DIR` keeps the tests' folders for a look.
    """
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        config.stash[_servers] = OwnServers()
        if config.option.basetemp is None and not config.option.collectonly:
            config.option.basetemp = str(_run().folder / "tmp")
    else:
        host, port, key, folder = workerinput["lab"]
        reaper.join(Path(folder))
        config.stash[_servers] = RemoteServers(host, port, key)


def _run() -> reaper.Run:
    try:
        return reaper.current()
    except ServerUnavailable as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - pytest-xdist has no types
    """Controller of pytest-xdist: tell each worker where the servers are to be asked for."""
    stash = node.config.stash
    if _desk not in stash:
        stash[_desk] = Desk(stash[_servers])
    folder = str(_run().folder)
    node.workerinput["lab"] = (*stash[_desk].whereabouts, folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to start, all at once, the servers that the collected tests name."""
    if not session.config.option.collectonly:
        names = {NEEDS[n] for item in session.items for n in _fixtures(item) if n in NEEDS}
        session.config.stash[_servers].prepare(names)


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers and remove everything the run made, also after ctrl-C."""
    if _desk in config.stash:
        config.stash[_desk].close()
    if _servers in config.stash:
        config.stash[_servers].close()
    reaper.close()


def _address(request: pytest.FixtureRequest, name: str) -> Address:
    try:
        return request.config.stash[_servers].address(name)
    except ServerUnavailable as error:
        pytest.fail(str(error), pytrace=False)


def _refuse(name: str, what: str, mend: str) -> None:
    pytest.fail(str(ServerUnavailable(name, what, mend)), pytrace=False)


# -- one space per test ----------------------------------------------------------------------------


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a fresh PostgreSQL database, dropped afterwards with whoever is connected."""
    import psycopg  # here and below: a run that needs no server does not pay for its client

    server = _address(request, "postgres").url
    name = f"firedrill_{secrets.token_hex(8)}"
    parts = urlsplit(server)
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
    except psycopg.Error as error:
        mend = "give its user CREATEDB, or unset FIREDRILL_TEST_POSTGRES_URL"
        _refuse("postgres", f"no database can be made for this test ({error})", mend)
    yield urlunsplit(parts._replace(path=f"/{name}"))
    with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of an empty Redis database number (the last part of the path), emptied afterwards.

    Publish and subscribe know no database numbers: use a channel name of your own.
    """
    import redis

    server = _address(request, "valkey")
    number = _empty_database(server.url, *_worker(request.config))
    url = urlunsplit(urlsplit(server.url)._replace(path=f"/{number}"))
    yield url
    with redis.Redis.from_url(url) as client:
        if server.ours:
            client.flushdb()
        else:  # it was empty, so all that is there now came from this test
            for key in client.scan_iter(count=1000):
                client.unlink(key)


def _worker(config: pytest.Config) -> tuple[int, int]:
    """This worker's number, from 0, and how many there are: (0, 1) without pytest-xdist."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        return 0, 1
    count = int(workerinput["workercount"])
    return int(workerinput["workerid"].removeprefix("gw")) % count, count


def _empty_database(server: str, worker: int, workers: int) -> int:
    """The highest empty database number among those that are this worker's (number mod workers)."""
    import redis

    with redis.Redis.from_url(server) as client:
        try:
            databases = int(client.config_get("databases")["databases"])
        except redis.ResponseError:  # a managed server tells nothing; 16 is the default
            databases = 16
        except redis.RedisError as error:
            mend = "start it, or unset FIREDRILL_TEST_REDIS_URL"
            _refuse("valkey", f"{server} does not answer ({error})", mend)
    for number in reversed(range(worker, databases, workers)):
        url = urlunsplit(urlsplit(server)._replace(path=f"/{number}"))
        with redis.Redis.from_url(url) as client:
            try:
                if client.dbsize() == 0:
                    return number
            except redis.ResponseError:  # no such database here (a cluster has only number 0)
                continue
    _refuse(
        "valkey",
        f"none of its {databases} database numbers that worker {worker + 1} of {workers} may use"
        " is empty, and tests never empty one",
        "empty one yourself, use fewer workers, or unset FIREDRILL_TEST_REDIS_URL",
    )
    raise AssertionError


@pytest.fixture
def nats_url(request: pytest.FixtureRequest) -> str:
    """Address of a NATS server with JetStream, shared: use `nats_subject` for every name."""
    return _address(request, "nats").url


@pytest.fixture
def nats_subject(nats_url: str) -> Iterator[str]:
    """A unique prefix for subjects, and for stream, bucket and durable names.

    Streams with that prefix in their name or subjects are removed afterwards.
    """
    prefix = f"firedrill_{secrets.token_hex(8)}"
    yield prefix
    # A thread has no event loop yet, whatever the test did with its own.
    thread = threading.Thread(target=lambda: asyncio.run(_delete_streams(nats_url, prefix)))
    thread.start()
    thread.join()


async def _delete_streams(url: str, prefix: str) -> None:
    import nats

    client = await nats.connect(url, connect_timeout=5)
    try:
        manager = client.jsm()
        for stream in await manager.streams_info():
            name, subjects = stream.config.name or "", stream.config.subjects or []
            # A key-value bucket `x` is the stream `KV_x`, an object store `OBJ_x`.
            if prefix in name or any(s.startswith(prefix) for s in subjects):
                await manager.delete_stream(name)
    finally:
        await client.close()


@pytest.fixture
def s3(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """A fresh S3 bucket and its keys; removed afterwards with all its versions and uploads."""
    server = _address(request, "s3")
    name = f"firedrill-{secrets.token_hex(8)}"
    keys = (server.access_key, server.secret_key, server.region)
    bucket = Bucket(server.url, *keys, name)
    client = bucket.client()
    try:
        try:
            client.create_bucket(Bucket=name)
        except Exception as error:  # noqa: BLE001 - whatever boto3 says goes to the reader
            mend = "let its keys make buckets, or unset FIREDRILL_TEST_S3_URL"
            _refuse("s3", f"no bucket can be made for this test ({error})", mend)
        yield bucket
        _delete_bucket(client, name)
    finally:
        client.close()


def _delete_bucket(client: Any, name: str) -> None:  # noqa: ANN401 - boto3's client
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", ()):
            key, number = upload["Key"], upload["UploadId"]
            client.abort_multipart_upload(Bucket=name, Key=key, UploadId=number)
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            client.delete_object(Bucket=name, Key=found["Key"], VersionId=found["VersionId"])
    client.delete_bucket(Bucket=name)
