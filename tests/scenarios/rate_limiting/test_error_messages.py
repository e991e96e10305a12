"""The error messages that lead to the page are the ones a reader sees, and no others are listed."""

import asyncio
import errno
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import uvicorn
import yaml
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster
from redis.exceptions import (
    ClusterDownError,
    OutOfMemoryError,
    RedisClusterException,
    RedisError,
)

from lab import servers
from lab.eventually import eventually
from lab.servers.base import free_port
from snippets.rate_limiting.rate_limit_middleware import (
    Guard,
    Message,
    RateLimitMiddleware,
    Receive,
    Scope,
    Send,
)
from snippets.rate_limiting.redis_gcra import SCRIPT, Policy, RedisGcra, SyncRedisGcra

PAGE = Path(__file__).parents[3] / "docs" / "scenarios" / "rate-limiting.md"
POLICIES = [Policy("second", 10, 1, 1), Policy("day", 1000, 86_400, 1000)]
HTTP = {
    "429 Too Many Requests",
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
}


def forgotten_script() -> None:
    with servers.valkey() as server, Redis.from_url(server.url) as redis:
        sha = redis.script_load(SCRIPT)
        redis.script_flush()
        redis.evalsha(str(sha), 1, "key", 1, 1, 1)


def replica() -> None:
    with servers.valkey() as primary:
        replicates = ("--replicaof", f"127.0.0.1 {primary.port}")
        with servers.valkey(*replicates) as server, Redis.from_url(server.url) as redis:
            SyncRedisGcra(redis, POLICIES).hit("alice")


def full_memory() -> None:
    with servers.valkey("--maxmemory", "2mb") as server, Redis.from_url(server.url) as redis:
        with suppress(OutOfMemoryError):
            for number in range(10_000):
                redis.set(f"other-{number}", "x" * 1000)
        SyncRedisGcra(redis, POLICIES).hit("alice")


@contextmanager
def cluster() -> Iterator[tuple[str, Redis]]:
    """Start a cluster of one server; the limiter's hash tag keeps a client in one slot."""
    port = str(free_port())
    settings = ("--cluster-enabled", "yes", "--cluster-port", port)
    with servers.valkey(*settings) as server, Redis.from_url(server.url) as redis:
        redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        def passes() -> bool:
            with suppress(ClusterDownError):
                return SyncRedisGcra(redis, POLICIES).hit("alice").allowed
            return False

        eventually(passes)
        yield server.url, redis


def two_slots() -> None:
    with cluster() as (_, redis):
        redis.eval(SCRIPT, 2, "rate:alice:second", "rate:alice:day", 1, 1, 1, 1, 1)


def two_slots_by_the_cluster_client() -> None:
    with cluster() as (url, _), closing(RedisCluster.from_url(url)) as redis:
        redis.eval(SCRIPT, 2, "rate:alice:second", "rate:alice:day", 1, 1, 1, 1, 1)


@pytest.mark.anyio
async def test_the_limiters_take_the_clients_of_a_cluster() -> None:
    with cluster() as (url, _):
        with closing(RedisCluster.from_url(url)) as redis:
            assert SyncRedisGcra(redis, POLICIES).hit("bob").allowed
        async with AsyncRedisCluster.from_url(url) as cluster_redis:
            assert not (await RedisGcra(cluster_redis, POLICIES).hit("bob", cost=1000)).allowed
            assert (await RedisGcra(cluster_redis, POLICIES).hit("carol")).allowed


def standstill() -> None:
    with servers.valkey() as server, Redis.from_url(server.url, socket_timeout=0.2) as redis:
        limiter = SyncRedisGcra(redis, POLICIES)
        limiter.hit("alice")
        server.pause()
        try:
            limiter.hit("alice")
        finally:
            server.resume()


def standstill_under_asyncio() -> None:
    async def hits(url: str, server: servers.Server) -> None:
        async with AsyncRedis.from_url(url, socket_timeout=0.2) as redis:
            limiter = RedisGcra(redis, POLICIES)
            await limiter.hit("alice")
            server.pause()
            try:
                await limiter.hit("alice")
            finally:
                server.resume()

    with servers.valkey() as server:
        asyncio.run(hits(server.url, server))


def nobody_listens() -> None:
    with Redis.from_url(f"redis://127.0.0.1:{free_port()}/0") as redis:
        SyncRedisGcra(redis, POLICIES).hit("alice")


CAUSES: dict[str, Callable[[], None]] = {
    "redis.exceptions.NoScriptError: No matching script.": forgotten_script,
    "redis.exceptions.ReadOnlyError: You can't write against a read only replica.": replica,
    "redis.exceptions.OutOfMemoryError: command not allowed when used memory > 'maxmemory'.": (
        full_memory
    ),
    "redis.exceptions.ClusterCrossSlotError: Keys in request don't hash to the same slot": (
        two_slots
    ),
    "redis.exceptions.RedisClusterException: EVAL - all keys must map to the same key slot": (
        two_slots_by_the_cluster_client
    ),
    "redis.exceptions.TimeoutError: Timeout reading from socket": standstill,
    "redis.exceptions.TimeoutError: Timeout reading from 127.0.0.1:6379": standstill_under_asyncio,
    "redis.exceptions.ConnectionError: Error 111 connecting to 127.0.0.1:6379.": nobody_listens,
}


def test_every_message_of_the_page_is_proved_here() -> None:
    front_matter = PAGE.read_text(encoding="utf-8").split("---\n")[1]
    assert set(yaml.safe_load(front_matter)["error_messages"]) == HTTP | set(CAUSES)


@pytest.mark.parametrize("message", CAUSES)
def test_the_failure_shows_this_message(message: str) -> None:
    with pytest.raises((RedisError, RedisClusterException)) as caught:
        CAUSES[message]()
    kind = type(caught.value)
    shown = f"{kind.__module__}.{kind.__qualname__}: {caught.value}"
    # The reader's port is the default one; the number of "connection refused" is the system's.
    shown = re.sub(r"(?<=127\.0\.0\.1:)\d+", "6379", shown)
    shown = shown.replace(f"Error {errno.ECONNREFUSED} ", "Error 111 ")
    assert shown.startswith(message)


@pytest.mark.anyio
async def test_a_refused_client_sees_these_words(redis_url: str) -> None:
    async def hello(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        assert await receive()
        start: Message = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"hello"})

    async with AsyncRedis.from_url(redis_url) as redis:
        guard = Guard(outage=(OSError, RedisError), timeout=5.0)
        app = RateLimitMiddleware(hello, RedisGcra(redis, [Policy("p", 1, 60, 1)]), guard=guard)
        port = free_port()
        config = uvicorn.Config(app, port=port, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to await
                await asyncio.sleep(0.01)
            answers = [await get(port) for _ in range(2)]
        finally:
            server.should_exit = True
            await serving
    assert answers[0].startswith("HTTP/1.1 200 OK")
    for words in HTTP | {"Retry-After"}:
        assert words.casefold() in answers[1].casefold()


async def get(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()
