# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "fastapi>=0.165,<1",
#   "httpx2>=2.16,<3",
#   "psycopg-pool>=3.3,<4",
#   "psycopg[binary]>=3.3.9,<4",
#   "starlette>=1.10,<2",
# ]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The upload as a job resource: 202 at once, progress by server-sent events.

POST /imports streams the file into blocks that every worker can read, then
accepts it: one transaction sets the state and enqueues the job. An
Idempotency-Key makes a retry harmless: same key and same bytes give the same
import, other bytes 422, an upload still under way 409.

Memory: one block a request. Each block is one short transaction, so a slow
client holds no connection. Blocks in the database suit files up to about a
gigabyte: one thing to back up, and accepted means readable. Larger ones go to
an object store by a presigned URL, and only their key comes here.

Put authentication in front: `who` gives the tenant of a request, or raises.
EventSource in a browser sends cookies but no Authorization header.

Source: draft-ietf-httpapi-idempotency-key-header-07,
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/;
HTML standard, server-sent events,
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import csv
import hashlib
import io
import os
import sys
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, LiteralString, Protocol

import psycopg
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.requests import ClientDisconnect

BLOCK = 256 * 1024  # bytes
MAX_BYTES = 1024**3  # of a file, unpacked
MAX_KEY = 255  # characters
STALLED = 5.0  # seconds without a batch, after which no time left is told

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]
Who = Callable[[Request], str]
Enqueue = Callable[[Connection, str], Awaitable[None]]
CheckHeader = Callable[[bytes], list[dict[str, str]]]

# --8<-- [start:schema]
SCHEMA: LiteralString = """
CREATE TABLE IF NOT EXISTS imports (
    id uuid PRIMARY KEY,
    no bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL,
    idempotency_key text NOT NULL,
    sha256 bytea,
    state text NOT NULL DEFAULT 'receiving' CHECK (state IN ('receiving',
        'queued', 'running', 'completed', 'failed', 'cancelled')),
    bytes_total bigint NOT NULL DEFAULT 0,
    bytes_done bigint NOT NULL DEFAULT 0,
    line bigint NOT NULL DEFAULT 1,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    stale bigint NOT NULL DEFAULT 0,
    error text,
    touched timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, idempotency_key));
CREATE TABLE IF NOT EXISTS import_blocks (
    import_id uuid REFERENCES imports ON DELETE CASCADE,
    at bigint,
    body bytea NOT NULL,
    PRIMARY KEY (import_id, at));
CREATE TABLE IF NOT EXISTS rejects (
    import_id uuid NOT NULL,
    line bigint NOT NULL,
    "column" text NOT NULL,
    code text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (import_id, line, "column"));
"""
SHOW: LiteralString = """
SELECT id, state, bytes_total, bytes_done, line, inserted, updated, rejected,
       stale, error
FROM imports WHERE id = %s AND tenant = %s
"""
# --8<-- [end:schema]
ENDED = ("completed", "failed", "cancelled")


class Meter(Protocol):
    """What progress_counter.py gives for one watcher."""

    def update(self, done: int, now: float) -> float:
        """Take a snapshot; give the fraction."""

    def eta(self) -> float | None:
        """Seconds that are left, if known."""


class ProblemError(Exception):
    """An answer in the form of RFC 9457."""

    def __init__(self, status: int, title: str, **more: object) -> None:
        self.status = status
        self.body = {"status": status, "title": title, **more}
        super().__init__(title)


# --8<-- [start:receive]
async def unpacked(request: Request) -> AsyncIterator[bytes]:
    """Yield the body, gunzipped if it is gzip, never more than MAX_BYTES."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise ProblemError(
            415, f"Content-Encoding {encoding[:20]!r} is not taken"
        )
    total = 0
    gzip = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    async for data in request.stream():
        packed = data
        while packed:
            # At most one block at a time leaves a bomb, however small it is.
            try:
                piece = gzip.decompress(packed, BLOCK) if gzip else packed
            except zlib.error:
                raise ProblemError(422, "the body is no gzip") from None
            packed = gzip.unconsumed_tail if gzip else b""
            if gzip and gzip.unused_data:  # a second member: not to be lost
                raise ProblemError(422, "more data follows the gzip stream")
            total += len(piece)
            if total > MAX_BYTES:
                raise ProblemError(413, f"the file is over {MAX_BYTES} bytes")
            yield piece
    if gzip and not gzip.eof:
        raise ProblemError(422, "the gzip stream is cut off")


async def blocks(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join small pieces to blocks of BLOCK bytes or a little more."""
    held = bytearray()
    async for piece in data:
        held += piece
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


