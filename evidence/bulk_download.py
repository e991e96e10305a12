"""Scenario 3: how quick an export is and what it holds in memory, beside its peers.

Run as a script with the name of a way it is the measured child process:
`python evidence/bulk_download.py <way> <database url> <rows>`.

FIREDRILL_EVIDENCE_ROWS tries it with fewer rows than a million.
"""

import asyncio
import csv
import io
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import zstandard

from evidence.charts import bars, lines
from lab.memory import peak_rss
from lab.ratio import Timing
from snippets.bulk_download.copy_stream import CopyStream, safe_column
from snippets.bulk_download.csv_stream import csv_chunks, safe_text
from snippets.bulk_download.incremental_compression import acompressed, gzip_codec
from snippets.bulk_download.parallel_export import parallel_export

if TYPE_CHECKING:
    from evidence.harness import Run

MIB = 1024 * 1024
ROWS = int(os.environ.get("FIREDRILL_EVIDENCE_ROWS", "1000000"))
SIZES = (ROWS // 100, ROWS // 10, ROWS)
HEADER = ["id", "customer", "amount", "created_at", "note"]
COLUMNS = ", ".join(HEADER)
QUERY = f"SELECT {COLUMNS} FROM orders WHERE id <= "
BATCH = 2000


class Sink:
    """Counts what is written to it and keeps nothing."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: str | bytes) -> int:
        """Take text or bytes."""
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing."""


# -- ways to write the CSV; each returns the bytes it made ----------------------------------------


def psql(url: str, rows: int, *command: str, pipe: bool = True) -> int:
    """Let psql copy, through a program or to nowhere."""
    from lab.servers.binaries import postgres_folder

    copy = f"COPY ({QUERY}{rows}) TO STDOUT (FORMAT csv, HEADER)"
    first = [str(postgres_folder() / "psql"), "-X", "-q", url, "-c", copy]
    size = 0
    with subprocess.Popen(first, stdout=subprocess.PIPE) as source:
        last = source
        if pipe:
            last = subprocess.Popen(command, stdin=source.stdout, stdout=subprocess.PIPE)
        assert last.stdout
        while block := os.read(last.stdout.fileno(), 1 << 16):
            size += len(block)
        if last is not source and last.wait():
            raise ValueError(f"{command} ended with {last.returncode}")
    return size


async def _copy(url: str, rows: int, encode: Callable[[Any], AsyncIterable[bytes]]) -> int:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        CopyStream(pool, f"{QUERY}{rows}") as stream,
    ):
        return sum([len(block) async for block in encode(stream)])


def zstd(stream: AsyncIterable[bytes], level: int = 1) -> AsyncIterable[bytes]:
    """Compress as the service does."""
    codec = zstandard.ZstdCompressor(level=level).compressobj()
    return acompressed(stream, codec, sync=zstandard.COMPRESSOBJ_FLUSH_BLOCK)


def gzipped(stream: AsyncIterable[bytes], level: int) -> AsyncIterable[bytes]:
    """Compress for everybody else."""
    return acompressed(stream, gzip_codec(level))


def copy_stream(url: str, rows: int) -> int:
    """COPY by our stream."""
    return asyncio.run(_copy(url, rows, lambda stream: stream))


def copy_zstd(url: str, rows: int) -> int:
    """COPY by our stream, zstd level 1."""
    return asyncio.run(_copy(url, rows, zstd))


def copy_gzip(url: str, rows: int, level: int = 1) -> int:
    """COPY by our stream, gzip."""
    return asyncio.run(_copy(url, rows, partial(gzipped, level=level)))


def copy_safe(url: str, rows: int) -> int:
    """COPY with both text columns guarded against formulas."""

    async def run() -> int:
        names = COLUMNS.replace("customer", safe_column("customer")).replace(
            "note", safe_column("note")
        )
        query = f"SELECT {names} FROM orders WHERE id <= {rows}"
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            return sum([len(block) async for block in CopyStream(pool, query)])

    return asyncio.run(run())


def psycopg_copy(url: str, rows: int) -> int:
    """Do the same with psycopg's asynchronous copy: a row at a time."""

    async def run() -> int:
        size = 0
        copy = f"COPY ({QUERY}{rows}) TO STDOUT (FORMAT csv, HEADER)"
        async with (
            await psycopg.AsyncConnection.connect(url) as conn,
            conn.cursor() as cur,
            cur.copy(copy.encode()) as found,
        ):
            async for row in found:
                size += len(row)
        return size

    return asyncio.run(run())


