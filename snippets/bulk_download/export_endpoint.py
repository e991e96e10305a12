# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "asyncpg>=0.32,<1",
#     "starlette>=1.10,<2",
#     "zstandard>=0.25,<1",
# ]
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""The HTTP side of exports: small ones streamed at once, large ones as jobs.

- `GET /orders.csv?columns=id,amount`: up to `most_rows` rows are streamed,
  more of them become a job (202). At most `most_streams` a tenant at once,
  and `all_streams` of all: slow readers must not take what the rest needs.
  With `&trailer=1` the last line proves the rows, whatever proxies hide.
  A link in a page can only GET, so a GET may start a job; asked again, it
  answers with the job under way. HEAD starts nothing.
- `GET /exports/{id}`: how far it is; `DELETE` cancels it.
- `GET /exports/{id}/file`: to its owner alone, a redirect to a short-lived
  address in the object store, which answers Range requests.

`create` at the end puts it on top of the other files of this folder. It works
the same in FastAPI, whose StreamingResponse is Starlette's.

Source: RFC 9110 sections 14 and 15.3.3, RFC 6266, RFC 9457
"""

import asyncio
import logging
import re
import zlib
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

Elsewhere = Any  # typed in the files that `create` imports, or nowhere
_LOG = logging.getLogger(__name__)


# --8<-- [start:protocols]
class Who(Protocol):
    """Who asks; the tenant never comes from the request."""

    @property
    def tenant(self) -> str:
        """Whose rows may be read."""


class Job(Protocol):
    """A large export."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def state(self) -> str:
        """From queued, running to ready, failed, cancelled or expired."""

    @property
    def result(self) -> Mapping[str, Any] | None:
        """Size, checksum and ETag of the file, once it is ready."""


class Source(Protocol):
    """Rows as blocks of CSV; close() cancels the query, and may be late."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Begin."""

    def close(self) -> None:
        """Stop."""


class Backend(Protocol):
    """What does the work."""

    async def count(self, who: Who, most: int, /) -> int:
        """Count the rows to export, but not beyond `most` + 1."""

    def stream(
        self, who: Who, columns: Sequence[str], seconds: float, /
    ) -> Source:
        """Read them; nothing happens before the first block is asked for."""

    def coding(self, accept: str | None, /) -> str | None:
        """Choose a content coding for Accept-Encoding; None: none will do."""

    def encode(
        self, source: Source, coding: str, trailer: bool, /
    ) -> AsyncIterable[bytes]:
        """Apply it, after adding a last line that proves the rows."""

    async def enqueue(self, who: Who, columns: Sequence[str], /) -> Job | None:
        """Queue a large export; None above the tenant's bound."""

    async def find(self, who: Who, job_id: str, /) -> Job | None:
        """Return a job of this user, else None."""

    async def cancel(self, who: Who, job_id: str, /) -> bool:
        """Cancel a job of this user."""

    def link(self, job: Job, /) -> str:
        """Return a short-lived address of the file."""
        # --8<-- [end:protocols]