# --8<-- [end:receive]


# --8<-- [start:begin]
async def begin(conn: Connection, tenant: str, key: str) -> str | None:
    """Open an import under this key; None when the key is taken.

    An upload whose server died would hold its key for ever: after a minute
    without a block it is abandoned, and the retry may have the key.
    """
    async with conn.transaction():
        await conn.execute(
            "DELETE FROM imports WHERE tenant = %s AND idempotency_key = %s"
            " AND state = 'receiving' AND touched < now() - interval '60 s'",
            (tenant, key),
        )
        cur = await conn.execute(
            "INSERT INTO imports (id, tenant, idempotency_key)"
            " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (import_id := str(uuid.uuid4()), tenant, key),
        )
    return import_id if cur.rowcount else None


async def replay(pool: Pool, tenant: str, key: str, sha256: bytes) -> str:
    """Give the import that the key stands for, if it is the same file."""
    async with pool.connection() as conn:
        cur = await conn.execute(
            "SELECT id::text, sha256 FROM imports"
            " WHERE tenant = %s AND idempotency_key = %s",
            (tenant, key),
        )
        found = await cur.fetchone()
    if found is None or found[1] is None:
        raise ProblemError(
            409, "an upload with this key is under way; retry later"
        )
    if found[1] != sha256:
        raise ProblemError(
            422, "this Idempotency-Key was used for another file"
        )
    return str(found[0])


# --8<-- [end:begin]


# --8<-- [start:accept]
async def accept(
    pool: Pool,
    import_id: str,
    data: AsyncIterator[bytes],
    check_header: CheckHeader,
    enqueue: Enqueue,
) -> None:
    """Store the file, then queue it: both are there, or neither is."""
    digest, total = hashlib.sha256(), 0
    async for block in blocks(data):
        if not total and (errors := check_header(first_line(block))):
            raise ProblemError(
                422, "the header is not as expected", errors=errors
            )
        async with pool.connection() as conn, conn.transaction():
            cur = await conn.execute(
                "UPDATE imports SET touched = now() WHERE id = %s", (import_id,)
            )
            if not cur.rowcount:  # so slow that a retry took the key
                raise ProblemError(
                    409, "another upload has this Idempotency-Key"
                )
            await conn.execute(
                "INSERT INTO import_blocks VALUES (%s, %s, %s)",
                (import_id, total, block),
            )
        digest.update(block)
        total += len(block)
    if not total:
        raise ProblemError(422, "the file is empty")
    async with pool.connection() as conn, conn.transaction():
        cur = await conn.execute(
            "UPDATE imports SET state = 'queued', bytes_total = %s,"
            " sha256 = %s, touched = now() WHERE id = %s",
            (total, digest.digest(), import_id),
        )
        if not cur.rowcount:  # the same, behind its last block
            raise ProblemError(409, "another upload has this Idempotency-Key")
        await enqueue(conn, import_id)
        # --8<-- [end:accept]


def first_line(block: bytes) -> bytes:
    """Give the bytes up to the first line end, that included."""
    return next(iter(block.splitlines(keepends=True)), b"")


async def discard(pool: Pool, import_id: str) -> None:
    """Forget an upload that was not accepted, so that the key is free."""
    async with pool.connection() as conn:
        await conn.execute(
            "DELETE FROM imports WHERE id = %s AND state = 'receiving'",
            (import_id,),
        )


# --8<-- [start:post]
def make_app(  # noqa: PLR0913 - the parts that are yours
    pool: Pool,
    *,
    who: Who,
    enqueue: Enqueue,
    check_header: CheckHeader = lambda _line: [],
    new_meter: Callable[[int], Meter],
    pause: float = 0.5,
) -> FastAPI:
    """Build the application; `pause` is the seconds between two events."""

    @asynccontextmanager
    async def opened(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=opened)
    _watch(app, pool, who, new_meter, pause)

    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> JSONResponse:
        media = "application/problem+json"
        headers = {"Retry-After": "5"} if error.status == 409 else {}
        return JSONResponse(error.body, error.status, headers, media)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it; no traceback

    @app.post("/imports", status_code=202)
    async def post(request: Request) -> Response:
        tenant, key = who(request), request.headers.get("idempotency-key", "")
        if not (0 < len(key) <= MAX_KEY and key.isprintable()):
            raise ProblemError(
                400, "send an Idempotency-Key of 1 to 255 characters"
            )
        media = request.headers.get("content-type", "").lower()
        kind, _, more = media.partition(";")
        if kind.strip() != "text/csv" or (
            "charset" in more and "utf8" not in more.replace("-", "")
        ):
            raise ProblemError(
                415, "send the file as it is, as text/csv in UTF-8"
            )
        async with pool.connection() as conn:
            import_id = await begin(conn, tenant, key)
        data = unpacked(request)
        if import_id is None:
            digest = hashlib.sha256()
            async for piece in data:
                digest.update(piece)
            import_id = await replay(pool, tenant, key, digest.digest())
        else:
            try:
                await accept(pool, import_id, data, check_header, enqueue)
            except BaseException:  # also when the client goes away
                await asyncio.shield(discard(pool, import_id))
                raise
        place = f"/imports/{import_id}"
        return JSONResponse({"id": import_id}, 202, {"Location": place})

    return app
    # --8<-- [end:post]