def _rows(conn: psycopg.Connection[Any], rows: int) -> Iterable[tuple[Any, ...]]:
    cur = conn.cursor(name="export")
    cur.itersize = BATCH
    cur.execute(f"{QUERY}{rows}".encode())
    return cur


def csv_writer(url: str, rows: int) -> int:
    """Fetch by a server-side cursor, format by the csv module, both texts guarded."""
    sink = Sink()
    with psycopg.connect(url) as conn:
        writer = csv.writer(sink)
        writer.writerow(HEADER)
        writer.writerows(
            (number, safe_text(customer), amount, at, safe_text(note))
            for number, customer, amount, at, note in _rows(conn, rows)
        )
    return sink.size


def our_csv(url: str, rows: int) -> int:
    """Fetch by a server-side cursor, format by csv_stream."""
    with psycopg.connect(url) as conn:
        return sum(len(block) for block in csv_chunks(_rows(conn, rows), HEADER))


def naive(url: str, rows: int) -> int:
    """Fetch all, format all, encode all."""
    with psycopg.connect(url) as conn:
        found = conn.execute(f"{QUERY}{rows}".encode()).fetchall()
    text = io.StringIO()
    csv.writer(text).writerows(found)
    return len(text.getvalue().encode())


def pandas_csv(url: str, rows: int) -> int:
    """Write to_csv chunk by chunk, on a connection that streams."""
    import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    sink = Sink()
    with engine.connect().execution_options(stream_results=True) as conn:
        query = sqlalchemy.text(f"{QUERY}{rows}")
        for number, frame in enumerate(pd.read_sql(query, conn, chunksize=BATCH)):
            frame.to_csv(sink, index=False, header=number == 0)
    engine.dispose()
    return sink.size


def polars_csv(url: str, rows: int) -> int:
    """Write write_csv batch by batch."""
    import polars as pl

    sink = io.BytesIO()
    size = 0
    with psycopg.connect(url) as conn, conn.cursor(name="export") as cur:
        cur.execute(f"{QUERY}{rows}".encode())
        while batch := cur.fetchmany(50_000):
            sink.seek(0)
            sink.truncate()
            frame = pl.DataFrame(batch, HEADER, orient="row")
            frame.write_csv(sink, include_header=size == 0)
            size += sink.tell()
    return size


def zip_stream(url: str, rows: int) -> int:
    """Stream the COPY as a ZIP with one member."""
    import datetime as dt

    from stream_zip import ZIP_64, async_stream_zip

    async def run() -> int:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:

            async def members() -> Any:  # noqa: ANN401 - a package without types
                stream = CopyStream(pool, f"{QUERY}{rows}")
                when = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
                yield "orders.csv", when, 0o600, ZIP_64, stream

            return sum([len(block) async for block in async_stream_zip(members())])

    return asyncio.run(run())


def xlsx(url: str, rows: int) -> int:
    """Write a spreadsheet in constant memory: a file, for it cannot be streamed."""
    import xlsxwriter

    with tempfile.TemporaryDirectory() as folder, psycopg.connect(url) as conn:
        path = Path(folder) / "orders.xlsx"
        options = {"constant_memory": True, "tmpdir": folder}
        with xlsxwriter.Workbook(str(path), options) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, HEADER)
            for number, row in enumerate(_rows(conn, min(rows, 1_048_575)), 1):
                sheet.write_row(number, 0, [*row[:3], str(row[3]), row[4]])
        return path.stat().st_size


WAYS: dict[str, Callable[[str, int], int]] = {
    "naive": naive,
    "COPY": copy_stream,
    "COPY, zstd": copy_zstd,
    "COPY, gzip": copy_gzip,
    "csv_stream": our_csv,
    "pandas to_csv": pandas_csv,
    "xlsxwriter": xlsx,
}


# -- measuring ------------------------------------------------------------------------------------


def prepare(url: str) -> None:
    """Make the table: names that repeat, amounts, times, and five words of a vocabulary of 400."""
    with psycopg.connect(url, autocommit=True) as conn:
        # Words of 3 to 9 letters, the same every time; a row picks five by hashes of its number.
        letters = "translate(md5('w' || mixed), '0123456789abcdef', 'etaoinshrdlucmfp')"
        word = f"left({letters}, 3 + mixed % 7)"
        picks = " || ' ' || ".join(
            word.replace("mixed", f"(abs(hashint8extended(n, {seed}) % 400)::int)")
            for seed in range(5)
        ).replace("%", "%%")
        conn.execute(
            "CREATE TABLE orders AS SELECT n AS id, 'customer ' || n %% 10007 AS customer,"
            " (n * 37 %% 100000 / 100.0)::numeric(12, 2) AS amount,"
            f" timestamptz '2026-01-01' + n * interval '1 s' AS created_at, {picks} AS note"
            " FROM generate_series(1::bigint, %s) AS n".encode(),
            [ROWS],
        )
        conn.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
        conn.execute("VACUUM (ANALYZE) orders")


