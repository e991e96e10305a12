"""The HTTP side alone: what is refused, how many streams at once, and what ends one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from snippets.bulk_download.export_endpoint import ExportResponse, Exports, Limits, disposition
from tests.scenarios.bulk_download.conftest import Demo

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Tenant:
    tenant: str


def known(request: Request) -> tuple[Tenant, frozenset[str]]:
    return Tenant(request.headers["x-user"].partition("/")[0]), frozenset()


def test_the_demo_refuses_what_it_should(demo: Demo) -> None:
    lines = demo("export_endpoint")
    codes = [line.strip() for line in lines if line.strip().isdigit()]
    assert codes == ["200", "429", "403", "400", "303", "409", "404"]
    assert "  closed after 3 blocks" in lines


@pytest.mark.parametrize(
    ("name", "plain", "extended"),
    [
        ("a.csv", "a.csv", "a.csv"),
        ("\u20ac uro.csv", "_ uro.csv", "%E2%82%AC%20uro.csv"),
        ('a"\r\nSet-Cookie: x=1', "aSet-Cookie: x=1", "aSet-Cookie%3A%20x%3D1"),
        ("../../etc/passwd", "....etcpasswd", "....etcpasswd"),
        ("\n", "export", "export"),
    ],
)
async def test_a_file_name_cannot_leave_its_header(name: str, plain: str, extended: str) -> None:
    assert disposition(name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"


async def test_a_client_that_reads_nothing_loses_its_stream_after_a_while() -> None:
    source = Endless()
    response = ExportResponse(source, source.close, {}, seconds=0.05)
    stuck = asyncio.Event().wait

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
        if message["type"] == "http.response.body":
            await stuck()  # the client's window is full

    async def receive() -> Any:  # noqa: ANN401 - ASGI
        await stuck()

    for version in ("2.3", "2.4"):
        source.closed.clear()
        scope = {"type": "http", "asgi": {"spec_version": version}}
        with pytest.raises(TimeoutError):
            await response(scope, receive, send)
        assert source.closed.is_set()


class Endless:
    """A source that never ends, and tells when it is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"id\n"
        await asyncio.Event().wait()

    def close(self) -> None:
        self.closed.set()


async def test_a_tenant_has_two_streams_and_a_client_that_leaves_frees_one() -> None:
    sources: list[Endless] = []

    class Backend:
        async def count(self, *_: object) -> int:
            return 1

        def stream(self, *_: object) -> Endless:
            sources.append(Endless())
            return sources[-1]

        def coding(self, _: object) -> str:
            return "identity"

        def encode(self, source: Endless, *_: object) -> Endless:
            return source

    backend: Any = Backend()
    exports = Exports(backend, known, {"id": None}, Limits(all_streams=3))
    app = Starlette(routes=exports.routes)

    async def ask(user: str, leave: asyncio.Event) -> tuple[int, dict[str, str]]:
        head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def receive() -> dict[str, str]:
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
            if message["type"] == "http.response.start":
                head.set_result(message)

        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/orders.csv"}
        scope |= {"headers": [(b"x-user", user.encode())], "query_string": b""}
        tasks.append(asyncio.create_task(app(scope, receive, send)))
        found = await head
        return found["status"], {k.decode(): v.decode() for k, v in found["headers"]}

    tasks: list[asyncio.Task[None]] = []
    gone, stays = asyncio.Event(), asyncio.Event()
    assert (await ask("acme/ann", gone))[0] == 200
    assert (await ask("acme/ben", stays))[0] == 200
    status, headers = await ask("acme/cid", stays)
    assert (status, headers["retry-after"]) == (429, "5")
    assert (await ask("bolt/bo", stays))[0] == 200
    status, headers = await ask("cafe/cy", stays)  # its first one, and there are three
    assert (status, headers["retry-after"]) == (503, "5")
    gone.set()
    await asyncio.wait_for(sources[0].closed.wait(), 10)
    await tasks[0]
    assert (await ask("acme/cid", stays))[0] == 200
    stays.set()
    await asyncio.gather(*tasks)
    assert exports.running == {}  # no tenant is remembered
