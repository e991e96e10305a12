"""Drills of scenario 3: each loads the naive and the good code alike."""

import asyncio
import csv
import gzip
import hashlib
import io
import os
import signal
import socket
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import NamedTuple

import asyncpg
import httpx2
import psycopg
import pytest

from lab.eventually import eventually
from lab.process import Child, spawn
from lab.servers import Bucket, nginx, postgres
from lab.servers.base import free_port
from lab.story import Story
from snippets.bulk_download import (
    export_job,
    naive_build_in_memory,
    naive_export_job,
    naive_paged_stream,
    parallel_export,
)
from snippets.bulk_download.copy_stream import CopyStream
from snippets.bulk_download.csv_stream import csv_chunks
from snippets.bulk_download.export_manifest import TruncatedError, with_trailer, without_trailer
from snippets.bulk_download.resumable_download import DownloadError, Expected, download

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
MIB = 2**20
SMALL, LARGE = 10_000, 100_000
WIDE = 2000
"""Rows of 64 KiB after them in the longest export."""


class Service(NamedTuple):
    """A service in a process of its own, and a client of it."""

    child: Child
    http: httpx2.Client

    def peak(self) -> int:
        """The most memory it ever had, in bytes."""
        return int(self.http.get("/peak").json()) * 1024


@contextmanager
def serve(kind: str, url: str, **more: str) -> Iterator[Service]:
    """Run one of the services under uvicorn, and wait until it answers."""
    port = free_port()
    application = "tests.scenarios.bulk_download.service:create"
    command = [sys.executable, "-m", "uvicorn", "--factory", application, "--no-access-log"]
    env = {"KIND": kind, "EXPORT_URL": url, "PYTHONPATH": str(ROOT), **more}
    with (
        spawn([*command, "--port", str(port), "--log-level", "critical"], env=env) as child,
        httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"x-user": "big/ann", "accept-encoding": "identity"},
            timeout=120,
            # A client that does not read makes the server wait after 64 KiB, not after 32 MiB.
            transport=httpx2.HTTPTransport(socket_options=[(SOL_SOCKET, SO_RCVBUF, 65_536)]),
        ) as http,
    ):

        def answers() -> bool:
            with suppress(httpx2.TransportError):
                return http.get("/peak").is_success
            return False

        eventually(answers, timeout=60)
        yield Service(child, http)


