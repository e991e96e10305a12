"""The upload is a job resource: accepted once, whatever the client and the network do."""

import asyncio
import gzip
import json
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import psycopg
import pytest
from fastapi import FastAPI, Request

from lab.eventually import eventually
from snippets.bulk_upload import import_api
from tests.scenarios.bulk_upload.imports import HEADER, Db, count, good_rows, serving, shown

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("beside")]

BODY = HEADER + b"".join(good_rows(3))
Client = httpx2.AsyncClient


@pytest.fixture
async def client(db_url: str) -> AsyncIterator[Client]:
    """A client of the wired application, signed in as the tenant acme."""
    app = import_api.build(db_url)
    async with app.router.lifespan_context(app), as_tenant(app, "acme") as acme:
        yield acme


def as_tenant(app: FastAPI, tenant: str) -> Client:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    cookies = {"tenant": tenant} if tenant else {}
    return Client(transport=transport, base_url="http://test", cookies=cookies)


async def post(
    client: Client, content: bytes | AsyncIterator[bytes] = BODY, key: str = "k", **headers: str
) -> httpx2.Response:
    given = {"Idempotency-Key": key, "Content-Type": "text/csv", **headers}
    return await client.post("/imports", content=content, headers=given)


def body_of(db: Db) -> bytes:
    return b"".join(bytes(b) for (b,) in db.execute("SELECT body FROM import_blocks ORDER BY at"))


async def test_an_upload_is_accepted_stored_and_enqueued(client: Client, db: Db) -> None:
    answer = await post(client)
    assert answer.status_code == 202
    import_id = answer.json()["id"]
    assert answer.headers["location"] == f"/imports/{import_id}"
    assert body_of(db) == BODY
    rows = db.execute("SELECT kind, payload, dedupe_key FROM jobs").fetchall()
    assert rows == [("import", {"import_id": import_id}, import_id)]
    told = (await client.get(answer.headers["location"])).json()
    assert (told["state"], told["bytes_total"], told["bytes_done"]) == ("queued", len(BODY), 0)
    assert (told["line"], told["stale"]) == (1, 0)


async def test_a_retry_gives_the_same_import_and_another_file_is_refused(
    client: Client, db: Db
) -> None:
    first = await post(client)
    db.execute("UPDATE imports SET touched = now() - interval '1 hour'")
    again = await post(client)
    assert (again.status_code, again.json()) == (202, first.json())
    packed = await post(client, gzip.compress(BODY), **{"Content-Encoding": "GZIP"})
    assert packed.json() == first.json()
    broken = await post(client, BODY, **{"Content-Encoding": "gzip"})
    assert (broken.status_code, broken.json()["title"]) == (422, "the body is no gzip")
    other = await post(client, BODY + b"x")
    assert other.status_code == 422
    assert other.headers["content-type"] == "application/problem+json"
    assert (await post(client, key="another")).json() != first.json()
    assert count(db, "imports") == count(db, "jobs") == 2


async def test_the_key_of_another_tenant_is_another_key(client: Client, db: Db) -> None:
    await post(client)
    client.cookies.set("tenant", "other")
    first = await post(client, BODY + b"x")
    assert first.status_code == 202
    assert (await post(client, BODY + b"x")).json() == first.json()
    assert count(db, "imports") == 2


async def test_a_second_upload_with_the_key_of_one_under_way_is_told_to_wait(
    client: Client, db: Db
) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield BODY[:30]
        started.set()
        await go_on.wait()
        yield BODY[30:]

    first = asyncio.create_task(post(client, slowly()))
    await started.wait()
    second = await post(client)
    assert second.status_code == 409
    assert second.headers["retry-after"] == "5"
    go_on.set()
    accepted = await first
    assert accepted.status_code == 202
    assert (await post(client)).json() == accepted.json()
    assert count(db, "imports") == count(db, "jobs") == 1
    assert body_of(db) == BODY