def ratio(run: "Run", key: str, times: dict[str, Timing], pair: tuple[str, str], note: str) -> None:
    """Record how many times as long `slow` takes: best of the rounds, spread of their ratios."""
    quick, slow = pair
    pairs = zip(times[quick].seconds, times[slow].seconds, strict=True)
    ratios = [b / a for a, b in pairs]
    best = times[slow].best / times[quick].best
    spread = (min(*ratios, best), max(*ratios, best))
    run.value(key, best, "times", spread=spread, note=note)


def measure_speed(run: "Run", url: str) -> None:
    """Record the time of every way to the same CSV, in turns."""
    sizes: dict[str, int] = {}

    def note(name: str, way: Callable[..., int], *arguments: Any, **more: Any) -> None:  # noqa: ANN401
        sizes[name] = way(url, ROWS, *arguments, **more)

    program = shutil.which("zstd")
    if program is None:
        raise ValueError("zstd is not on PATH: install it, it is the limit we measure against")
    work = {
        "psql to nowhere": partial(note, "psql to nowhere", psql, pipe=False),
        "psql | zstd -1": partial(note, "psql | zstd -1", psql, program, "-1", "-q", "-c"),
        "psql | gzip -1": partial(note, "psql | gzip -1", psql, "gzip", "-1"),
        "psql | gzip -6": partial(note, "psql | gzip -6", psql, "gzip", "-6"),
        "COPY": partial(note, "COPY", copy_stream),
        "COPY, formulas guarded": partial(note, "COPY, formulas guarded", copy_safe),
        "COPY, zstd 1": partial(note, "COPY, zstd 1", copy_zstd),
        "COPY, gzip 1": partial(note, "COPY, gzip 1", copy_gzip),
        "COPY, gzip 6": partial(note, "COPY, gzip 6", copy_gzip, 6),
        "psycopg async COPY": partial(note, "psycopg async COPY", psycopg_copy),
        "cursor, csv module": partial(note, "cursor, csv module", csv_writer),
        "cursor, csv_stream": partial(note, "cursor, csv_stream", our_csv),
        "pandas to_csv": partial(note, "pandas to_csv", pandas_csv),
        "polars write_csv": partial(note, "polars write_csv", polars_csv),
        "stream-zip": partial(note, "stream-zip", zip_stream),
    }
    times = run.compare(work, rounds=3)
    plain = sizes["COPY"] / MIB
    run.value("csv-size", round(plain), "MiB", note=f"{ROWS:,} rows as CSV")
    rows = [{"way": n, "MiB of CSV a second": round(plain / t.best, 1)} for n, t in times.items()]
    run.chart(
        "speed",
        bars(rows, "way", "MiB of CSV a second", width=170),
        columns=["way", "MiB of CSV a second"],
    )
    guarded = "COPY, formulas guarded"
    for key, quick, slow, words in (
        ("copy-of-psql", "COPY", "psql to nowhere", "speed of our COPY of psql's to nowhere"),
        ("zstd-of-psql", "COPY, zstd 1", "psql | zstd -1", "speed of ours of psql | zstd -1"),
        ("gzip-of-psql", "COPY, gzip 1", "psql | gzip -1", "speed of ours of psql | gzip -1"),
        ("gzip-6-slower", "COPY", "COPY, gzip 6", "time with gzip 6 to that without"),
        ("gzip-1-slower", "COPY", "COPY, gzip 1", "time with gzip 1 to that without"),
        ("zstd-slower", "COPY", "COPY, zstd 1", "time with zstd 1 to that without"),
        ("psycopg-slower", "COPY", "psycopg async COPY", "time of a row a block to ours"),
        ("csv-module-slower", guarded, "cursor, csv module", "time of rows through Python"),
        ("csv-stream-slower", guarded, "cursor, csv_stream", "time of rows through csv_stream"),
        ("guard-slower", "COPY", "COPY, formulas guarded", "time with two guarded columns"),
        ("pandas-slower", "COPY", "pandas to_csv", "time of pandas to ours"),
        ("polars-slower", "COPY", "polars write_csv", "time of polars to ours"),
    ):
        ratio(run, key, times, (quick, slow), f"{words}; best of 3 rounds")
    limit = times["psql | zstd -1"].best / times["COPY, zstd 1"].best
    if limit < 0.8:
        raise ValueError(f"{limit:.2f} of the speed of psql | zstd -1: at least 0.8 is promised")
    fewer = ROWS // 10  # a spreadsheet of a million rows takes minutes
    pair = {n: partial(WAYS[n], url, fewer) for n in ("COPY", "xlsxwriter")}
    ratio(
        run, "xlsx-slower", run.compare(pair, rounds=3), ("COPY", "xlsxwriter"),
        f"time of the spreadsheet to ours; {fewer:,} rows, best of 3 rounds",
    )  # fmt: skip
    for name in ("zstd 1", "gzip 1", "gzip 6"):
        smaller = sizes["COPY"] / sizes[f"COPY, {name}"]
        run.value(f"ratio-{name.replace(' ', '-')}", smaller, "times", note="smaller than the CSV")