@pytest.fixture
def big_url(postgres_url: str) -> str:
    """A database with 100,000 orders of the tenant big and 10,000 of the tenant small."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(
            """
            CREATE TABLE orders AS
            SELECT n::int8 AS id, CASE WHEN n <= %s THEN 'small' ELSE 'big' END AS tenant,
                   'customer ' || n AS customer, (n %% 700 / 100.0)::numeric(9, 2) AS amount,
                   timestamptz '2026-01-01' + n * interval '1 s' AS created_at,
                   md5(n::text) || md5((n + 1)::text) AS email
            FROM generate_series(1, %s) AS n""",
            [SMALL, SMALL + LARGE],
        )
        conn.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
        conn.execute("VACUUM ANALYZE orders")
    return postgres_url


@pytest.fixture
def long_url(big_url: str) -> str:
    """The same with 128 MiB more of big's: more than the buffers of all sockets on the way hold.

    With less, the database is done before the client has read anything.
    """
    with psycopg.connect(big_url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO orders SELECT 1000000 + n, 'big', 'customer', 1, now(), repeat('x', 65536)"
            " FROM generate_series(1, %s) AS n",
            [WIDE],
        )
    return big_url


def active(url: str) -> int:
    """Exports that the server still works on."""
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND query ILIKE '%orders%' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


# -- a: memory and the first byte ------------------------------------------------------------------


def fetch(service: Service, path: str, user: str = "big/ann/pii") -> tuple[float, float, int]:
    """Give seconds to the first byte and to the last, and the bytes."""
    began = time.perf_counter()
    first, size = 0.0, 0
    with service.http.stream("GET", path, headers={"x-user": user}) as answer:
        assert answer.status_code == 200
        for block in answer.iter_raw():
            first = first or time.perf_counter() - began
            size += len(block)
    return first, time.perf_counter() - began, size


def test_ten_times_the_rows_cost_no_more_memory_and_the_first_byte_comes_at_once(
    big_url: str, story: Story
) -> None:
    """The file is built in memory three times, and its first byte comes after its last row."""
    story.scene(f"one export of {LARGE:,} rows, each service in a process of its own")
    with serve("naive-memory", big_url) as naive:
        before = naive.peak()
        first, last, size = fetch(naive, "/orders.csv")
        grown = naive.peak() - before
    waited = first / last
    story.naive(
        "fetchall, StringIO, Response", file_MiB=size / MIB, more_MiB=grown / MIB,
        first_byte_after=f"{waited:.0%} of the time",
    )  # fmt: skip
    assert grown >= 3 * size
    assert waited >= 0.8

    columns = "/orders.csv?columns=id,customer,amount,created_at,email"
    with serve("good", big_url) as good:
        fetch(good, columns, "small/sam/pii")
        small = good.peak()
        first, last, size = fetch(good, columns)
        large = good.peak()
    story.good(
        "COPY to an asynchronous stream", file_MiB=size / MIB, more_MiB=(large - small) / MIB,
        first_byte_after=f"{first / last:.0%} of the time",
    )  # fmt: skip
    assert large <= 1.1 * small
    assert first <= waited * last / 4


# -- b: one moment ---------------------------------------------------------------------------------


@pytest.fixture
def accounts_url(postgres_url: str) -> str:
    """1,000 accounts of 100, and 1,000 in number 101: 100,900, whatever is moved between them."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE accounts WITH (autovacuum_enabled = off) AS
            SELECT n AS id, CASE n WHEN 101 THEN 1000 ELSE 100 END AS amount,
                   repeat('x', 4000) AS note
            FROM generate_series(1, 1000) AS n""")
    return postgres_url


def totals(data: bytes) -> tuple[int, int]:
    """Count the different accounts of an export, and add up what they have."""
    rows = [row for row in csv.reader(io.StringIO(data.decode())) if row[0].isdigit()]
    return len({row[0] for row in rows}), sum(int(row[1]) for row in rows)


async def test_an_export_is_of_one_moment(accounts_url: str, story: Story) -> None:
    """Money moves while pages are read, and the export adds up to a sum that never was."""
    story.scene("accounts that add up to 100,900; after the first page 10 go from number 1 to 900")
    with psycopg.connect(accounts_url, autocommit=True) as conn:

        def transfer() -> None:
            for amount, account in ((-10, 1), (10, 900)):
                conn.execute(
                    "UPDATE accounts SET amount = amount + %s WHERE id = %s", [amount, account]
                )

        with psycopg.connect(accounts_url, autocommit=True) as reader:
            pages = naive_paged_stream.lines(reader, "accounts", 100)
            data = next(pages)
            transfer()
            data += b"".join(pages)
        accounts, total = totals(data)
        story.naive("pages of LIMIT and OFFSET", accounts=accounts, total=total)
        # Account 1 comes again at its new place, so the next page begins one row late: after 101.
        assert (accounts, total) == (999, 100_900 + 90 + 10 - 1000)

        async with asyncpg.create_pool(accounts_url, min_size=1, max_size=1) as pool:
            stream = CopyStream(pool, "SELECT * FROM accounts")
            data = await anext(stream)
            transfer()
            data += b"".join([block async for block in stream])
        accounts, total = totals(data)
        story.good("one COPY", accounts=accounts, total=total)
        assert (accounts, total) == (1000, 100_900)


async def test_parallel_workers_see_one_moment(big_url: str, story: Story, tmp_path: Path) -> None:
    """Two workers, and 1,000 orders arrive between their starts: one of them exports these too."""
    story.scene("two ranges of ids; 1,000 orders are committed before the second is read")

    def arrive() -> None:
        with psycopg.connect(big_url, autocommit=True) as conn:
            conn.execute(
                "INSERT INTO orders (id) SELECT n + (SELECT max(id) FROM orders)"
                " FROM generate_series(1, 1000) AS n"
            )

    def count(low: int, high: int) -> int:
        with psycopg.connect(big_url) as conn:
            query = "SELECT count(*) FROM orders WHERE id >= %s AND id < %s"
            row = conn.execute(query, [low, high]).fetchone()
        assert row is not None
        return int(row[0])

    half, end = (SMALL + LARGE) // 2, SMALL + LARGE + 10_000
    naive = count(0, half)
    arrive()
    naive += count(half, end)
    story.naive("each worker its own transaction", at_start=SMALL + LARGE, rows=naive)
    assert naive == SMALL + LARGE + 1000  # half of a moment that never was

    with parallel_export.exported_snapshot(big_url) as (_, snapshot):
        parts = [parallel_export.write_part(big_url, snapshot, 0, half, str(tmp_path))]
        arrive()
        parts += [parallel_export.write_part(big_url, snapshot, half, end, str(tmp_path))]
    rows = sum(part.rows for part in parts)
    at_start = SMALL + LARGE + 1000
    story.good("both import one exported snapshot", at_start=at_start, rows=rows)
    assert rows == at_start


# -- c: a cut stream -------------------------------------------------------------------------------


def terminate(url: str) -> None:
    """End the session that exports, as an administrator or a failover does."""
    with psycopg.connect(url, autocommit=True) as conn:
        done = conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE '%orders%'"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchall()
    assert done == [(True,)]


def interrupted(service: Service, path: str, url: str) -> tuple[bytes, str]:
    """Read an export whose database session ends half way; give the bytes and the error."""
    data, error = b"", ""
    try:
        with service.http.stream("GET", path, headers={"x-user": "big/ann/pii"}) as answer:
            assert answer.status_code == 200, f"{answer.status_code}"
            for number, block in enumerate(answer.iter_raw()):
                data += block
                if number == 0:
                    terminate(url)
    except httpx2.RemoteProtocolError as caught:
        error = str(caught)
    return data, error


def test_a_stream_that_breaks_does_not_look_whole(long_url: str, story: Story) -> None:
    """The error is logged, the response ends in order, and the client books half a file."""
    story.scene("the export's database session is ended after the first block")
    with serve("naive-stream", long_url) as naive:
        data, error = interrupted(naive, "/orders.csv?table=orders", long_url)
    rows = data.count(b"\n")
    story.naive("except: log", status=200, rows=rows, error=error or "none")
    assert 0 < rows < SMALL + LARGE + WIDE
    assert error == ""

    columns = "/orders.csv?columns=id,customer,email"
    with serve("good", long_url) as good:
        data, error = interrupted(good, columns, long_url)
        story.good("the exception escapes", error=error)
        assert "incomplete chunked read" in error
        assert 0 < data.count(b"\n") < LARGE + WIDE

        good.http.headers["accept-encoding"] = "gzip"
        data, error = interrupted(good, columns, long_url)
        with pytest.raises(EOFError) as caught:
            gzip.decompress(data)
        story.good("and the gzip stream has no trailer", gunzip=str(caught.value))
        assert "incomplete chunked read" in error


def test_a_proxy_that_hides_the_break_is_noticed(long_url: str, story: Story) -> None:
    """A proxy speaks HTTP/1.0 to the service, and the cut export arrives as a whole one."""
    story.scene("the same behind nginx; the session ends after the first block")
    path = "/orders.csv?columns=id,customer,email"

    def through(version: str, path: str) -> tuple[bytes, str]:
        config = (
            "server { listen 127.0.0.1:{port}; location / { proxy_buffering off;"
            f" proxy_http_version {version}; proxy_pass {service.http.base_url}; }} }}"
        )
        with nginx(config) as proxy, httpx2.Client(base_url=proxy.url, timeout=60) as http:
            http.headers["accept-encoding"] = "identity"
            return interrupted(Service(service.child, http), path, long_url)

    with serve("careless", long_url) as service:
        data, error = through("1.0", path)
        rows = data.count(b"\n")
        story.naive("it escapes, HTTP/1.0 to the service", rows=rows, error=error or "none")
        assert error == ""
        assert 0 < rows < SMALL + LARGE + WIDE

    with serve("good", long_url) as service:
        data, error = through("1.1", path)
        story.good("HTTP/1.1 all the way", error=error)
        assert "incomplete chunked read" in error
        with pytest.raises(AssertionError, match="426"):
            through("1.0", path)
        data, error = through("1.0", f"{path}&trailer=1")
        assert error == ""
        with pytest.raises(TruncatedError) as caught:
            list(without_trailer([data]))
        story.good("HTTP/1.0, and a last line", TruncatedError=str(caught.value))


def test_a_file_saved_half_is_recognised(story: Story) -> None:
    """The export is cut exactly at the end of a row, by a proxy or a full disk."""
    rows = [(n, 100) for n in range(1000)]
    chunks = list(csv_chunks(rows, ["id", "amount"], size=1))
    story.scene("1,000 rows of 100 each; the file ends after row 640")
    cut = b"".join(chunks[:641])
    total = sum(int(row["amount"]) for row in csv.DictReader(io.StringIO(cut.decode())))
    story.naive("a valid file, and it is booked", total=total)
    assert total == 64_000

    sent = list(with_trailer(chunks))
    with pytest.raises(TruncatedError) as caught:
        list(without_trailer(sent[:641]))
    story.good("its trailer is missing", TruncatedError=str(caught.value))
    assert b"".join(without_trailer(sent)) == b"".join(chunks)


# -- d: the client leaves, the others stay ---------------------------------------------------------


def test_a_client_that_leaves_ends_its_query(long_url: str, story: Story) -> None:
    """Nobody waits for the export any more, and the worker builds all of it for nobody."""
    story.scene("the client gives up while the database works for it")
    with serve("naive-memory", long_url) as naive:
        before = naive.peak()
        with psycopg.connect(long_url) as conn:
            conn.execute("LOCK TABLE orders")  # so that it is the middle of the work for certain
            with socket.create_connection(("127.0.0.1", naive.http.base_url.port or 0)) as client:
                client.sendall(b"GET /orders.csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
                eventually(lambda: active(long_url) == 1, timeout=30)
        eventually(lambda: naive.peak() - before >= 128 * MIB, timeout=60)
        eventually(lambda: active(long_url) == 0, timeout=60)
        grown = naive.peak() - before
        story.naive("a plain endpoint builds all of it", MiB_for_nobody=grown / MIB)

    with serve("good", long_url) as good:
        before = good.peak()
        url = "/orders.csv?columns=id,customer,email"
        with good.http.stream("GET", url, headers={"x-user": "big/ann/pii"}) as answer:
            blocks = answer.iter_raw()  # dropped, it would close the connection
            next(blocks)
            assert active(long_url) == 1
        began = time.monotonic()
        eventually(lambda: active(long_url) == 0, timeout=5)
        grown = good.peak() - before
        seconds = round(time.monotonic() - began, 2)
        story.good("the query is cancelled", seconds=seconds, MiB=grown / MIB)
        assert grown <= 16 * MIB


@contextmanager
def readers_of_nothing(port: int, tenants: range) -> Iterator[list[socket.socket]]:
    """Two clients a tenant that ask for all their rows, take the status, and read no more."""
    with ExitStack() as stack:
        clients = []
        for number in (*tenants, *tenants):
            client = stack.enter_context(socket.socket())
            client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
            client.settimeout(60)
            client.connect(("127.0.0.1", port))
            client.sendall(
                b"GET /orders.csv?columns=id,email HTTP/1.1\r\nHost: localhost\r\n"
                b"x-user: t%d/ann/pii\r\naccept-encoding: identity\r\n\r\n" % number
            )
            clients.append(client)
        yield clients


async def test_clients_that_read_nothing_do_not_stop_the_service(
    long_url: str, story: Story
) -> None:
    """Slow clients hold every connection of the pool, and nobody else gets an answer."""
    story.scene("clients ask for exports of 128 MiB and stop reading; then somebody asks for a job")
    ann = export_job.Who("big", "ann")
    async with asyncpg.create_pool(long_url, min_size=2, max_size=2) as pool:
        await pool.execute(export_job.SCHEMA)
        job = str(uuid.uuid4())
        query = "SELECT * FROM orders WHERE tenant = 'big'"
        async with CopyStream(pool, query) as one, CopyStream(pool, query) as two:
            await anext(one)
            await anext(two)
            answered = True
            try:
                async with asyncio.timeout(1):
                    await export_job.find(pool, ann, job)
            except TimeoutError:
                answered = False
            story.naive("one pool for all, two slow clients", answered=answered, after_seconds=1)
            assert not answered

    with psycopg.connect(long_url, autocommit=True) as conn:
        conn.execute("UPDATE orders SET tenant = 't' || id % 4 WHERE id > 1000000")
    with serve("good", long_url, SECONDS="5") as good:
        port = good.http.base_url.port or 0
        with readers_of_nothing(port, range(4)) as clients:
            found = sorted(client.recv(12).decode()[-3:] for client in clients)
            known = good.http.get(f"/exports/{job}").status_code
            other = good.http.get("/orders.csv", headers={"x-user": "small/sam"}).status_code
            story.good("streams have their own, and a bound", job=known, another_export=other)
            assert found == ["200"] * 6 + ["503"] * 2
            assert (known, other) == (404, 503)
            eventually(lambda: active(long_url) == 0, timeout=20)  # they still read nothing
            other = good.http.get("/orders.csv", headers={"x-user": "small/sam"}).status_code
            story.good("after the limit in seconds", another_export=other)
            assert other == 200


async def test_a_job_outlives_its_database(s3: Bucket, story: Story) -> None:
    """The database restarts under a job, and the job is never started again."""
    story.scene("a job is queued while the server is down for a moment")
    with postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as conn:
            conn.execute(
                "CREATE TABLE orders AS SELECT n::int8 AS id, 'big' AS tenant"
                " FROM generate_series(1, 2000) AS n"
            )
        async with asyncpg.create_pool(server.url, min_size=1, max_size=2) as pool:
            await pool.execute(export_job.SCHEMA)

            async def worker() -> None:
                while True:
                    await export_job.run_one(pool, never)
                    await asyncio.sleep(0.01)

            async def never(_: export_job.Job) -> dict[str, str]:
                raise AssertionError

            task = asyncio.create_task(worker())
            with serve("good", server.url, MOST_ROWS="100", **s3.environment()) as good:
                server.kill9()
                with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
                    await asyncio.wait_for(task, 30)
                story.naive("a loop around run_one", worker="ended")
                server.start()

                def asked() -> bool:
                    return good.http.get("/orders.csv").status_code == 202

                eventually(asked, timeout=30)
                path = good.http.get("/orders.csv").headers["location"]  # the same again
                eventually(lambda: good.http.get(path).json()["state"] == "ready", timeout=30)
                story.good("it logs, waits and goes on", job="ready")


def test_an_export_does_not_stop_the_other_requests(big_url: str, story: Story) -> None:
    """The database is slow to answer the export, and the whole service waits with it."""
    story.scene("the table is locked for a while; an export waits for it, then somebody asks /peak")

    def others(service: Service, path: str, patience: float) -> bool:
        """Say whether another request is answered while the export waits for the lock."""
        headers = {"x-user": "big/ann"}
        with psycopg.connect(big_url) as conn, asyncio.Runner() as runner:
            conn.execute("LOCK TABLE orders")

            async def ask() -> bool:
                async with httpx2.AsyncClient(base_url=service.http.base_url) as http:
                    export = asyncio.create_task(http.get(path, headers=headers, timeout=60))
                    async with asyncio.timeout(30):
                        while await asyncio.to_thread(active, big_url) == 0:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
                    try:
                        return (await http.get("/peak", timeout=patience)).is_success
                    except httpx2.ReadTimeout:
                        return False
                    finally:
                        export.cancel()

            return runner.run(ask())

    with serve("naive-stream", big_url) as naive:
        answered = others(naive, "/orders.csv?table=orders", patience=2)
        story.naive("a synchronous driver in async def", answered=answered, after_seconds=2)
        assert not answered
        os.kill(naive.child.pid, signal.SIGKILL)
    with serve("good", big_url) as good:
        answered = others(good, "/orders.csv?columns=id", patience=2)
        story.good("an asynchronous driver", answered=answered)
        assert answered


# -- e: cells --------------------------------------------------------------------------------------


def test_no_cell_is_a_formula_wherever_the_file_is_split(postgres_url: str, story: Story) -> None:
    """A customer's name is a formula, and the accountant's spreadsheet runs it."""
    payloads = ["=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "x;=1+1;y"]
    story.scene("seven names with formulas, and the number -12.5; one reader splits at ;")
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (amount numeric, name text)")
        for payload in payloads:
            conn.execute("INSERT INTO orders VALUES (-12.5, %s)", [payload])
        rows = conn.execute(naive_build_in_memory.QUERY).fetchall()

    def formulas(text: str) -> int:
        """Count cells that a spreadsheet computes, whether it splits at , or at ;."""
        read = [csv.reader(io.StringIO(text, newline=""), delimiter=split) for split in ",;"]
        cells = [cell for rows in read for row in rows for cell in row]
        return sum(c[:1] in set("=+-@\t\r") and not c.startswith("-12.5") for c in cells)

    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)  # quotes do not help
    dangerous = formulas(out.getvalue())
    story.naive("csv.writer, everything quoted", formulas=dangerous)
    assert dangerous == 6 + 2  # at ; the last one, and what follows the line end of the sixth

    data = b"".join(csv_chunks(rows, ["amount", "name"])).decode()
    dangerous = formulas(data)
    story.good("an apostrophe before them", formulas=dangerous, amount="-12.5")
    assert dangerous == 0
    read = list(csv.reader(io.StringIO(data, newline="")))[1:]
    assert {row[0] for row in read} == {"-12.5"}


# -- f: the object store ---------------------------------------------------------------------------

UPLOAD = """
import asyncio, boto3, os, sys
from snippets.bulk_download import naive_export_job
from snippets.bulk_download.s3_multipart_writer import MultipartWriter
client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"])
bucket = os.environ["S3_BUCKET"]