@pytest.mark.parametrize("sent", [30, len(BODY)])
async def test_a_key_whose_upload_was_abandoned_is_free_after_a_minute(
    client: Client, db: Db, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    monkeypatch.setattr(import_api, "BLOCK", 1)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def hangs() -> AsyncIterator[bytes]:
        yield BODY[:sent]
        started.set()
        await go_on.wait()
        yield BODY[sent:]

    first = asyncio.create_task(post(client, hangs()))
    await started.wait()
    db.execute("UPDATE imports SET touched = now() - interval '61 s'")
    second = await post(client)
    assert second.status_code == 202
    go_on.set()
    late = await first
    assert late.status_code == 409
    assert "another upload" in late.json()["title"]
    assert count(db, "imports") == count(db, "jobs") == 1
    assert body_of(db) == BODY


async def test_a_slow_upload_keeps_its_key_as_long_as_blocks_come(
    client: Client, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_api, "BLOCK", 1)
    second = []

    async def slowly() -> AsyncIterator[bytes]:
        yield BODY[:30]
        db.execute("UPDATE imports SET touched = now() - interval '61 s'")
        yield BODY[30:40]
        second.append((await post(client)).status_code)
        yield BODY[40:]

    assert (await post(client, slowly())).status_code == 202
    assert second == [409]


async def test_an_error_behind_the_accept_takes_nothing_back(
    client: Client, db: Db, db_url: str
) -> None:
    import_id = (await post(client)).json()["id"]
    async with import_api.Pool(db_url, min_size=1) as pool:
        await import_api.discard(pool, import_id)
    assert body_of(db) == BODY


async def test_an_upload_that_is_cancelled_leaves_nothing(client: Client, db: Db) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield BODY[:30]
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await post(client, breaks())
    assert count(db, "imports") == count(db, "import_blocks") == 0
    assert (await post(client)).status_code == 202


async def test_a_client_that_hangs_up_in_mid_upload_leaves_nothing(
    db_url: str, db: Db, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(db_url) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /imports HTTP/1.1\r\nHost: x\r\nCookie: tenant=acme\r\nIdempotency-Key: k\r\n"
            b"Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\n" + BODY
        )
        await writer.drain()
        await asyncio.to_thread(eventually, lambda: count(db, "imports") == 1)
        writer.close()
        await asyncio.to_thread(eventually, lambda: count(db, "imports") == 0)
    assert count(db, "import_blocks") == count(db, "jobs") == 0
    assert not caplog.records


def bomb() -> bytes:
    return gzip.compress(b"sku,name,price,stock\n" + b"0" * 3_000_000)


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"key": ""}, 400, "Idempotency-Key"),
    ({"key": "k" * 256}, 400, "Idempotency-Key"),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415, "text/csv"),
    ({"Content-Type": "text/csvx"}, 415, "text/csv"),
    ({"Content-Type": "text/csv; charset=iso-8859-1"}, 415, "UTF-8"),
    ({"Content-Encoding": "br"}, 415, "Content-Encoding"),
    ({"Content-Encoding": "gzip"}, 422, "no gzip"),
    ({"Content-Encoding": "gzip", "content": gzip.compress(BODY)[:-9]}, 422, "cut off"),
    ({"Content-Encoding": "gzip", "content": gzip.compress(BODY) * 2}, 422, "follows the gzip"),
    ({"Content-Encoding": "gzip", "content": bomb()}, 413, "over 1000000 bytes"),
    ({"content": b"x" * 1_000_001}, 413, "over 1000000 bytes"),
    ({"content": b""}, 422, "empty"),
    ({"content": b"sku;name;price;stock\n"}, 422, "header"),
    ({"content": b"\n"}, 422, "header"),
]


async def test_whatever_is_wrong_is_a_problem_that_says_so_and_never_a_500(
    client: Client, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_api, "MAX_BYTES", 1_000_000)
    for options, status, words in BAD:
        answer = await post(client, **options)
        assert (answer.status_code, words in answer.json()["title"]) == (status, True), options
        assert answer.headers["content-type"] == "application/problem+json"
    assert count(db, "imports") == count(db, "import_blocks") == count(db, "jobs") == 0
    for n, kind in enumerate(("Text/CSV", "text/csv; header=present; charset=UTF-8")):
        largest = BODY + b"x" * (1_000_000 - len(BODY))
        assert (await post(client, largest, f"{n}", **{"Content-Type": kind})).status_code == 202


async def test_a_wrong_header_is_refused_with_all_its_faults(client: Client) -> None:
    answer = await post(client, b"sku,name,colour\nA,b,c\n")
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/header/colour", "/header/price", "/header/stock",
    ]  # fmt: skip


