"""The error messages that lead to the page are the ones a reader sees, and no others are listed."""

import asyncio
import gzip
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2
import psycopg
import pytest
import yaml

from lab import servers
from lab.eventually import eventually
from lab.servers import Bucket
from snippets.bulk_download.copy_stream import CopyStream
from snippets.bulk_download.incremental_compression import compressed, gzip_codec
from snippets.bulk_download.parallel_export import exported_snapshot, write_part

PAGE = Path(__file__).parents[3] / "docs" / "scenarios" / "bulk-download.md"
ENDLESS = "SELECT generate_series(1, 100000000) AS n"
WHOLE = b"".join(compressed([b"id\n", *(b"%d\n" % n for n in range(10_000))], gzip_codec()))


class Server(http.server.BaseHTTPRequestHandler):
    """`/cut` breaks off in the middle, `/both` is gzip twice over in its headers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/cut":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nid\n\r\n")
        else:
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Disposition", 'attachment; filename="export.csv.gz"')
            self.send_header("Content-Length", str(len(WHOLE)))
            self.end_headers()
            self.wfile.write(WHOLE)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def cut_httpx(_: str) -> None:
    with server() as host:
        httpx2.get(f"http://{host}/cut")


def cut_standard_library(_: str) -> None:
    with server() as host:
        connection = http.client.HTTPConnection(host)
        connection.request("GET", "/cut")
        try:
            connection.getresponse().read()
        finally:
            connection.close()


def cut_gzip(_: str) -> None:
    gzip.decompress(WHOLE[:-100])


def both(_: str) -> None:
    with server() as host:
        gzip.decompress(httpx2.get(f"http://{host}/both").content)


def slow_query(url: str) -> None:
    async def read() -> None:
        settings = {"statement_timeout": "50ms"}
        async with asyncpg.create_pool(
            url, min_size=1, max_size=1, server_settings=settings
        ) as pool:
            await pool.fetch("SELECT pg_sleep(60)")

    asyncio.run(read())


def ended_session(url: str) -> None:
    async def read() -> None:
        async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
            async for _ in CopyStream(pool, ENDLESS):
                await pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'COPY%' AND datname = current_database()"
                )

    asyncio.run(read())


def behind_the_primary(_: str) -> None:
    """Read from a replica that must not wait, while the primary removes what is being read."""
    with (
        servers.postgres_pair(max_standby_streaming_delay="0") as pair,
        psycopg.connect(pair.primary.url, autocommit=True) as primary,
    ):
        primary.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 50000) AS n")

        def copied() -> bool:
            return pair.replica.query("SELECT to_regclass('orders')::text") == [("orders",)]

        eventually(copied)

        async def read() -> None:
            query = "SELECT n, repeat('x', 1000) FROM orders"
            async with asyncpg.create_pool(pair.replica.url, min_size=1, max_size=1) as pool:
                async for _ in CopyStream(pool, query):
                    primary.execute("DELETE FROM orders")
                    primary.execute("VACUUM orders")

        asyncio.run(read())


def late_import(url: str) -> None:
    with exported_snapshot(url) as (_, snapshot), psycopg.connect(url) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.execute("SELECT 1")
        conn.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'".encode())


def gone_snapshot(url: str) -> None:
    with exported_snapshot(url) as (_, snapshot):
        pass
    write_part(url, snapshot, 0, 1, "/nowhere")


CAUSES: dict[str, Callable[[str], None]] = {
    "httpx2.RemoteProtocolError: peer closed connection without sending complete message body"
    " (incomplete chunked read)": cut_httpx,
    "http.client.IncompleteRead: IncompleteRead(": cut_standard_library,
    "EOFError: Compressed file ended before the end-of-stream marker was reached": cut_gzip,
    "gzip.BadGzipFile: Not a gzipped file": both,
    "asyncpg.exceptions.QueryCanceledError: canceling statement due to statement timeout": (
        slow_query
    ),
    "asyncpg.exceptions._base.InterfaceError: cannot call Transaction.__aexit__():"
    " the underlying connection is closed": ended_session,
    "asyncpg.exceptions.SerializationError: canceling statement due to conflict with recovery": (
        behind_the_primary
    ),
    "psycopg.errors.ActiveSqlTransaction: SET TRANSACTION SNAPSHOT must be called"
    " before any query": late_import,
    "psycopg.errors.UndefinedObject: snapshot": gone_snapshot,
}
OF_S3 = (
    "botocore.exceptions.ClientError: An error occurred (EntityTooSmall) when calling the"
    " CompleteMultipartUpload operation"
)


def shown(error: BaseException) -> str:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}: {error}"


def test_every_message_of_the_page_is_proved_here() -> None:
    front_matter = PAGE.read_text(encoding="utf-8").split("---\n")[1]
    assert set(yaml.safe_load(front_matter)["error_messages"]) == {OF_S3, *CAUSES}


@pytest.mark.parametrize("message", CAUSES)
def test_the_failure_shows_this_message(message: str, request: pytest.FixtureRequest) -> None:
    with_database = message.startswith(("asyncpg", "psycopg"))
    url = request.getfixturevalue("postgres_url") if with_database else ""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - compared to the letter
        CAUSES[message](url)
    assert shown(caught.value).startswith(message)


def test_both_gz_and_content_encoding_save_a_file_that_is_no_gzip(tmp_path: Path) -> None:
    with server() as host:
        answer = httpx2.get(f"http://{host}/both")
    saved = tmp_path / "export.csv.gz"
    saved.write_bytes(answer.content)  # as a browser does: unpacked
    assert saved.read_bytes().startswith(b"id\n0\n")
    with gzip.open(saved) as file, pytest.raises(gzip.BadGzipFile, match="Not a gzipped file"):
        file.read()


def test_a_small_part_in_the_middle_shows_this_message(s3: Bucket) -> None:
    client = s3.client()
    where = {"Bucket": s3.name, "Key": "a"}
    where["UploadId"] = client.create_multipart_upload(**where)["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": client.upload_part(**where, PartNumber=n, Body=b"x")["ETag"]}
        for n in (1, 2)
    ]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - compared to the letter
        client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    client.close()
    assert shown(caught.value).startswith(OF_S3)