# --8<-- [start:response]
class ExportResponse(StreamingResponse):
    """A stream closed when it ends, fails, takes too long or is left alone.

    Without `close`, a query whose client left would run on for nobody. An
    exception is not caught, TimeoutError neither: the server then breaks the
    connection without the last chunk, which is all that can still tell the
    client. Also a client that stays and reads nothing ends after `seconds`.
    """

    def __init__(
        self,
        body: AsyncIterable[bytes],
        close: Callable[[], None],
        headers: Mapping[str, str],
        seconds: float,
    ) -> None:
        super().__init__(body, headers=headers, media_type="text/csv")
        self._close = close
        self._seconds = seconds

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send the body; what follows must not await, it is cancelled."""
        with ExitStack() as stack:
            stack.callback(self._close)
            async with asyncio.timeout(self._seconds):
                await super().__call__(scope, receive, send)


def disposition(filename: str) -> str:
    """Return a Content-Disposition that saves under any name (RFC 6266).

    Control characters, quotes and path separators are dropped: a name may
    hold what a user typed.
    """
    clean = re.sub(r'[\x00-\x1f\x7f"\\/]', "", filename) or "export"
    plain = clean.encode("ascii", "replace").decode().replace("?", "_")
    extended = quote(clean, safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"


# --8<-- [end:response]


# --8<-- [start:exports]
@dataclass(frozen=True, slots=True)
class Limits:
    """What an export may take, in this process."""

    most_rows: int = 100_000  # more of them become a job
    most_streams: int = 2  # of one tenant at once
    all_streams: int = 6  # of all tenants; each holds a connection
    seconds: float = 60.0  # for a stream, a slow client included
    job_seconds: float = 3600.0


class Exports:
    """The routes, for Starlette or FastAPI.

    Args:
        backend: does the work.
        authenticate: who asks, and which scopes they have; None is a 401.
        columns: each name that may be asked for, with the scope it needs.
        limits: from which size on, how many at once, and for how long.
    """

    def __init__(
        self,
        backend: Backend,
        authenticate: Callable[[Request], tuple[Who, frozenset[str]] | None],
        columns: Mapping[str, str | None],
        limits: Limits,
    ) -> None:
        self.backend = backend
        self.authenticate = authenticate
        self.columns = columns
        self.limits = limits
        self.running: Counter[str] = Counter()
        self.routes = [
            Route("/orders.csv", self.export),
            Route("/exports/{id}", self.job, methods=["GET", "DELETE"]),
            Route("/exports/{id}/file", self.file),
        ]

    async def export(self, request: Request) -> Response:
        """Stream a small export, or queue a large one."""
        known = self.authenticate(request)
        if known is None:
            return _problem(401, "Sign in", {"www-authenticate": "Bearer"})
        return await self._export(request, *known)

    async def _export(  # noqa: PLR0911 - each refusal has its own status
        self, request: Request, who: Who, scopes: frozenset[str]
    ) -> Response:
        names = request.query_params.get("columns", "id").split(",")
        unknown = [name for name in names if name not in self.columns]
        if unknown or len(set(names)) < len(names):
            return _problem(400, f"Unknown or repeated: {unknown or names!r}")
        if any(self.columns[name] not in scopes | {None} for name in names):
            return _problem(403, "These columns need another scope")
        coding = self.backend.coding(request.headers.get("accept-encoding"))
        if coding is None:
            return _problem(406, "zstd, gzip or identity")
        if request.method == "HEAD":  # safe: no query, and no job
            answer = Response(
                headers=self._headers(who, coding), media_type="text/csv"
            )
            del answer.headers["content-length"]  # nobody knows GET's
            return answer
        most = self.limits.most_rows
        if await self.backend.count(who, most) > most:
            job = await self.backend.enqueue(who, names)
            return _queued(job) if job else _busy(429, 60)
        trailer = request.query_params.get("trailer") == "1"
        if request.scope.get("http_version") == "1.0" and not trailer:
            # No chunks: whoever asks takes a broken connection for the end.
            why = "HTTP/1.1, or a cut file looks whole"
            return _problem(426, why, {"upgrade": "HTTP/1.1"})
        return self._stream(who, names, coding, trailer)

    def _headers(self, who: Who, coding: str) -> dict[str, str]:
        headers = {
            "content-disposition": disposition(f"orders-{who.tenant}.csv"),
            "cache-control": "private, no-store",
            "vary": "accept-encoding",
            "accept-ranges": "none",  # a query cannot be resumed
            "x-accel-buffering": "no",  # nginx would hold back the first byte
        }
        if coding != "identity":
            headers["content-encoding"] = coding
        return headers

    def _stream(
        self, who: Who, names: Sequence[str], coding: str, trailer: bool
    ) -> Response:
        limits = self.limits
        if self.running[who.tenant] >= limits.most_streams:
            return _busy(429, 5)
        if self.running.total() >= limits.all_streams:
            return _busy(503, 5)
        source = self.backend.stream(who, names, limits.seconds)
        body = self.backend.encode(source, coding, trailer)
        self.running[who.tenant] += 1

        def close() -> None:
            self.running[who.tenant] -= 1
            self.running += Counter()  # forget tenants that have none
            source.close()

        headers = self._headers(who, coding)
        return ExportResponse(body, close, headers, limits.seconds)

    async def _find(self, request: Request) -> tuple[Who, Job] | Response:
        """Return the job in the path, if the caller owns it."""
        known = self.authenticate(request)
        if known is None:
            return _problem(401, "Sign in", {"www-authenticate": "Bearer"})
        job = await self.backend.find(known[0], request.path_params["id"])
        if job is None:  # another's export looks like none at all
            return _problem(404, "No such export")
        return known[0], job

    async def job(self, request: Request) -> Response:
        """Tell how far a job is, or cancel it."""
        found = await self._find(request)
        if isinstance(found, Response):
            return found
        who, job = found
        if request.method == "DELETE":
            done = await self.backend.cancel(who, job.id)
            return (
                Response(status_code=204) if done else _problem(409, job.state)
            )
        waiting = job.state in ("queued", "running")
        headers = {"retry-after": "5"} if waiting else {}
        return JSONResponse(_shown(job), headers=headers)

    async def file(self, request: Request) -> Response:
        """Hand out the file to its owner."""
        found = await self._find(request)
        if isinstance(found, Response):
            return found
        if found[1].state != "ready":
            gone = found[1].state in ("expired", "cancelled", "failed")
            return _problem(410 if gone else 409, found[1].state)
        headers = {"cache-control": "no-store"}
        link = self.backend.link(found[1])
        return RedirectResponse(link, 303, headers)


def _shown(job: Job) -> dict[str, Any]:
    result = {k: v for k, v in (job.result or {}).items() if k != "key"}
    return {"id": job.id, "state": job.state, **result}


def _queued(job: Job) -> Response:
    where = {"location": f"/exports/{job.id}", "retry-after": "5"}
    return JSONResponse(_shown(job), 202, where)


def _busy(status: int, seconds: int) -> Response:
    whose = "Your" if status == 429 else "Everybody's"
    where = {"retry-after": str(seconds)}
    return _problem(status, f"{whose} other exports first", where)


def _problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with RFC 9457 problem details."""
    body = {"status": status, "detail": detail}
    kind = "application/problem+json"
    return JSONResponse(body, status, headers, media_type=kind)
    # --8<-- [end:exports]


