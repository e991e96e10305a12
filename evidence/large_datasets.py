"""Scenario 1: what each way of reading many rows costs, in memory and in time.

Run as a script with the name of a reader it is the measured child process:
`python evidence/large_datasets.py <reader> <database url> <rows>`.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from evidence.charts import bars, lines
from lab.memory import peak_rss
from lab.ratio import Timing
from snippets.large_datasets import (
    copy_out_reader,
    keyset_postgres,
    naive_fetch_all,
    out_of_core_aggregate,
    server_side_cursor,
)

if TYPE_CHECKING:
    from evidence.harness import Run

MIB = 1024 * 1024
ROWS = 1_000_000
SIZES = (10_000, 100_000, ROWS)
MORE_ROWS = 10 * ROWS  # for the readers whose memory should not care
SPEED_ROWS = 400_000
BATCH = 2000  # rows a round trip, for every reader that has such a setting
QUERY = "SELECT user_id, amount FROM events WHERE id <= %s"
SPEED_QUERY = "SELECT user_id, amount FROM events WHERE id <= 400000"
Totals = dict[int, Decimal]


# -- the readers: all give the total of each user ----------------------------------------------


def add_up(rows: Iterable[tuple[int, Decimal]]) -> Totals:
    """Do the work that every reader is measured with."""
    totals: Totals = defaultdict(Decimal)
    for user_id, amount in rows:
        totals[user_id] += amount
    return totals


async def add_up_async(rows: AsyncIterable[Any]) -> Totals:
    """Do the same for an asynchronous reader."""
    totals: Totals = defaultdict(Decimal)
    async for user_id, amount in rows:
        totals[user_id] += amount
    return totals


def fetch_all(url: str, rows: int) -> Totals:
    """Call fetchall(), the rows as tuples."""
    with psycopg.connect(url) as conn:
        return add_up(conn.execute(QUERY, [rows]).fetchall())


def fetch_dicts(url: str, rows: int) -> Totals:
    """Run the naive snippet: SELECT *, fetchall(), one dict a row."""
    with psycopg.connect(url) as conn:
        conn.execute(f"SET search_path = events_{rows}, public")
        return naive_fetch_all.total_by_user(conn)


def iterate(url: str, rows: int) -> Totals:
    """Iterate over a client-side cursor."""
    with psycopg.connect(url) as conn:
        return add_up(conn.execute(QUERY, [rows]))


def _whole_rows(url: str, rows: int, how: str) -> Totals:
    """Read as fetch_dicts does, SELECT *, in another way."""
    query: LiteralString = "SELECT * FROM events"
    with psycopg.connect(url) as conn:
        conn.execute(f"SET search_path = events_{rows}, public".encode())
        conn.commit()
        if how == "iterate":
            return add_up((row[1], row[2]) for row in conn.execute(query))
        stream = {
            "cursor": server_side_cursor.stream_rows,
            "chunks": server_side_cursor.stream_chunks,
        }[how]
        with closing(stream(conn, query)) as found:
            return add_up((row[1], row[2]) for row in found)


def named_cursor(url: str, rows: int, batch: int = BATCH) -> Totals:
    """Iterate over a server-side cursor."""
    with (
        psycopg.connect(url) as conn,
        closing(server_side_cursor.stream_rows(conn, QUERY, [rows], batch=batch)) as found,
    ):
        return add_up(found)


def chunks(url: str, rows: int) -> Totals:
    """Stream in libpq's chunked-rows mode."""
    with (
        psycopg.connect(url) as conn,
        closing(server_side_cursor.stream_chunks(conn, QUERY, [rows], size=500)) as found,
    ):
        return add_up(found)


def keyset(url: str, rows: int) -> Totals:
    """Read keyset pages of 1,000 rows: one query each."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"SET search_path = events_{rows}, public")
        # Of the snippet's (id, customer) we make the same sums; it also reads two key columns.
        found = keyset_postgres.iter_all(conn)
        return add_up((int(customer), Decimal(number)) for number, customer in found)


def copied_rows(url: str, rows: int) -> Totals:
    """Parse the rows of COPY ... (FORMAT binary)."""
    query = f"SELECT user_id, amount FROM events WHERE id <= {rows}"
    with (
        psycopg.connect(url) as conn,
        closing(copy_out_reader.copy_rows(conn, query)) as found,
    ):
        return add_up(found)


def group_by(url: str, rows: int) -> Totals:
    """Let PostgreSQL add up, and fetch one row a user."""
    query = f"SELECT user_id, sum(amount) FROM ({QUERY}) AS rows GROUP BY user_id"
    with psycopg.connect(url) as conn:
        return dict(conn.execute(query.encode(), [rows]))


def sqlalchemy_yield_per(url: str, rows: int) -> Totals:
    """Use SQLAlchemy with yield_per."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    query = sqlalchemy.text(QUERY.replace("%s", ":rows"))
    with engine.connect().execution_options(yield_per=BATCH) as conn:
        totals = add_up(tuple(row) for row in conn.execute(query, {"rows": rows}))
    engine.dispose()
    return totals