def rows():
    for _ in range(2):
        yield b"x" * (5 << 20)
    raise ConnectionError("the database went away")

async def good():
    async with MultipartWriter(client, bucket, "good", part=5 << 20) as writer:
        for block in rows():
            await writer.write(block)

if sys.argv[1] == "naive":
    naive_export_job.upload(client, bucket, "naive", rows())
else:
    asyncio.run(good())
"""


def test_a_failed_export_leaves_no_parts(s3: Bucket, story: Story) -> None:
    """The database goes away after two parts: 10 MiB that no listing shows and every bill does."""
    story.scene("10 MiB are uploaded in two parts, then the rows end in an exception")
    client = s3.client()
    left = {}
    for how in ("naive", "good"):
        env = {**s3.environment(), "PYTHONPATH": str(ROOT)}
        with spawn([sys.executable, "-c", UPLOAD, how], env=env) as child:
            output, _ = child.communicate(timeout=60)
        assert "the database went away" in output
        uploads = client.list_multipart_uploads(Bucket=s3.name).get("Uploads", [])
        left[how] = [u["Key"] for u in uploads if u["Key"] == how]
        assert "Contents" not in client.list_objects_v2(Bucket=s3.name)
    client.close()
    story.naive("no abort", open_uploads=len(left["naive"]))
    assert left["naive"] == ["naive"]
    story.good("aborted when the block is left", open_uploads=len(left["good"]))
    assert left["good"] == []


async def test_a_download_belongs_to_its_owner(postgres_url: str, s3: Bucket, story: Story) -> None:
    """Jobs are numbered, the link is made for whoever asks, and eve reads ann's customers."""
    client = s3.client()
    client.put_object(Bucket=s3.name, Key="a.csv", Body=b"ann's customers")
    story.scene("ann's export is ready; eve asks for it")
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE exports (id INTEGER PRIMARY KEY, key, owner)")
    db.execute("INSERT INTO exports (key, owner) VALUES ('a.csv', 'ann')")
    link = naive_export_job.download_link(db, client, s3.name, 1)
    db.close()
    async with httpx2.AsyncClient() as http:
        got = (await http.get(link)).text
    story.naive("the job's number is enough", eve_reads=got)
    assert got == "ann's customers"

    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
        await pool.execute(export_job.SCHEMA)
        ann, eve = export_job.Who("acme", "ann"), export_job.Who("acme", "eve")
        await export_job.enqueue(pool, ann, {})

        async def export(_: export_job.Job) -> dict[str, str]:
            return {"key": "a.csv"}

        job = await export_job.run_one(pool, export)
        assert job is not None
        story.good("to eve it does not exist", found=str(await export_job.find(pool, eve, job.id)))
        assert await export_job.find(pool, eve, job.id) is None
        found = await export_job.find(pool, ann, job.id)
        assert found is not None
        link = export_job.link(client, s3.name, found, "orders.csv")
        async with httpx2.AsyncClient() as http:
            assert (await http.get(link)).text == "ann's customers"
    client.close()