# --8<-- [start:watch]
def _watch(  # noqa: C901 - six small routes
    app: FastAPI,
    pool: Pool,
    who: Who,
    new_meter: Callable[[int], Meter],
    pause: float,
) -> None:
    async def show(import_id: uuid.UUID, tenant: str) -> dict[str, Any]:
        async with pool.connection() as conn:
            cur = conn.cursor(row_factory=dict_row)
            found = await (
                await cur.execute(SHOW, (import_id, tenant))
            ).fetchone()
        if found is None:  # somebody else's as well: do not tell which
            raise HTTPException(404)
        return {**found, "id": str(found["id"])}

    async def owned(request: Request, import_id: uuid.UUID) -> dict[str, Any]:
        return await show(import_id, who(request))

    Owned = Annotated[dict[str, Any], Depends(owned)]  # noqa: N806

    @app.get("/imports/{import_id}")
    async def get(found: Owned) -> dict[str, Any]:
        return found

    @app.get("/imports/{import_id}/events", response_class=EventSourceResponse)
    async def events(
        request: Request, found: Owned
    ) -> AsyncIterator[ServerSentEvent]:
        told: dict[str, Any] = {}
        meter = new_meter(found["bytes_total"])
        seen, moved = -1, 0.0
        while True:
            now = time.monotonic()
            if found["bytes_done"] != seen:
                seen, moved = found["bytes_done"], now
                share, eta = meter.update(seen, now), meter.eta()
            elif now > moved + STALLED:
                eta = None  # the last speed is no longer true
            data = {**found, "fraction": share, "eta": eta}
            if data != told:
                told = data
                yield ServerSentEvent(event="progress", data=data, retry=1000)
            if told["state"] in ENDED:
                return  # the page closes its EventSource: see PAGE
            await asyncio.sleep(pause)
            with suppress(psycopg.Error):  # the next look may succeed
                found = await show(uuid.UUID(told["id"]), who(request))

    @app.get("/imports/{import_id}/rejects.csv")
    async def rejects(found: Owned) -> Response:
        lines = reject_lines(pool, found["id"])
        name = f'attachment; filename="rejects-{found["id"]}.csv"'
        headers = {"Content-Disposition": name}
        return StreamingResponse(lines, 200, headers, "text/csv")

    @app.delete("/imports/{import_id}", status_code=202)
    async def cancel(found: Owned) -> dict[str, Any]:
        async with pool.connection() as conn:  # the next batch sees it
            await conn.execute(
                "UPDATE imports SET state = 'cancelled' WHERE id = %s"
                " AND state IN ('queued', 'running')",
                (found["id"],),
            )
        return {"id": found["id"]}

    @app.get("/imports/{import_id}/page")
    async def page(found: Owned) -> HTMLResponse:
        return HTMLResponse(PAGE.replace("IMPORT_ID", found["id"]))


async def reject_lines(pool: Pool, import_id: str) -> AsyncIterator[str]:
    """Yield the rejects as CSV, no cell of which a spreadsheet would run."""
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(("line", "column", "code", "value"))
    rows: list[tuple[Any, ...]] = [(0, "")]
    while rows:
        # A page at a time: a slow reader must not hold a connection.
        async with pool.connection() as conn:
            cur = await conn.execute(
                'SELECT line, "column", code, value FROM rejects'
                ' WHERE import_id = %s AND (line, "column") > (%s, %s)'
                " ORDER BY 1, 2 LIMIT 1000",
                (import_id, *rows[-1][:2]),
            )
            rows = await cur.fetchall()
        for line, column, code, value in rows:
            risky = value[:1] in "=+-@\t\r\n" and value
            write((line, column, code, f"'{value}" if risky else value))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    # --8<-- [end:watch]