def asyncpg_fetch(url: str, rows: int) -> Totals:
    """Call asyncpg's fetch()."""
    import asyncpg

    async def read() -> Totals:
        conn = await asyncpg.connect(url)
        totals = add_up(await conn.fetch(QUERY.replace("%s", "$1"), rows))
        await conn.close()
        return totals

    return asyncio.run(read())


def asyncpg_cursor(url: str, rows: int) -> Totals:
    """Iterate over asyncpg's cursor, in its transaction."""
    import asyncpg

    async def read() -> Totals:
        conn = await asyncpg.connect(url)
        async with conn.transaction():
            query = QUERY.replace("%s", "$1")
            totals = await add_up_async(conn.cursor(query, rows, prefetch=BATCH))
        await conn.close()
        return totals

    return asyncio.run(read())


def _pandas(url: str, rows: int, *, stream: bool) -> Totals:
    import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    query = sqlalchemy.text(QUERY.replace("%s", ":rows"))
    totals: Totals = defaultdict(Decimal)
    with engine.connect().execution_options(stream_results=stream) as conn:
        # By default pandas makes floats of numeric columns: not the same work, nor the same sum.
        found = pd.read_sql(query, conn, params={"rows": rows}, chunksize=BATCH, coerce_float=False)
        for frame in found:
            for user_id, amount in frame.groupby("user_id")["amount"].sum().items():
                totals[user_id] += amount
    engine.dispose()
    return totals


# Measured by size, not with the others: five columns instead of two.
WHOLE = ("SELECT *, iteration", "SELECT *, cursor", "SELECT *, chunks")
READERS: dict[str, Callable[[str, int], Totals]] = {
    "SELECT *, dicts": fetch_dicts,
    "SELECT *, iteration": partial(_whole_rows, how="iterate"),
    "SELECT *, cursor": partial(_whole_rows, how="cursor"),
    "SELECT *, chunks": partial(_whole_rows, how="chunks"),
    "fetchall": fetch_all,
    "plain iteration": iterate,
    "asyncpg fetch": asyncpg_fetch,
    "pandas chunksize": partial(_pandas, stream=False),
    "pandas, streaming": partial(_pandas, stream=True),
    "SQLAlchemy yield_per": sqlalchemy_yield_per,
    "asyncpg cursor": asyncpg_cursor,
    "COPY, parsed": copied_rows,
    "keyset pages": keyset,
    "server-side cursor": named_cursor,
    "chunked rows": chunks,
    "GROUP BY in SQL": group_by,
}


PAIRS = [name for name in READERS if name not in WHOLE]


# -- the same aggregation over files ------------------------------------------------------------


@contextmanager
def dask_cluster() -> Iterator[None]:
    """Run Dask on two worker processes of this machine; what is computed inside uses them."""
    import distributed

    # The package has annotations, but not on these two.
    start: Any = distributed.LocalCluster
    connect: Any = distributed.Client
    with (
        start(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port, not 8787
            silence_logs=50,
        ) as cluster,
        connect(cluster),
    ):
        yield


def dask_totals(paths: list[Path]) -> list[tuple[int, int]]:
    """Add up with Dask, on the cluster that is running."""
    import dask.dataframe as dd

    frame = dd.read_csv([str(path) for path in paths], usecols=["user_id", "cents"])
    sums = frame.groupby("user_id")["cents"].sum().compute().sort_index()
    return [(int(user), int(cents)) for user, cents in sums.items()]


def pandas_totals(paths: list[Path]) -> list[tuple[int, int]]:
    """Add up with pandas, all files in memory at once."""
    import pandas as pd

    frame = pd.concat(pd.read_csv(path, usecols=["user_id", "cents"]) for path in paths)
    return [
        (int(user), int(cents)) for user, cents in frame.groupby("user_id")["cents"].sum().items()
    ]


