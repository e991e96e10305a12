# /// script
# requires-python = ">=3.11"
# dependencies = ["duckdb>=2.0,<3", "polars>=2.1,<3"]
#
# [tool.firedrill]
# needs = []
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Group and add up CSV files larger than memory: three engines, one answer.

All three read the files once and keep one sum per user. The generator needs
nothing but Python; DuckDB and polars use every core and a columnar layout,
and are the next step before any cluster. Amounts are whole cents: binary
floating point would make the answer depend on the order of the additions.
Left alone, engines read dirty rows each in its own way: 1.5 becomes 2 in one,
an empty field nothing in another. Here such a row is an error in all three.

Source: https://duckdb.org/docs/2.0/guides/performance/how_to_tune_workloads,
https://docs.pola.rs/user-guide/concepts/streaming/
"""

import csv
import glob
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import polars as pl

Total = tuple[int, int]  # user_id, cents


# --8<-- [start:generator]
def totals_by_generator(paths: Sequence[Path]) -> Iterator[Total]:
    """Yield (user_id, cents) by user. Memory: O(users), not O(rows).

    Raises ValueError or TypeError for what is no whole number or missing.
    """
    cents: defaultdict[int, int] = defaultdict(int)
    for path in paths:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file, strict=True):
                if None in row:
                    raise ValueError(f"{path}: too many fields in {row}")
                cents[int(row["user_id"])] += int(row["cents"])
    yield from sorted(cents.items())


# --8<-- [end:generator]


# --8<-- [start:duckdb]
def totals_by_duckdb(
    paths: Sequence[Path], *, memory_limit: str = "1GB"
) -> Iterator[Total]:
    """Yield the same, computed by DuckDB near `memory_limit`: leave room.

    The limit is its buffer manager's, not the process's. Groups that do not
    fit spill to a temporary folder. Readers' buffers grow with the threads
    and cannot spill: where a limit is too small for them, it usually raises
    duckdb.OutOfMemoryException. Raises other duckdb.Error for dirty rows.
    """
    with (
        tempfile.TemporaryDirectory() as spill,
        duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": spill,
                # DuckDB's advice near a limit: the files' order is not needed.
                "preserve_insertion_order": False,
            }
        ) as db,
    ):
        # A cast alone would round 1.5 and let an empty field be NULL.
        db.execute("""
            CREATE TEMP MACRO whole(text) AS
            CASE WHEN regexp_full_match(text, '-?[0-9]+') THEN text::BIGINT
                 ELSE error('no whole number: ' || coalesce(text, 'NULL')) END
            """)
        result = db.execute(
            """
            SELECT whole(user_id) AS user_id, sum(whole(cents)) AS cents
            FROM read_csv(?, all_varchar = true, header = true, delim = ',')
            GROUP BY 1 ORDER BY 1""",
            [[glob.escape(str(path)) for path in paths]],
        )
        while rows := result.fetchmany(10_000):
            yield from rows


# --8<-- [end:duckdb]


# --8<-- [start:polars]
def totals_by_polars(paths: Sequence[Path]) -> Iterator[Total]:
    """Yield the same, computed by polars' streaming engine.

    It does not spill unless an experimental setting says so: more groups than
    memory holds get the process killed. Raises ValueError for an empty field,
    polars.exceptions.PolarsError for other dirty rows.
    """
    frame = (
        pl.scan_csv(
            list(paths),
            schema_overrides={"user_id": pl.Int64, "cents": pl.Int64},
            glob=False,  # a [ in a file's name is a [
        )
        .group_by("user_id")
        .agg(
            pl.col("cents").cast(pl.Int128).sum(),  # Int64 wraps in silence
            pl.col("cents").null_count().alias("empty"),
        )
        .sort("user_id")
        .collect(engine="streaming")
    )
    if frame["user_id"].null_count() or frame["empty"].sum():
        raise ValueError("a row without user_id or cents")
    yield from frame.select("user_id", "cents").iter_rows()


# --8<-- [end:polars]


# --8<-- [start:demo]
def main() -> None:
    """Write 20,000 rows into two files and add them up three times."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{part}.csv") for part in range(2)]
        for part, path in enumerate(paths):
            lines = (f"{n % 500},{n + part}\n" for n in range(10_000))
            path.write_text("user_id,cents\n" + "".join(lines))
        answers = [
            list(totals(paths))
            for totals in (
                totals_by_generator,
                totals_by_duckdb,
                totals_by_polars,
            )
        ]
    print(f"{len(answers[0])} users, the first: {answers[0][:3]}")
    print(f"the three agree: {answers[0] == answers[1] == answers[2]}")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