def measure_codecs(run: "Run", url: str) -> None:
    """Record what the compressors alone do, on the same bytes in memory."""

    async def read() -> bytes:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            stream = CopyStream(pool, f"{QUERY}{ROWS // 5}")
            return b"".join([block async for block in stream])

    data = asyncio.run(read())
    sizes: dict[str, int] = {}

    def press(name: str, make: Callable[[], Any]) -> None:
        codec = make()
        size = 0
        for begin in range(0, len(data), 1 << 17):
            size += len(codec.compress(data[begin : begin + (1 << 17)]))
        sizes[name] = size + len(codec.flush())

    def zstd_codec(level: int) -> Any:  # noqa: ANN401 - any codec
        return zstandard.ZstdCompressor(level=level).compressobj()

    makers: dict[str, Callable[[], Any]] = {
        **{f"gzip {n}": partial(zlib.compressobj, n, wbits=31) for n in (1, 6, 9)},
        **{f"zstd {n}": partial(zstd_codec, n) for n in (1, 3, 9)},
    }
    times = run.compare({n: partial(press, n, m) for n, m in makers.items()}, rounds=3)
    rows = [
        {
            "codec": name,
            "MiB a second": round(len(data) / MIB / times[name].best, 1),
            "times smaller": round(len(data) / sizes[name], 2),
        }
        for name in makers
    ]
    run.chart(
        "codecs",
        bars(rows, "codec", "MiB a second", width=170, as_given=True),
        columns=["codec", "MiB a second", "times smaller"],
    )
    ratio(run, "gzip-9-of-gzip-1", times, ("gzip 1", "gzip 9"), "time of level 9 to level 1")
    run.value(
        "gzip-9-smaller", sizes["gzip 1"] / sizes["gzip 9"], "times", note="level 1's size to it"
    )


def measure_memory(run: "Run", url: str) -> None:
    """Record the peak of fresh processes, by rows."""
    points: list[dict[str, Any]] = []
    peaks: dict[tuple[str, int], float] = {}
    absolute: dict[tuple[str, int], int] = {}
    for name in WAYS:
        bare = peak_rss([sys.executable, __file__, name, url, "1"], baseline=False)
        for rows in SIZES:
            peak = peak_rss([sys.executable, __file__, name, url, str(rows)], baseline=False)
            absolute[name, rows] = peak
            # A process's peak varies by about 1 MiB from run to run: less counts as that.
            peaks[name, rows] = round(max(1.0, (peak - bare) / MIB), 1)
            points.append({"way": name, "rows": rows, "MiB": peaks[name, rows]})
            run.step(f"memory of {name}, {rows:,} rows")
    run.chart(
        "memory",
        lines(points, "rows", "MiB", "way", width=320, log="xy"),
        columns=["way", "rows", "MiB"],
    )
    for key, name in (("naive", "naive"), ("copy", "COPY"), ("zstd", "COPY, zstd")):
        note = "peak above the same process exporting one row; 1 MiB or less is recorded as 1"
        run.value(f"memory-{key}", peaks[name, ROWS], "MiB", note=note)
    grown = absolute["COPY, zstd", SIZES[2]] / absolute["COPY, zstd", SIZES[1]]
    run.value("ten-times-the-rows", (grown - 1) * 100, "%", note="growth of the process's peak")


