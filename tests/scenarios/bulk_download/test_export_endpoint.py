"""The HTTP side: what is refused, what is streamed, what becomes a job, and who gets the file."""

import asyncio
import csv
import gzip
import io
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import zstandard
from starlette.applications import Starlette

from lab.servers import Bucket
from snippets.bulk_download.export_endpoint import Exports, create, disposition
from snippets.bulk_download.resumable_download import Expected, download
from tests.scenarios.bulk_download.conftest import SNIPPETS, Client, Demo
from tests.scenarios.bulk_download.service import authenticate

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("beside")]
ANN = {"x-user": "acme/ann"}
BEN = {"x-user": "acme/ben"}


@asynccontextmanager
async def serving(url: str, client: Client, bucket: str, **limits: int) -> AsyncIterator[Any]:
    """The service in this process, and a client of it."""
    app = create(url, client, bucket, authenticate, **limits)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://export.example", headers=ANN
        ) as http,
    ):
        yield http


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(SNIPPETS))  # a reader has the files in one folder
    return str(SNIPPETS)


@pytest.fixture
async def http(orders_url: str, beside: str) -> AsyncIterator[httpx2.AsyncClient]:
    assert beside in sys.path
    async with serving(orders_url, None, "none", most_rows=3000) as client:
        yield client


@pytest.fixture
async def jobs(orders_url: str, s3: Bucket, beside: str) -> AsyncIterator[httpx2.AsyncClient]:
    assert beside in sys.path
    client = s3.client()
    async with serving(orders_url, client, s3.name, most_rows=100) as http:
        yield http
    client.close()


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


async def test_a_small_export_is_the_tenants_rows_and_nobody_elses(
    http: httpx2.AsyncClient,
) -> None:
    url = "/orders.csv?columns=id,customer,amount"
    answer = await http.get(url, headers={"accept-encoding": "identity"})
    found = rows(answer.content)
    assert (answer.status_code, len(found)) == (200, 3001)
    assert found[4] == ["4", "'=1+1", "-0.04"]  # text is escaped, a number is not
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith(
        'attachment; filename="orders-acme.csv"'
    )
    assert answer.headers["accept-ranges"] == "none"
    assert "content-encoding" not in answer.headers
    assert "content-length" not in answer.headers  # nobody knows it yet
    other = await http.get("/orders.csv?columns=id", headers={"x-user": "bolt/bo"})
    assert rows(other.content)[1:] == [[str(n)] for n in range(3001, 3011)]


async def test_the_body_is_compressed_as_the_client_likes(http: httpx2.AsyncClient) -> None:
    for coding in ("gzip", "zstd"):
        await compressed_by(http, coding)


async def compressed_by(http: httpx2.AsyncClient, coding: str) -> None:
    request = http.build_request("GET", "/orders.csv", headers={"accept-encoding": coding})
    answer = await http.send(request, stream=True)
    raw = b"".join([block async for block in answer.aiter_raw()])
    await answer.aclose()
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "accept-encoding"
    read = {
        "gzip": gzip.decompress,
        "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
    }
    assert len(rows(read[coding](raw))) == 3001


