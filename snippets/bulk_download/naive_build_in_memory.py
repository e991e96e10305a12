# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4", "starlette>=1.10,<2"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The export as it is first written: fetch, format, answer.

The table is in memory three times (rows, text, bytes), and the client waits
for the last row before it gets the first byte. Use copy_stream.py with
export_endpoint.py instead.

Source: https://docs.python.org/3/library/csv.html
"""

import csv
import io
import os
import sys
from collections.abc import Iterator

import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

QUERY = "SELECT * FROM orders"


# --8<-- [start:export]
def export(request: Request) -> Response:
    """Answer with all orders as CSV."""
    with psycopg.connect(request.app.state.url) as conn:
        rows = conn.execute(QUERY).fetchall()  # BUG: every row, as objects.
    text = io.StringIO()
    # BUG: a cell that begins with = is a formula to the spreadsheet.
    csv.writer(text).writerows(rows)
    # BUG: all of it again as str and as bytes; first byte after last row.
    return Response(text.getvalue(), media_type="text/csv")


# --8<-- [end:export]


# --8<-- [start:streamed]
def lines(url: str) -> Iterator[str]:
    """Yield all orders as CSV."""
    with psycopg.connect(url) as conn:
        # BUG: the response streams, the query does not: fetchall() returns
        # when the last row is here.
        for row in conn.execute(QUERY).fetchall():
            text = io.StringIO()
            csv.writer(text).writerow(row)
            yield text.getvalue()  # BUG: a chunk, and a send, a row.


def export_streamed(request: Request) -> Response:
    """Answer with all orders, "streamed"."""
    return StreamingResponse(lines(request.app.state.url))


# --8<-- [end:streamed]


def create(url: str) -> Starlette:
    """Return the service."""
    app = Starlette(
        routes=[
            Route("/orders.csv", export),
            Route("/streamed.csv", export_streamed),
        ]
    )
    app.state.url = url
    return app


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Export 2,000 orders both ways, and count what is sent."""
    request = Request({"type": "http", "app": create(url)})
    print(f"Response: {len(export(request).body)} bytes in 1 piece")
    stream = export_streamed(request)
    print(f"{type(stream).__name__}: {sum(1 for _ in lines(url))} pieces")


def main() -> None:
    """Run the demo on a schema of its own."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    name = f"firedrill_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {name}")
        try:
            conn.execute(
                f"CREATE TABLE {name}.orders AS SELECT n AS id, md5(n::text)"
                " AS note FROM generate_series(1, 2000) AS n"
            )
            inside = psycopg.conninfo.make_conninfo(
                url, options=f"-c search_path={name}"
            )
            demo(inside)
        finally:
            conn.execute(f"DROP SCHEMA {name} CASCADE")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