# --8<-- [start:create]
def create(  # noqa: C901 - wiring
    database: str,
    client: Elsewhere,
    bucket: str,
    authenticate: Callable[[Request], tuple[Who, frozenset[str]] | None],
    limits: Limits,
) -> Starlette:
    """Put the service together; needs the other files of this folder.

    The bucket is its own, and `client` signs by version 4 (see `link`). Put
    an index on orders (tenant, id): without it, each export sorts.
    """
    import asyncpg
    import copy_stream
    import export_job
    import export_manifest as manifest
    import incremental_compression as compression
    import zstandard
    from s3_multipart_writer import MultipartWriter, abort_stale

    shown = {
        "id": "id",
        "customer": copy_stream.safe_column("customer"),
        "amount": "amount",
        "created_at": "created_at",
        "email": copy_stream.safe_column("email"),
    }
    scopes = {name: "pii" if name == "email" else None for name in shown}

    def zstd() -> Elsewhere:
        return zstandard.ZstdCompressor(level=1).compressobj()

    codecs: dict[str, tuple[Callable[[], Elsewhere], int]] = {
        "zstd": (zstd, zstandard.COMPRESSOBJ_FLUSH_BLOCK),
        "gzip": (compression.gzip_codec, zlib.Z_SYNC_FLUSH),
    }

    class Deployed:
        pool: Elsewhere  # for short queries
        streams: Elsewhere  # for COPY alone: a slow reader holds its own

        async def count(self, who: Who, most: int) -> Elsewhere:
            few = "SELECT FROM orders WHERE tenant = $1 LIMIT $2"
            query = f"SELECT count(*) FROM ({few}) AS few"
            return await self.pool.fetchval(query, who.tenant, most + 1)

        def stream(
            self, who: Elsewhere, columns: Sequence[str], seconds: float
        ) -> Elsewhere:
            names = ", ".join(shown[name] for name in columns)
            query = f"SELECT {names} FROM orders WHERE tenant = $1 ORDER BY id"
            return copy_stream.CopyStream(
                self.streams, query, who.tenant, seconds=seconds
            )

        def coding(self, accept: str | None) -> Elsewhere:
            return compression.choose_coding(accept)

        def encode(
            self, source: AsyncIterable[bytes], coding: str, trailer: bool
        ) -> Elsewhere:
            if trailer:
                source = manifest.awith_trailer(source)
            if coding == "identity":
                return source
            codec, sync = codecs[coding]
            return compression.acompressed(source, codec(), sync=sync)

        async def enqueue(self, who: Who, columns: Sequence[str]) -> Elsewhere:
            request = {"columns": [*columns]}
            return await export_job.enqueue(self.pool, who, request)

        async def find(self, who: Who, job_id: str) -> Elsewhere:
            return await export_job.find(self.pool, who, job_id)

        async def cancel(self, who: Who, job_id: str) -> Elsewhere:
            return await export_job.cancel(self.pool, who, job_id)

        def link(self, job: Job) -> Elsewhere:
            return export_job.link(client, bucket, job, "orders.csv.gz")

        async def write(self, job: Elsewhere) -> dict[str, Any]:
            """From rows to CSV to gzip to S3, a few blocks in memory."""
            meter = manifest.Meter()
            key = f"{job.tenant}/{job.id}/{job.attempt}.csv.gz"
            seconds = limits.job_seconds
            source = self.stream(job, job.request["columns"], seconds)
            async with (
                source,
                MultipartWriter(
                    client, bucket, key, content_type="application/gzip"
                ) as writer,
            ):
                metered = (meter.feed(block) async for block in source)
                async for block in self.encode(metered, "gzip", False):
                    await writer.write(block)
            csv = meter.manifest()
            counts = {"rows": csv.rows, "csv_sha256": csv.sha256}
            return {**writer.result._asdict(), **counts}

        async def work(self) -> None:
            """Run jobs one by one; better in a process of its own."""
            job: Elsewhere = None
            while True:
                if job is None:
                    await asyncio.sleep(0.5)
                try:
                    job = await export_job.run_one(self.pool, self.write)
                except Exception:  # noqa: BLE001 - the database comes back
                    _LOG.exception("no job could be run")
                    job = None

        async def tidy(self) -> None:
            """End what is over, every hour."""
            age = timedelta(seconds=2 * limits.job_seconds)
            while True:
                try:
                    await export_job.expire(self.pool, client, bucket)
                    await asyncio.to_thread(
                        abort_stale, client, bucket, "", age
                    )
                except Exception:  # noqa: BLE001 - in an hour again
                    _LOG.exception("not tidied up")
                await asyncio.sleep(3600)

    backend = Deployed()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # A stream sets a limit of its own; this one is for all the rest.
        settings = {"application_name": "export", "statement_timeout": "10s"}
        pool = partial(asyncpg.create_pool, database, server_settings=settings)
        async with (
            pool(min_size=1, max_size=4) as backend.pool,
            # One more than there are streams, for the job.
            pool(
                min_size=0, max_size=limits.all_streams + 1
            ) as backend.streams,
        ):
            await backend.pool.execute(export_job.SCHEMA)
            tasks = [
                asyncio.create_task(backend.work()),
                asyncio.create_task(backend.tidy()),
            ]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    exports = Exports(backend, authenticate, scopes, limits)
    return Starlette(routes=exports.routes, lifespan=lifespan)
    # --8<-- [end:create]