def test_a_resumed_download_is_one_file(s3: Bucket, story: Story, tmp_path: Path) -> None:
    """The line breaks, the export is made anew, and the two halves are of two files."""
    client = s3.client()
    old, new = b"1,old\n" * 300_000, b"1,new\n" * 300_000
    etag = client.put_object(Bucket=s3.name, Key="a.csv", Body=old)["ETag"]
    expected = Expected(etag, hashlib.sha256(old).hexdigest())
    url = client.generate_presigned_url("get_object", Params={"Bucket": s3.name, "Key": "a.csv"})
    naive, good = tmp_path / "naive.csv", tmp_path / "good.csv"
    part = tmp_path / "good.csv.part"
    with httpx2.Client() as http:
        story.scene("the line breaks after 600 kB of 1.8 MB")
        with http.stream("GET", url) as answer, naive.open("wb") as file:
            for block in answer.iter_raw():
                file.write(block)
                if file.tell() >= 600_000:
                    break
        half = naive.read_bytes()
        part.write_bytes(half)
        requests = download(http, url, good, expected)
        story.good("the rest by Range and If-Match", requests=requests + 1, whole=True)
        assert requests == 1
        assert good.read_bytes() == old

        story.scene("it breaks again, and the export is made anew before the next request")
        client.put_object(Bucket=s3.name, Key="a.csv", Body=new)
        part.write_bytes(half)
        good.unlink()
        naive_export_job.resume(url, naive)
        glued = naive.read_bytes()
        kinds = {row for row in (b"1,old", b"1,new") if glued.count(row) > 1000}
        story.naive("Range alone", bytes=naive.stat().st_size, rows_of=f"{len(kinds)} exports")
        assert naive.stat().st_size == len(old)
        assert kinds == {b"1,old", b"1,new"}

        with pytest.raises(DownloadError) as caught:
            download(http, url, good, expected)
        story.good("If-Match says 412", DownloadError=str(caught.value))
        assert "was replaced" in str(caught.value)  # by its ETag, before a byte came
        assert not good.exists()
    client.close()
