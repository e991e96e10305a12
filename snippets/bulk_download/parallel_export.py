# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4", "pyarrow>=26,<27"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""One table to many Parquet files, by several processes, from one snapshot.

A transaction exports its snapshot, each worker imports it, so rows committed
meanwhile are in no part or file. The parts are fixed by their key ranges, not
by the workers: two workers write the very files that one writes. A part gets
its name when it is whole, the manifest is written last, and without it there
is no export.

More workers help while the server has cores to spare. Where workers and
server share two cores, expect nothing.

Source: https://www.postgresql.org/docs/current/functions-admin.html
(pg_export_snapshot), https://arrow.apache.org/docs/python/parquet.html
"""

import hashlib
import io
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from psycopg import sql

TABLE = "orders"
COLUMNS = {
    "id": pa.int64(),
    "customer": pa.string(),
    "amount": pa.decimal128(12, 2),  # never a float for money
    "created_at": pa.timestamp("us", tz="UTC"),
}


class Part(NamedTuple):
    """One finished file, with the ids in it: lowest <= id < highest."""

    file: str
    lowest: int
    highest: int
    rows: int
    sha256: str


# --8<-- [start:snapshot]
@contextmanager
def exported_snapshot(
    url: str,
) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """Hold a snapshot that others may use as long as this block lasts.

    Meanwhile VACUUM keeps what it can see: bound the block's time.
    """
    with psycopg.connect(url, application_name="export") as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        # It only waits, which a server may be told to end.
        conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        ((name,),) = conn.execute("SELECT pg_export_snapshot()").fetchall()
        yield conn, str(name)


# --8<-- [end:snapshot]


# --8<-- [start:write_part]
def write_part(
    url: str, snapshot: str, lowest: int, highest: int, folder: str
) -> Part:
    """Write the rows lowest <= id < highest of a snapshot as one file.

    A row is at most 16 MiB of CSV: one batch holds it.
    """
    path = Path(folder, f"{TABLE}-{lowest:012d}.parquet")
    # Half a Parquet file opens like a whole one, so it must not be found.
    partial = path.with_suffix(".part")
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    query = sql.SQL(
        "COPY (SELECT {} FROM {} WHERE id >= {} AND id < {} ORDER BY id)"
        " TO STDOUT (FORMAT csv)"
    ).format(names, sql.Identifier(TABLE), lowest, highest)
    with psycopg.connect(url, application_name="export") as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        # Before any query: that would take a snapshot of its own.
        conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        conn.execute("SET LOCAL TimeZone = 'UTC'")
        with conn.cursor() as cur, cur.copy(query) as copy:
            rows = _to_parquet(iter(copy), partial)
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    partial.replace(path)
    return Part(path.name, lowest, highest, rows, digest)


class _Pipe(io.RawIOBase):
    """Blocks as a file that can only be read forwards."""

    def __init__(self, blocks: Iterator[Any]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _to_parquet(blocks: Iterator[Any], path: Path) -> int:
    """Convert CSV to Parquet, a batch in memory; return the rows."""
    rows = 0
    schema = pa.schema(COLUMNS)
    with pyarrow.parquet.ParquetWriter(
        path, schema, compression="zstd"
    ) as writer:
        first = next(blocks, None)
        if first is None:  # a range without rows: a file without rows
            return 0
        pipe = _Pipe(itertools.chain([first], blocks))
        with closing(io.BufferedReader(pipe, 1 << 20)) as file:
            for batch in pyarrow.csv.open_csv(
                file,
                pyarrow.csv.ReadOptions(
                    column_names=[*COLUMNS],
                    block_size=16 << 20,  # a batch is a row group
                ),
                pyarrow.csv.ParseOptions(newlines_in_values=True),
                pyarrow.csv.ConvertOptions(
                    column_types=COLUMNS,
                    null_values=[""],
                    strings_can_be_null=True,  # an empty field is NULL,
                    quoted_strings_can_be_null=False,  # "" is a string
                ),
            ):
                writer.write_batch(batch)
                rows += batch.num_rows
    return rows


# --8<-- [end:write_part]


# --8<-- [start:parallel_export]
def parallel_export(
    url: str, folder: Path, *, ids: int = 250_000, workers: int = 2
) -> list[Part]:
    """Export the table to `folder`: a file for each `ids` ids, a manifest.

    Raises ValueError for `ids` or `workers` below 1, for a folder that is not
    empty and for ids so sparse that they need more than 10,000 files; what a
    worker raised, without the parts that nobody has begun; and RuntimeError
    when rows are in no part. In all these cases there is no _manifest.json.
    """
    if min(ids, workers) < 1:
        raise ValueError(f"at least 1 of each: {ids=}, {workers=}")
    if any(folder.iterdir()):  # its manifest would vouch for other files
        raise ValueError(f"{folder} is not empty: take one for each export")
    with exported_snapshot(url) as (conn, snapshot):
        ((first, last, count),) = conn.execute(
            "SELECT coalesce(min(id), 0), coalesce(max(id), -1), count(*)"
            f" FROM {TABLE}"
        ).fetchall()
        lows = range(first // ids * ids, last + 1, ids)
        if len(lows) > 10_000:
            raise ValueError(f"{len(lows)} files: split by other bounds")
        jobs = [(url, snapshot, low, low + ids, str(folder)) for low in lows]
        if workers == 1:
            parts = list(itertools.starmap(write_part, jobs))
        else:
            parts = _by_processes(jobs, workers)
    if (rows := sum(part.rows for part in parts)) != count:
        raise RuntimeError(f"{rows} of {count} rows: are there NULL ids?")
    # An underscore, so that readers of the folder pass it over.
    manifest = folder / "_manifest.json"
    listed = [part._asdict() for part in parts]
    partial = manifest.with_suffix(".part")
    partial.write_text(json.dumps({"parts": listed}, indent=1))
    partial.replace(manifest)
    return parts


def _by_processes(jobs: list[tuple[Any, ...]], workers: int) -> list[Part]:
    spawn = multiprocessing.get_context("spawn")  # no shared sockets
    with ProcessPoolExecutor(workers, spawn) as pool:
        futures = [pool.submit(write_part, *job) for job in jobs]
        wait(futures, return_when=FIRST_EXCEPTION)
        pool.shutdown(wait=False, cancel_futures=True)  # if any failed
        done = [future for future in futures if not future.cancelled()]
        return [future.result() for future in done]


# --8<-- [end:parallel_export]


# --8<-- [start:demo]
def main() -> None:
    """Export 40,000 rows by one process and by two, and compare."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    name = f"firedrill_{zlib.crc32(os.urandom(8))}"
    inside = psycopg.conninfo.make_conninfo(
        url, options=f"-c search_path={name}"
    )
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {name}")
        try:
            conn.execute(
                f"CREATE TABLE {name}.orders AS SELECT n::int8 AS id,"
                " 'c' || n % 100 AS customer, n::numeric(12, 2) AS amount,"
                " timestamptz '2026-01-01' + n * interval '1 s' AS created_at"
                " FROM generate_series(1, 40000) AS n"
            )
            with tempfile.TemporaryDirectory() as folder:
                exports = []
                for workers in (1, 2):
                    target = Path(folder, str(workers))
                    target.mkdir()
                    exports.append(
                        parallel_export(
                            inside, target, ids=20_000, workers=workers
                        )
                    )
                for part in exports[0]:
                    print(f"{part.file}: {part.rows} rows")
                print(f"two workers, same bytes: {exports[0] == exports[1]}")
        finally:
            conn.execute(f"DROP SCHEMA {name} CASCADE")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