# --8<-- [start:demo]
@dataclass(frozen=True)
class _Ann:
    tenant: str = "acme"


class _Rows:
    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            self.sent += 1
            yield b"4711\n"

    def close(self) -> None:
        print(f"  closed after {self.sent} blocks")


@dataclass(frozen=True)
class _Ready:
    id: str = "1"
    state: str = "ready"
    result: Mapping[str, Any] | None = None


class _Toy:
    """Three rows, one job that is ready, and no room for another."""

    async def count(self, _who: Who, _most: int) -> int:
        return 3

    def stream(self, _who: Who, _names: Sequence[str], _: float) -> Source:
        return _Rows()

    def coding(self, _accept: str | None) -> str:
        return "identity"

    def encode(
        self, source: Source, _coding: str, _trailer: bool
    ) -> AsyncIterable[bytes]:
        return source

    async def enqueue(self, _who: Who, _columns: Sequence[str]) -> None:
        return None

    async def find(self, _who: Who, job_id: str) -> Job | None:
        return _Ready() if job_id == "1" else None

    async def cancel(self, _who: Who, _job_id: str) -> bool:
        return False

    def link(self, job: Job) -> str:
        return f"https://store.example/{job.id}?signature=x"


async def demo() -> None:
    """Ask for rows, for what is not allowed, and for files."""
    receive = asyncio.Queue[Message]().get  # the client stays

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            print(f"  {message['status']}")
        elif message["body"]:
            print(f"  {message['body']!r}")

    for method, path, query, most in (
        ("GET", "/orders.csv", b"columns=id", 100),
        ("GET", "/orders.csv", b"columns=id", 2),  # three rows: a job
        ("GET", "/orders.csv", b"columns=id,email", 100),
        ("GET", "/orders.csv", b"columns=password", 100),
        ("GET", "/exports/1/file", b"", 100),
        ("DELETE", "/exports/1", b"", 100),
        ("GET", "/exports/2/file", b"", 100),
    ):
        print(method, path, query.decode())
        exports = Exports(
            _Toy(),
            lambda _: (_Ann(), frozenset()),
            {"id": None, "email": "pii"},
            Limits(most_rows=most),
        )
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        more = {"query_string": query, "asgi": {"spec_version": "2.4"}}
        app = Starlette(routes=exports.routes)
        await app({**scope, **more}, receive, send)
    # --8<-- [end:demo]


def main() -> None:
    """Run the demo."""
    asyncio.run(demo())


if __name__ == "__main__":
    main()
