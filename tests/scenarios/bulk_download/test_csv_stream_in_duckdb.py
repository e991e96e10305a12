"""DuckDB reads the cells as they were."""

import duckdb

from tests.scenarios.bulk_download.test_csv_stream import written


def test_duckdb_reads_null_and_empty_apart(tmp_path: object) -> None:
    path = f"{tmp_path}/a.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:  # noqa: PTH123 - a DuckDB path
        file.write(written([(1, None), (2, ""), (3, "two\nlines"), (4, "x")]))
    with duckdb.connect() as db:
        query = (
            "SELECT c1 FROM read_csv(?, header=true, all_varchar=true, allow_quoted_nulls=false)"
        )
        found = db.execute(query, [path]).fetchall()
    assert found == [(None,), ("",), ("two\nlines",), ("x",)]