def measure_first_byte(run: "Run", url: str) -> None:
    """Record the first byte of both services, each under uvicorn in a process of its own."""
    import httpx2

    from lab.eventually import eventually
    from lab.process import spawn
    from lab.servers.base import free_port

    root = Path(__file__).parents[1]
    with psycopg.connect(url, autocommit=True) as conn:  # the same columns for both
        conn.execute("ALTER TABLE orders RENAME note TO email")
        conn.execute("ALTER TABLE orders ADD tenant text DEFAULT 'big'")
        conn.execute("CREATE INDEX ON orders (tenant, id)")
        # Without statistics of the new column the server sorts a million rows first.
        conn.execute("VACUUM (ANALYZE) orders")
    found: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for kind, path in (
        ("naive-memory", "/orders.csv"),
        ("good", f"/orders.csv?columns={EXPORTED}"),
    ):
        port = free_port()
        env = {"KIND": kind, "EXPORT_URL": url, "PYTHONPATH": str(root)}
        application = "tests.scenarios.bulk_download.service:create"
        command = [sys.executable, "-m", "uvicorn", "--factory", application, "--no-access-log"]
        with (
            spawn([*command, "--port", str(port), "--log-level", "critical"], env=env),
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as http,
        ):

            def answers(http: httpx2.Client = http) -> bool:
                try:
                    return http.get("/peak").is_success
                except httpx2.TransportError:
                    return False

            eventually(answers, timeout=60)
            headers = {"x-user": "big/ann/pii", "accept-encoding": "identity"}
            for _ in range(3):
                sizes[kind] = 0
                began = time.perf_counter()
                with http.stream("GET", path, headers=headers) as answer:
                    if answer.status_code != 200:
                        raise ValueError(f"{kind} answered {answer.status_code}")
                    blocks = answer.iter_raw()
                    sizes[kind] += len(next(blocks))
                    found.setdefault(kind, []).append(time.perf_counter() - began)
                    for block in blocks:
                        sizes[kind] += len(block)
                run.step(f"first byte of {kind}")
    # Naive also sends the tenant, four bytes a row.
    if not 0.85 < sizes["good"] / sizes["naive-memory"] < 1.15:
        raise ValueError(f"not the same work: {sizes}")
    run.median("first-byte-naive", found["naive-memory"], "s", note=f"{ROWS:,} rows")
    run.median("first-byte", [s * 1000 for s in found["good"]], "ms", note="the same rows")
    ratios = [a / b for a, b in zip(found["naive-memory"], found["good"], strict=True)]
    run.median("first-byte-sooner", ratios, "times", note="naive to streamed")


EXPORTED = "id,customer,amount,created_at,email"


def measure_parallel(run: "Run", url: str) -> None:
    """Record the Parquet export by 1, 2 and 4 processes that share the server's cores."""

    def export(workers: int) -> None:
        ids = max(1, ROWS // 8)
        spawn = multiprocessing.get_context("spawn")
        with tempfile.TemporaryDirectory() as folder:
            if workers > 1:
                parallel_export(url, Path(folder), ids=ids, workers=workers)
                return
            # In a process that has to start, as the others have.
            with ProcessPoolExecutor(1, spawn) as pool:
                pool.submit(parallel_export, url, Path(folder), ids=ids, workers=1).result()

    times = run.compare({str(n): partial(export, n) for n in (1, 2, 4)}, rounds=3)
    rows = [{"workers": n, "seconds": round(t.best, 2)} for n, t in times.items()]
    run.chart(
        "workers",
        bars(rows, "workers", "seconds", width=170, as_given=True, title="workers"),
        columns=["workers", "seconds"],
    )
    ratio(run, "two-workers", times, ("2", "1"), "time of one process to that of two")
    ratio(run, "four-workers", times, ("4", "1"), "time of one process to that of four")


def measure(run: "Run") -> None:
    """Measure everything that the page states."""
    from lab.servers import postgres

    run.packages(
        "pandas", "polars", "SQLAlchemy", "stream-zip", "xlsxwriter", "starlette", "uvicorn"
    )
    folder = "snippets/bulk_download"
    run.uses(
        f"{folder}/export_endpoint.py",
        f"{folder}/naive_build_in_memory.py",
        "tests/scenarios/bulk_download/service.py",
    )
    with postgres() as server:
        prepare(server.url)
        measure_speed(run, server.url)
        measure_codecs(run, server.url)
        measure_memory(run, server.url)
        measure_parallel(run, server.url)
        measure_first_byte(run, server.url)


if __name__ == "__main__":
    WAYS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