ENGINES: dict[str, Callable[[list[Path]], Iterable[tuple[int, int]]]] = {
    "Python": out_of_core_aggregate.totals_by_generator,
    "pandas": pandas_totals,
    "Dask, 2 workers": dask_totals,
    "DuckDB": out_of_core_aggregate.totals_by_duckdb,
    "Polars": out_of_core_aggregate.totals_by_polars,
}
MEASURED_ENGINES = {
    "python": "Python",
    "pandas-files": "pandas",
    "duckdb": "DuckDB",
    "polars": "Polars",
}
CSV_ROWS = 4_000_000
CSV_FILES = 4


def write_csv(url: str, folder: Path) -> list[Path]:
    """Let the server write the rows: four files of the same size."""
    paths = []
    with psycopg.connect(url) as conn:
        for part in range(CSV_FILES):
            path = folder / f"{part}.csv"
            with path.open("wb") as file:
                for block in copy_out_reader.copy_bytes(
                    conn,
                    "SELECT n AS id, n %% 10007 AS user_id, (n * 37) %% 100000 AS cents,"
                    " md5(n::text) AS note FROM generate_series(1, %s) AS n",
                    [CSV_ROWS // CSV_FILES],
                ):
                    file.write(block)
            paths.append(path)
    return paths


# -- measuring ------------------------------------------------------------------------------------


def prepare(url: str) -> None:
    """Make the table, and for each size a schema whose views show that many rows."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE events AS SELECT n AS id, (n %% 10007)::int AS user_id,"
            " ((n * 37) %% 100000)::numeric / 100 AS amount,"
            " timestamptz '2026-01-01' + n / 4 * interval '1 s' AS created_at,"
            " md5(n::text) AS note FROM generate_series(1::bigint, %s) AS n",
            [ROWS],
        )
        conn.execute("ALTER TABLE events ADD PRIMARY KEY (id)")
        conn.execute("CREATE INDEX ON events (created_at, id)")
        for rows in (0, SPEED_ROWS, *SIZES):
            conn.execute(f"CREATE SCHEMA events_{rows}")
            conn.execute(
                f"CREATE VIEW events_{rows}.events AS"
                f" SELECT * FROM public.events WHERE id <= {rows}"
            )
            conn.execute(
                f"CREATE VIEW events_{rows}.orders AS SELECT id, user_id::text AS customer,"
                f" created_at, created_at AS paid_at FROM public.events WHERE id <= {rows}"
            )
        conn.execute(f"CREATE SCHEMA events_{MORE_ROWS}")
        conn.execute(
            f"CREATE VIEW events_{MORE_ROWS}.events AS SELECT events.* FROM public.events,"
            f" generate_series(1, {MORE_ROWS // ROWS})"
        )
        conn.execute("VACUUM (ANALYZE) events")


def buffers(conn: psycopg.Connection[Any], query: str) -> int:
    """Count the 8 KiB pages that a query touches, cached or not."""
    row = conn.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode()).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def drain(blocks: Iterator[bytes]) -> None:
    """Read to the end and keep nothing."""
    for _ in blocks:
        pass


def psql_copy(url: str) -> None:
    """Let psql write the whole table to nowhere: what the server and the protocol can do."""
    from lab.servers.binaries import postgres_folder

    command = [str(postgres_folder() / "psql"), "-X", "-q", url, "-c"]
    copy = f"COPY ({SPEED_QUERY}) TO STDOUT (FORMAT csv, HEADER)"
    subprocess.run([*command, copy], stdout=subprocess.DEVNULL, check=True)


def copy_bytes(url: str) -> None:
    """Pass the same blocks through Python."""
    with psycopg.connect(url) as conn:
        drain(copy_out_reader.copy_bytes(conn, SPEED_QUERY))


def quicker(run: "Run", key: str, quick: Timing, slow: Timing, note: str) -> None:
    """Record how many times as long the slow one takes: the best rounds, which load spoils least.

    The ratio of the best rounds lies between the smallest and the largest ratio of one round.
    """
    ratios = [b / a for a, b in zip(quick.seconds, slow.seconds, strict=True)]
    spread = (min(ratios), max(ratios))
    note = f"{note}; best of {len(ratios)} rounds"
    run.value(key, slow.best / quick.best, "times", spread=spread, note=note)


# Whole rows, and how far each goes.
SHOWN_BY_SIZE = {
    "SELECT *, dicts": SIZES,
    "SELECT *, iteration": SIZES,
    "SELECT *, cursor": (*SIZES, MORE_ROWS),
    "SELECT *, chunks": SIZES,
}


def measure_memory(run: "Run", url: str) -> None:
    """Record the peak of each reader, in fresh processes; those of whole rows at each size."""
    peaks: dict[tuple[str, int], float] = {}
    for name in READERS:
        # Less the same process reading nothing: the libraries are not the reader's cost.
        bare = peak_rss([sys.executable, __file__, name, url, "0"], baseline=False)
        for rows in SHOWN_BY_SIZE.get(name, (ROWS,)):
            peak = peak_rss([sys.executable, __file__, name, url, str(rows)], baseline=False)
            peaks[name, rows] = round(max(0, peak - bare) / MIB, 1)
            run.step(f"memory of {name}, {rows:,} rows")
    for key, name in (
        ("memory-fetchall-dicts", "SELECT *, dicts"),
        ("memory-fetchall", "fetchall"),
        ("memory-iterate", "plain iteration"),
        ("memory-iterate-whole", "SELECT *, iteration"),
        ("memory-server-side-cursor", "server-side cursor"),
        ("memory-chunked-rows", "chunked rows"),
        ("memory-keyset", "keyset pages"),
        ("memory-yield-per", "SQLAlchemy yield_per"),
        ("memory-asyncpg-fetch", "asyncpg fetch"),
        ("memory-asyncpg-cursor", "asyncpg cursor"),
        ("memory-pandas", "pandas chunksize"),
        ("memory-pandas-stream", "pandas, streaming"),
        ("memory-group-by", "GROUP BY in SQL"),
    ):
        run.value(key, peaks[name, ROWS], "MiB", note="peak above the same process reading 0 rows")
    note = "SELECT * through a server-side cursor; peak above the same process reading 0 rows"
    run.value("memory-ten-million", peaks["SELECT *, cursor", MORE_ROWS], "MiB", note=note)
    shown = [{"reader": n, "MiB": peaks[n, ROWS]} for n in PAIRS]
    run.chart(
        "memory",
        bars(shown, "reader", "MiB", width=125, axis="~r", ticks=3),
        columns=["reader", "MiB"],
    )
    points: list[dict[str, Any]] = [
        {"reader": name.removeprefix("SELECT *, "), "rows": rows, "MiB": peak}
        for (name, rows), peak in peaks.items()
        if name in SHOWN_BY_SIZE
    ]
    run.chart(
        "memory-by-rows",
        lines(points, "rows", "MiB", "reader", width=305, log="xy", decades=range(4, 8)),
        columns=["reader", "rows", "MiB"],
    )


def measure_speed(run: "Run", url: str) -> None:
    """Record rows per second of every reader beside psql's own COPY, in turns."""
    work: dict[str, Callable[[], object]] = {
        "psql COPY": partial(psql_copy, url),
        "COPY bytes": partial(copy_bytes, url),
        **{name: partial(READERS[name], url, SPEED_ROWS) for name in PAIRS},
    }
    times = run.compare(work, rounds=3)
    rate = {name: SPEED_ROWS / timing.best for name, timing in times.items()}
    run.chart(
        "speed",
        bars(
            [{"reader": n, "rows per second": round(r)} for n, r in rate.items()],
            "reader",
            "rows per second",
            width=125,
            digits=".3~s",
        ),
        columns=["reader", "rows per second"],
    )
    for key, name, base in (
        ("speed-chunked-of-fetchall", "chunked rows", "fetchall"),
        ("speed-cursor-of-fetchall", "server-side cursor", "fetchall"),
        ("speed-dicts-of-fetchall", "SELECT *, dicts", "fetchall"),
        ("speed-keyset-of-fetchall", "keyset pages", "fetchall"),
        ("speed-copy-rows-of-fetchall", "COPY, parsed", "fetchall"),
        ("speed-group-by-of-fetchall", "GROUP BY in SQL", "fetchall"),
        ("speed-copy-bytes-of-psql", "COPY bytes", "psql COPY"),
        ("speed-fetchall-of-psql", "fetchall", "psql COPY"),
    ):
        quicker(run, key, times[name], times[base], f"rows per second of {name} against {base}")


def measure_batch(run: "Run", url: str) -> None:
    """Record the speed of a server-side cursor by the rows it fetches a round trip."""
    few = 50_000  # the last size fetches them all at once
    sizes = (1, 2000, few)
    times = run.compare(
        {str(size): partial(named_cursor, url, few, size) for size in sizes}, rounds=3
    )
    quicker(run, "batch-of-one-slower", times["2000"], times["1"], "itersize 1 against 2,000")
    quicker(
        run, "batch-50000-of-2000", times["50000"], times["2000"], "itersize 50,000 against 2,000"
    )


def measure_offset(run: "Run", url: str) -> None:
    """Record the pages that the database touches for one page of results."""
    rows: list[dict[str, Any]] = []
    with psycopg.connect(url, autocommit=True) as conn:
        for offset in (0, 1000, 10_000, 100_000, 300_000, 900_000):
            deep = buffers(
                conn, f"SELECT * FROM events ORDER BY created_at, id LIMIT 100 OFFSET {offset}"
            )
            seek = buffers(
                conn,
                "SELECT * FROM events WHERE (created_at, id) >"
                f" (timestamptz '2026-01-01' + {offset} / 4 * interval '1 s', {offset})"
                " ORDER BY created_at, id LIMIT 100",
            )
            rows += [
                {"way": "OFFSET", "rows before the page": offset, "8 KiB pages touched": deep},
                {"way": "keyset", "rows before the page": offset, "8 KiB pages touched": seek},
            ]
    run.chart(
        "offset",
        lines(rows, "rows before the page", "8 KiB pages touched", "way", width=305),
        columns=["way", "rows before the page", "8 KiB pages touched"],
    )
    run.value("offset-pages", rows[-2]["8 KiB pages touched"], "pages", note="OFFSET 900000")
    run.value("keyset-pages", rows[-1]["8 KiB pages touched"], "pages", note="the same page")


def measure_files(run: "Run", url: str) -> None:
    """Record time and peak memory of five engines adding up the same CSV files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_csv(url, Path(folder))
        run.value("csv-size", round(sum(p.stat().st_size for p in paths) / MIB), "MiB")
        answers: dict[str, list[tuple[int, int]]] = {}

        def add(name: str) -> None:
            answers[name] = [(int(user), int(cents)) for user, cents in ENGINES[name](paths)]

        with dask_cluster():
            times = run.compare({name: partial(add, name) for name in ENGINES}, rounds=5)
        if any(answer != answers["DuckDB"] for answer in answers.values()):
            raise ValueError("the engines do not agree on the totals")
        bare = Path(folder) / "bare.csv"
        bare.write_text("id,user_id,cents,note\n")
        peaks = {}
        for name in MEASURED_ENGINES.values():
            # Less the same process with a file that has no rows: the libraries do not count.
            bare_peak, peak = (
                peak_rss([sys.executable, __file__, name, *map(str, files)], baseline=False)
                for files in ([bare], paths)
            )
            peaks[name] = round(max(0, peak - bare_peak) / MIB, 1)
            run.step(f"memory of {name}")
    rows = [{"engine": name, "seconds": round(t.best, 2)} for name, t in times.items()]
    run.chart(
        "engines",
        bars(rows, "engine", "seconds", width=125, axis="~r"),
        columns=["engine", "seconds"],
    )
    for key in ("duckdb", "polars"):
        name = MEASURED_ENGINES[key]
        note = "the same totals from the same files"
        quicker(run, f"{key}-over-python", times[name], times["Python"], note)
    for key, name in MEASURED_ENGINES.items():
        run.value(
            f"memory-{key}", peaks[name], "MiB", note="peak above the same process without rows"
        )


def measure(run: "Run") -> None:
    """Measure everything that the page states."""
    from lab.servers import postgres

    run.packages("asyncpg", "SQLAlchemy", "pandas", "dask", "distributed", "duckdb", "polars")
    with postgres() as server:
        prepare(server.url)
        with psycopg.connect(server.url) as conn:
            row = conn.execute("SELECT pg_table_size('events')").fetchone()
        assert row is not None
        run.value("table-size", round(row[0] / MIB), "MiB", note=f"{ROWS:,} rows, without indexes")
        measure_memory(run, server.url)
        measure_speed(run, server.url)
        measure_batch(run, server.url)
        measure_offset(run, server.url)
        measure_files(run, server.url)


# -- children --------------------------------------------------------------------------------------


def child(name: str, *arguments: str) -> None:
    """Be the process whose memory is measured."""
    if name in ENGINES:
        for _ in ENGINES[name]([Path(path) for path in arguments]):
            pass
    else:
        url, rows = arguments
        READERS[name](url, int(rows))


if __name__ == "__main__":
    child(*sys.argv[1:])
