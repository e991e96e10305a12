"""The services that the drills run in a process of their own: KIND says which.

good: `export_endpoint.create`, as the page shows it. careless: its stream alone. naive-memory:
`naive_build_in_memory`. naive-stream: the popular stream of pages under asyncio. `/peak` tells the
process's peak memory.
"""

import os
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.servers import Bucket
from snippets.bulk_download import naive_build_in_memory, naive_paged_stream
from snippets.bulk_download.copy_stream import CopyStream

SNIPPETS = Path(__file__).parents[3] / "snippets" / "bulk_download"


class User(NamedTuple):
    """Who asks, by the header x-user: `tenant/user` or `tenant/user/scope`."""

    tenant: str
    user: str


def authenticate(request: Request) -> tuple[User, frozenset[str]] | None:
    tenant, _, rest = request.headers.get("x-user", "").partition("/")
    user, _, scope = rest.partition("/")
    return (User(tenant, user), frozenset({scope})) if user else None


def peak_kib() -> int:
    """The most memory that this process ever had; the parent's does not count."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def peak(_: Request) -> Response:
    return JSONResponse(peak_kib())


def naive_stream(url: str) -> Starlette:
    """The popular stream."""

    async def export(request: Request) -> Response:
        table = request.query_params["table"]
        body = naive_paged_stream.stream(url, table, 1000)
        return StreamingResponse(body, media_type="text/csv")

    return Starlette(routes=[Route("/orders.csv", export)])


def careless(url: str) -> Starlette:
    """COPY whose exception escapes, for whoever asks in whatever version of HTTP."""

    async def export(_: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            async with (
                asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
                CopyStream(pool, "SELECT id, customer, email FROM orders") as stream,
            ):
                async for block in stream:
                    yield block

        return StreamingResponse(body(), media_type="text/csv")

    return Starlette(routes=[Route("/orders.csv", export)])


def good(url: str, bucket: Bucket) -> Starlette:
    sys.path.insert(0, str(SNIPPETS))  # a reader has the files in one folder
    from snippets.bulk_download.export_endpoint import Limits, create

    rows = int(os.environ.get("MOST_ROWS", "10000000"))
    limits = Limits(most_rows=rows, seconds=float(os.environ.get("SECONDS", "600")))
    return create(url, bucket.client(), bucket.name, authenticate, limits)


def create() -> Starlette:
    """Make the application; `uvicorn --factory` calls this."""
    url = os.environ["EXPORT_URL"]
    match os.environ["KIND"]:
        case "good":
            keys = ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            where, access, secret = (os.environ.get(key, "http://127.0.0.1:1") for key in keys)
            name = os.environ.get("S3_BUCKET", "none")
            bucket = Bucket(where, access, secret, "us-east-1", name)
            app = good(url, bucket)
        case "careless":
            app = careless(url)
        case "naive-stream":
            app = naive_stream(url)
        case _:
            app = naive_build_in_memory.create(url)
    app.routes.append(Route("/peak", peak))
    return app