async def test_a_bomb_is_unpacked_one_block_at_a_time() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000, wbits=31)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bomb, "more_body": False}

    scope = {"type": "http", "headers": [(b"content-encoding", b"gzip")]}
    request = Request(scope, receive)
    sizes = [len(piece) async for piece in import_api.unpacked(request)]
    assert sum(sizes) == 50_000_000
    assert max(sizes) == import_api.BLOCK


async def test_blocks_are_joined_from_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_api, "BLOCK", 10)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield b"abc"

    assert [len(b) async for b in import_api.blocks(pieces())] == [12, 9]


async def test_nothing_of_another_tenant_can_be_seen_or_cancelled(client: Client, db: Db) -> None:
    place = (await post(client)).headers["location"]
    for tenant, status in (("other", 404), ("", 401)):
        client.cookies.clear()
        if tenant:
            client.cookies.set("tenant", tenant)
        for path in (place, f"{place}/events", f"{place}/rejects.csv", f"{place}/page"):
            assert (await client.get(path)).status_code == status
        assert (await client.delete(place)).status_code == status
    assert (await post(client)).status_code == 401
    assert db.execute("SELECT state FROM imports").fetchall() == [("queued",)]
    client.cookies.set("tenant", "acme")
    assert (await client.get(f"/imports/{uuid.uuid4()}")).status_code == 404
    assert (await client.get("/imports/1 OR 1=1")).status_code == 422


async def test_a_cancelled_import_stays_cancelled_and_a_completed_one_completed(
    client: Client, db: Db
) -> None:
    answer = await post(client)
    place, import_id = answer.headers["location"], answer.json()["id"]
    ends = (("queued", "cancelled"), ("running", "cancelled"), ("completed", "completed"))
    for before, after in ends:
        db.execute("UPDATE imports SET state = %s", (before,))
        assert (await client.delete(place)).status_code == 202
        assert shown(db, import_id)["state"] == after


async def test_the_page_watches_its_import(client: Client) -> None:
    place = (await post(client)).headers["location"]
    page = await client.get(f"{place}/page")
    assert f'new EventSource("{place}/events")' in page.text


async def test_rejects_are_a_csv_that_no_spreadsheet_executes(client: Client, db: Db) -> None:
    answer = await post(client)
    values = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "", 'a "b", c', "fine"]
    for line, value in enumerate(values, 2):
        db.execute(
            "INSERT INTO rejects VALUES (%s, %s, 'name', 'rule', %s)",
            (answer.json()["id"], line, value),
        )
    found = await client.get(f"{answer.headers['location']}/rejects.csv")
    assert found.headers["content-type"].startswith("text/csv")
    assert "attachment" in found.headers["content-disposition"]
    assert found.text == (
        "line,column,code,value\r\n2,name,rule,'=1+1\r\n3,name,rule,'+1\r\n4,name,rule,'-1\r\n"
        "5,name,rule,'@x\r\n6,name,rule,'\tx\r\n7,name,rule,\"'\rx\"\r\n8,name,rule,\"'\nx\"\r\n"
        '9,name,rule,\r\n10,name,rule,"a ""b"", c"\r\n11,name,rule,fine\r\n'
    )


async def test_a_slow_reader_of_many_rejects_holds_no_connection(
    client: Client, db: Db, db_url: str
) -> None:
    import_id = (await post(client)).json()["id"]
    db.execute(
        "INSERT INTO rejects SELECT %s, n / 3 + 2, 'c' || n %% 3, 'rule', n::text"
        " FROM generate_series(0, 2500) AS n",
        (import_id,),
    )
    async with import_api.Pool(db_url, min_size=1, max_size=1, timeout=5) as pool:
        pages = import_api.reject_lines(pool, import_id)
        text = await anext(pages)
        async with pool.connection():
            pass
        text += "".join([page async for page in pages])
    lines = text.splitlines()
    assert [line.rpartition(",")[2] for line in lines[1:]] == [str(n) for n in range(2501)]


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith("data: "):
            event: dict[str, Any] = json.loads(line[6:])
            yield event