async def test_no_rows_are_a_header_and_200(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/orders.csv?columns=id", headers={"x-user": "none/nell"})
    assert (answer.status_code, answer.content) == (200, b"id\n")


REFUSALS: list[tuple[str, dict[str, str], int]] = [
    ("", {"x-user": ""}, 401),
    ("columns=password", {}, 400),
    ("columns=id,id", {}, 400),
    ("columns=", {}, 400),
    ("columns=id;drop table orders", {}, 400),
    ("columns=email", {}, 403),
    ("", {"accept-encoding": "br, identity;q=0"}, 406),
]


async def test_what_may_not_be_asked_for_is_refused(http: httpx2.AsyncClient) -> None:
    for query, headers, status in REFUSALS:
        answer = await http.get(f"/orders.csv?{query}", headers=headers)
        assert (query, answer.status_code) == (query, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
    answer = await http.get("/orders.csv?columns=email", headers={"x-user": "acme/ann/pii"})
    assert answer.status_code == 200


async def test_head_costs_no_query(http: httpx2.AsyncClient) -> None:
    answer = await http.head("/orders.csv")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-disposition" in answer.headers
    assert (await http.get("/peak")).status_code == 404  # nothing else is served


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

        def encode(self, source: Endless, _: object) -> tuple[str, Endless]:
            return "identity", source

    backend: Any = Backend()
    app = Starlette(routes=Exports(backend, authenticate, {"id": None}).routes)

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
    gone.set()
    await asyncio.wait_for(sources[0].closed.wait(), 10)
    await tasks[0]
    assert (await ask("acme/cid", stays))[0] == 200
    stays.set()
    await asyncio.gather(*tasks)


async def until(http: httpx2.AsyncClient, path: str, state: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            answer = await http.get(path)
            if answer.json()["state"] == state:
                return dict(answer.json())
            assert answer.headers["retry-after"] == "5"
            await asyncio.sleep(0.02)


async def test_a_large_export_is_a_job_whose_file_only_its_owner_gets(
    jobs: httpx2.AsyncClient, tmp_path: Path
) -> None:
    answer = await jobs.get("/orders.csv?columns=id,customer")
    assert answer.status_code == 202
    path = answer.headers["location"]
    job = await until(jobs, path, "ready")
    assert job["rows"] == 3000
    assert "key" not in job  # where the file is, is nobody's business

    for nobody in (BEN, {"x-user": "bolt/ann"}, {"x-user": ""}):
        for address in (path, f"{path}/file"):
            assert (await jobs.get(address, headers=nobody)).status_code == 404
        assert (await jobs.delete(path, headers=nobody)).status_code == 404
    assert (await jobs.get("/exports/1/file")).status_code == 404

    answer = await jobs.get(f"{path}/file")
    assert answer.status_code == 303
    with httpx2.Client() as store:
        file = tmp_path / "orders.csv.zst"
        expected = Expected(job["etag"], job["sha256"])
        download(store, answer.headers["location"], file, expected)
    data = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
    assert len(rows(data)) == 3001
    assert rows(data)[4] == ["4", "'=1+1"]
    assert (await jobs.delete(path)).status_code == 409  # it is over


async def test_the_third_click_is_refused_and_a_cancelled_job_has_no_file(
    orders_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import export_job  # the file beside it, as `create` imports it

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(export_job, "run_one", nothing)  # no worker takes them
    async with serving(orders_url, None, "none", most_rows=100) as http:
        answers = [await http.get("/orders.csv") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[2].headers["retry-after"] == "60"
        path = answers[0].headers["location"]
        assert (await http.get(f"{path}/file")).status_code == 409
        assert (await http.delete(path)).status_code == 204
        assert (await http.get(f"{path}/file")).status_code == 410


async def test_the_address_of_the_file_expires(
    jobs: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.auth

    path = (await jobs.get("/orders.csv")).headers["location"]
    await until(jobs, path, "ready")
    now = botocore.auth.get_current_datetime

    def earlier(*arguments: Any, **names: Any) -> Any:  # noqa: ANN401 - botocore's
        return now(*arguments, **names).fromtimestamp(time.time() - 120, now().tzinfo)

    fresh = (await jobs.get(f"{path}/file")).headers["location"]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", earlier)
    stale = (await jobs.get(f"{path}/file")).headers["location"]
    async with httpx2.AsyncClient() as store:
        assert (await store.get(fresh)).status_code == 200
        assert (await store.get(stale)).status_code == 403
        forged = fresh.replace("/acme/", "/bolt/")
        assert (await store.get(forged)).status_code == 403


def test_the_demo_refuses_what_it_should(demo: Demo) -> None:
    lines = demo("export_endpoint")
    codes = [line.strip() for line in lines if line.strip().isdigit()]
    assert codes == ["200", "429", "403", "400", "303", "409", "404"]
    assert "  closed after 3 blocks" in lines
