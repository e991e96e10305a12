"""The whole service: rows from a database, jobs, and files in an object store."""

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

import asyncpg
import httpx2
import psycopg
import pytest
import zstandard
from starlette.applications import Starlette

from lab.servers import Bucket
from snippets.bulk_download.export_endpoint import (
    Limits,
    create,
)
from snippets.bulk_download.export_manifest import without_trailer
from snippets.bulk_download.resumable_download import Expected, download
from tests.scenarios.bulk_download.conftest import SNIPPETS, Client
from tests.scenarios.bulk_download.service import authenticate

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("beside")]
ANN = {"x-user": "acme/ann"}
BEN = {"x-user": "acme/ben"}


@asynccontextmanager
async def serving(
    url: str,
    client: Client,
    bucket: str,
    **limits: Any,  # noqa: ANN401 - of two types
) -> AsyncIterator[Any]:
    """The service in this process, and a client of it."""
    app = create(url, client, bucket, authenticate, Limits(**limits))
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
def no_worker(monkeypatch: pytest.MonkeyPatch, beside: str) -> None:
    """Jobs stay queued."""
    assert beside in sys.path
    import export_job  # the file beside it, as `create` imports it

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(export_job, "run_one", nothing)


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


@pytest.mark.usefixtures("no_worker")
async def test_head_is_the_headers_without_a_query_or_a_job(orders_url: str) -> None:
    async with serving(orders_url, None, "none", most_rows=100) as http:
        with psycopg.connect(orders_url) as conn:
            conn.execute("LOCK TABLE orders")  # a count would wait for ever
            answer = await http.head("/orders.csv")
        assert (answer.status_code, answer.content) == (200, b"")
        assert "content-disposition" in answer.headers
        assert "content-length" not in answer.headers  # GET's is not 0
        refused = await http.head("/orders.csv?columns=password")
        assert refused.status_code == 400
        with psycopg.connect(orders_url) as conn:
            assert conn.execute("SELECT count(*) FROM exports").fetchone() == (0,)
        assert (await http.get("/peak")).status_code == 404  # nothing else is served


async def test_a_client_that_asks_gets_a_last_line_that_proves_the_rows(
    http: httpx2.AsyncClient,
) -> None:
    for coding in ("identity", "gzip"):
        headers = {"accept-encoding": coding}
        answer = await http.get("/orders.csv?trailer=1", headers=headers)
        plain = await http.get("/orders.csv", headers=headers)
        assert b"".join(without_trailer([answer.content])) == plain.content


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

    for nobody in (BEN, {"x-user": "bolt/ann"}):
        for address in (path, f"{path}/file"):
            assert (await jobs.get(address, headers=nobody)).status_code == 404
        assert (await jobs.delete(path, headers=nobody)).status_code == 404
    for address in (path, f"{path}/file"):  # 404 would say that the export is gone
        assert (await jobs.get(address, headers={"x-user": ""})).status_code == 401
    for invented in ("1", "%00", "a%00b"):
        assert (await jobs.get(f"/exports/{invented}/file")).status_code == 404
        assert (await jobs.delete(f"/exports/{invented}")).status_code == 404

    answer = await jobs.get(f"{path}/file")
    assert answer.status_code == 303
    with httpx2.Client() as store:
        file = tmp_path / "orders.csv.gz"
        expected = Expected(job["etag"], job["sha256"])
        download(store, answer.headers["location"], file, expected)
    data = gzip.decompress(file.read_bytes())  # what a person's computer can open
    assert len(rows(data)) == 3001
    assert rows(data)[4] == ["4", "'=1+1"]
    assert (await jobs.delete(path)).status_code == 409  # it is over


@pytest.mark.usefixtures("no_worker")
async def test_clicks_are_one_job_the_third_is_refused_and_a_cancelled_one_has_no_file(
    orders_url: str,
) -> None:
    async with serving(orders_url, None, "none", most_rows=100) as http:
        wanted = ["id", "id", "customer", "amount"]
        answers = [await http.get(f"/orders.csv?columns={columns}") for columns in wanted]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        places = [answer.headers.get("location") for answer in answers]
        assert places[0] == places[1] != places[2]  # asked again, it is the same job
        assert answers[3].headers["retry-after"] == "60"
        path = answers[0].headers["location"]
        assert (await http.get(f"{path}/file")).status_code == 409
        assert (await http.delete(path)).status_code == 204
        assert (await http.get(f"{path}/file")).status_code == 410


async def test_a_stream_over_http_1_0_is_refused_unless_its_last_line_proves_it(
    orders_url: str,
) -> None:
    class Old(httpx2.ASGITransport):
        """What nginx says unless told otherwise."""

        def __init__(self, app: Starlette) -> None:
            async def old(scope: Any, *more: Any) -> None:  # noqa: ANN401 - ASGI
                await app({**scope, "http_version": "1.0"}, *more)

            super().__init__(old)

    app = create(orders_url, None, "none", authenticate, Limits())
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=Old(app), base_url="http://a.example", headers=ANN) as http,
    ):
        answer = await http.get("/orders.csv")
        assert (answer.status_code, answer.headers["upgrade"]) == (426, "HTTP/1.1")
        assert (await http.get("/orders.csv?trailer=1")).status_code == 200


async def test_a_job_may_take_longer_than_a_stream(orders_url: str, s3: Bucket) -> None:
    client = s3.client()
    async with serving(
        orders_url, client, s3.name, most_rows=100, seconds=0.001, job_seconds=60
    ) as http:
        path = (await http.get("/orders.csv")).headers["location"]
        assert (await until(http, path, "ready"))["rows"] == 3000
        with pytest.raises(TimeoutError):  # the same rows, were they streamed
            await http.get("/orders.csv", headers={"x-user": "bolt/bo"})
    client.close()


async def test_the_service_tidies_up_and_outlives_a_database_that_does_not_answer(
    orders_url: str, s3: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    client = s3.client()
    dead = "INSERT INTO exports (tenant, owner, request, state, attempt, lease)"
    async with asyncpg.create_pool(orders_url, min_size=1, max_size=1) as pool:
        async with serving(orders_url, client, s3.name, most_rows=100):
            await pool.execute(f"{dead} VALUES ('acme', 'ann', '{{}}', 'running', 3, now())")
        async with serving(orders_url, client, s3.name, most_rows=100) as http:
            query = "SELECT EXISTS (SELECT FROM exports WHERE state = 'failed')"
            async with asyncio.timeout(10):
                while not await pool.fetchval(query):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await pool.execute("ALTER TABLE exports RENAME TO away")
            async with asyncio.timeout(10):
                while "no job could be run" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await pool.execute("ALTER TABLE away RENAME TO exports")
            path = (await http.get("/orders.csv")).headers["location"]
            await until(http, path, "ready")
        async with serving(orders_url, client, "no-such-bucket"), asyncio.timeout(10):
            while "not tidied up" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    client.close()


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