async def test_events_tell_each_change_and_end_with_the_import(db_url: str, db: Db) -> None:
    # A real server: what is told must leave it at once, not when the answer is complete.
    with serving(db_url) as port:
        async with Client(base_url=f"http://127.0.0.1:{port}", cookies={"tenant": "acme"}) as http:
            answer = await post(http)
            import_id = answer.json()["id"]
            told: list[tuple[str, float, int]] = []
            async with http.stream("GET", f"/imports/{import_id}/events") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                assert stream.headers["cache-control"] == "no-cache"
                async for event in read_events(stream.aiter_lines()):
                    told.append((event["state"], round(event["fraction"], 2), event["inserted"]))
                    if len(told) < 3:
                        db.execute(
                            "UPDATE imports SET state = 'running', inserted = inserted + 1,"
                            " bytes_done = bytes_done + bytes_total / 2"
                        )
                    else:
                        db.execute("UPDATE imports SET state = 'completed'")
    assert told == [
        ("queued", 0.0, 0), ("running", 0.5, 1), ("running", 0.99, 2), ("completed", 0.99, 2),
    ]  # fmt: skip


async def test_no_time_left_is_told_of_an_import_that_stands_still(
    db_url: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_api, "STALLED", 0.7)
    left = []
    with serving(db_url) as port:
        async with Client(base_url=f"http://127.0.0.1:{port}", cookies={"tenant": "acme"}) as http:
            place = (await post(http)).headers["location"]
            async with http.stream("GET", f"{place}/events") as stream:
                async for event in read_events(stream.aiter_lines()):
                    left.append(event["eta"])
                    if len(left) == 1:
                        db.execute("UPDATE imports SET state = 'running', bytes_done = 10")
                    elif len(left) == 3:
                        db.execute("UPDATE imports SET state = 'cancelled'")
    assert left == [None, left[1], None, None]
    assert left[1] > 0


async def test_events_outlive_a_database_that_restarts(db_url: str, db: Db) -> None:
    with serving(db_url) as port:
        async with Client(base_url=f"http://127.0.0.1:{port}", cookies={"tenant": "acme"}) as http:
            place = (await post(http)).headers["location"]
            states = []
            async with http.stream("GET", f"{place}/events") as stream:
                async for event in read_events(stream.aiter_lines()):
                    states.append(event["state"])
                    db.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                    db.execute("UPDATE imports SET state = 'completed'")
    assert states == ["queued", "completed"]


async def test_a_watcher_that_leaves_is_not_watched_for(db_url: str, db: Db) -> None:
    def looks() -> int:
        row = db.execute("SELECT calls FROM looks").fetchone()
        assert row is not None
        return int(row[0])

    db.execute(
        "CREATE EXTENSION pg_stat_statements;"
        "CREATE VIEW looks AS SELECT coalesce(sum(calls), 0) AS calls FROM pg_stat_statements"
        " WHERE query LIKE 'SELECT id, state, bytes_total%' AND dbid ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with serving(db_url) as port:
        async with Client(base_url=f"http://127.0.0.1:{port}", cookies={"tenant": "acme"}) as http:
            place = (await post(http)).headers["location"]
            async with http.stream("GET", f"{place}/events") as stream:
                await anext(read_events(stream.aiter_lines()))
            before = looks()
            assert before
            await asyncio.sleep(1.2)  # two pauses: what must not happen has no event to await
            assert looks() <= before + 1


async def test_the_demo_gives_one_import_for_two_uploads(db_url: str) -> None:
    with psycopg.connect(db_url) as conn:
        before = conn.execute("SELECT count(*) FROM pg_namespace").fetchone()
    await asyncio.wait_for(import_api.demo(db_url), 10)
    with psycopg.connect(db_url) as conn:
        assert conn.execute("SELECT count(*) FROM pg_namespace").fetchone() == before


def test_the_demo_as_a_program(
    db_url: str, demo: Callable[..., list[str]], refused: Callable[[str, str], None]
) -> None:
    lines = demo("import_api", DATABASE_URL=db_url)
    assert lines[0].startswith("enqueued")
    assert lines[1] == lines[2]
    assert lines[3].startswith('422 {"status":422')
    assert '"state": "cancelled"' in lines[5]
    refused("import_api", "DATABASE_URL")