# --8<-- [start:page]
PAGE = """<!doctype html><meta charset="utf-8"><title>Import</title>
<label>Import <progress id="bar" max="1" value="0"></progress></label>
<output id="text">waiting</output>
<script>
const source = new EventSource("/imports/IMPORT_ID/events");
source.addEventListener("progress", (event) => {
  const now = JSON.parse(event.data);
  const bar = document.getElementById("bar");
  bar.value = Math.max(bar.value, now.fraction); // also after a reconnect
  const rows = now.inserted + now.updated;
  document.getElementById("text").value =
    `${now.state}: ${rows} rows in, ${now.rejected} rejected` +
    (now.eta > 0 ? `, ${Math.ceil(now.eta)} s left` : "");
  // Without this the browser connects again when the stream ends.
  if (["completed", "failed", "cancelled"].includes(now.state)) source.close();
});
</script>
"""
# --8<-- [end:page]


# --8<-- [start:wiring]
def build(url: str) -> FastAPI:
    """Wire it with three files beside this one: uvicorn.run(build(url))."""
    from csv_validator import HeaderError, read_header
    from progress_counter import Meter
    from psycopg.types.json import Jsonb
    from skip_locked_queue import ENQUEUE

    async def enqueue(conn: Connection, import_id: str) -> None:
        payload = Jsonb({"import_id": import_id})
        await conn.execute(ENQUEUE, ("import", payload, import_id))

    def check_header(line: bytes) -> list[dict[str, str]]:
        try:
            read_header(line, ("sku", "name", "price", "stock"))
        except HeaderError as bad:
            return list(bad.errors)
        return []

    def who(request: Request) -> str:
        if tenant := request.cookies.get("tenant"):  # your authentication
            return tenant
        raise HTTPException(401)

    return make_app(
        Pool(url, min_size=1, max_size=8, open=False),
        who=who,
        enqueue=enqueue,
        check_header=check_header,
        new_meter=Meter,
    )
    # --8<-- [end:wiring]


# --8<-- [start:demo]
async def demo(url: str) -> None:
    """Upload a file, lose the answer, and send it again."""
    import httpx2

    schema = f"firedrill_{uuid.uuid4().hex}"
    options = {"options": f"-c search_path={schema}"}

    class Still:
        def update(self, done: int, _now: float) -> float:
            return float(done)

        def eta(self) -> float | None:
            return None

    async def enqueue(_: Connection, import_id: str) -> None:
        print(f"enqueued {import_id[:8]}...")

    pool = Pool(url, kwargs=options, min_size=1, open=False)
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5
    ) as admin:
        await admin.execute(f"CREATE SCHEMA {schema}".encode())
        await admin.execute(f"SET search_path = {schema}".encode())
        await admin.execute(SCHEMA)
        try:
            async with pool:
                app = make_app(
                    pool,
                    who=lambda _: "acme",
                    enqueue=enqueue,
                    new_meter=lambda _: Still(),
                )
                client = httpx2.AsyncClient(
                    transport=httpx2.ASGITransport(app),
                    base_url="http://demo",
                    headers={
                        "Idempotency-Key": "k1",
                        "Content-Type": "text/csv",
                    },
                )
                async with client:
                    for body in (b"sku\nB-1\n", b"sku\nB-1\n", b"sku\nB-2\n"):
                        answer = await client.post("/imports", content=body)
                        print(answer.status_code, answer.text[:60])
                    rows = await admin.execute("SELECT id::text FROM imports")
                    ((import_id,),) = await rows.fetchall()
                    place = f"/imports/{import_id}"
                    await client.delete(place)
                    answer = await client.get(f"{place}/events")
                    print(answer.text.strip()[:150])
        finally:
            await admin.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def main() -> None:
    """Run the demo against DATABASE_URL."""
    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    try:
        asyncio.run(asyncio.wait_for(demo(url), 10))
    except psycopg.OperationalError as error:
        sys.exit(
            f"No PostgreSQL at DATABASE_URL ({str(error).splitlines()[0]}). "
            "For example: docker run --rm -d -p 127.0.0.1:5432:5432 "
            "-e POSTGRES_PASSWORD=x postgres:18; export DATABASE_URL="
            "postgresql://postgres:x@127.0.0.1/postgres; then run this file "
            "again (in the Firedrill repository: make lab)"
        )


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
