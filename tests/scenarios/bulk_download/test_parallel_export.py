"""N Parquet parts of one moment, the same by one process and by two."""

import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest

from snippets.bulk_download import parallel_export as snippet
from snippets.bulk_download.parallel_export import exported_snapshot, parallel_export, write_part
from tests.scenarios.bulk_download.conftest import Demo


@pytest.mark.usefixtures("demo_postgres")
def test_two_workers_write_the_very_files_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    snippet.main()  # not by runpy: the workers import what they are to run
    assert capsys.readouterr().out.splitlines() == [
        "orders-000000000000.parquet: 19999 rows",
        "orders-000000020000.parquet: 20000 rows",
        "orders-000000040000.parquet: 1 rows",
        "two workers, same bytes: True",  # the SHA-256 of every file
    ]


def test_the_files_hold_what_the_table_holds(orders_url: str, tmp_path: Path) -> None:
    parts = parallel_export(orders_url, tmp_path, ids=1000, workers=1)
    assert [part.rows for part in parts] == [999, 1000, 1000, 11]
    listed = json.loads((tmp_path / "_manifest.json").read_text())["parts"]
    assert listed == [part._asdict() for part in parts]
    for part in parts:
        assert part.sha256 == hashlib.sha256((tmp_path / part.file).read_bytes()).hexdigest()
        ids = pyarrow.parquet.read_table(tmp_path / part.file)["id"].to_pylist()
        assert ids == sorted(ids)
    table = pyarrow.parquet.read_table(tmp_path)
    with psycopg.connect(orders_url) as conn:
        conn.execute("SET TimeZone = 'UTC'")
        query = "SELECT id, customer, amount, created_at FROM orders ORDER BY id"
        rows = conn.execute(query).fetchall()
    assert [tuple(row.values()) for row in table.sort_by("id").to_pylist()] == rows
    assert table["amount"][99].as_py() == Decimal("-1.00")
    assert table["customer"][1].as_py() == ""
    assert table["customer"][2].as_py() is None


def test_blocks_are_read_as_one_file_whatever_the_size_of_a_read() -> None:
    pipe = snippet._Pipe(iter([b"abc", b"", b"defgh", b"i"]))
    assert pipe.readable()
    assert io.BufferedReader(pipe, 2).read() == b"abcdefghi"


def test_rows_committed_after_the_snapshot_are_in_no_part(orders_url: str, tmp_path: Path) -> None:
    with exported_snapshot(orders_url) as (_, snapshot):
        first = write_part(orders_url, snapshot, 0, 1500, str(tmp_path))
        with psycopg.connect(orders_url, autocommit=True) as conn:
            conn.execute("INSERT INTO orders (id) VALUES (1), (2000), (2001)")
            conn.execute("DELETE FROM orders WHERE id = 2500")
        second = write_part(orders_url, snapshot, 1500, 4000, str(tmp_path))
    assert first.rows + second.rows == 3010


def test_a_snapshot_ends_with_its_holder(orders_url: str, tmp_path: Path) -> None:
    with exported_snapshot(orders_url) as (_, snapshot):
        pass
    with pytest.raises(psycopg.errors.UndefinedObject, match=r"snapshot .* does not exist"):
        write_part(orders_url, snapshot, 0, 1, str(tmp_path))


def test_a_gap_in_the_ids_is_a_file_without_rows(orders_url: str, tmp_path: Path) -> None:
    with psycopg.connect(orders_url, autocommit=True) as conn:
        conn.execute("DELETE FROM orders WHERE id BETWEEN 1000 AND 1999")
    parts = parallel_export(orders_url, tmp_path, ids=1000, workers=1)
    assert [part.rows for part in parts] == [999, 0, 1000, 11]
    assert pyarrow.parquet.read_table(tmp_path / parts[1].file).num_rows == 0


def test_an_empty_table_is_a_manifest_without_parts(orders_url: str, tmp_path: Path) -> None:
    with psycopg.connect(orders_url, autocommit=True) as conn:
        conn.execute("TRUNCATE orders")
    assert parallel_export(orders_url, tmp_path, workers=1) == []
    assert json.loads((tmp_path / "_manifest.json").read_text()) == {"parts": []}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_export_that_fails_leaves_no_manifest_no_half_part_and_begins_no_other(
    orders_url: str, tmp_path: Path, workers: int
) -> None:
    with psycopg.connect(orders_url, autocommit=True) as conn:
        conn.execute("UPDATE orders SET amount = 'NaN' WHERE id = 900")  # no decimal
    with pytest.raises(pa.ArrowInvalid):
        parallel_export(orders_url, tmp_path, ids=1000 if workers == 1 else 30, workers=workers)
    assert not (tmp_path / "_manifest.json").exists()
    names = {path.name for path in tmp_path.glob("*.parquet")}
    assert len(names) < 100  # of 101 parts by two workers
    assert f"orders-{0 if workers == 1 else 900:012d}.parquet" not in names


def test_a_folder_holds_one_export(orders_url: str, tmp_path: Path) -> None:
    parallel_export(orders_url, tmp_path, ids=5000, workers=1)
    with pytest.raises(ValueError, match="is not empty"):
        parallel_export(orders_url, tmp_path, ids=5000, workers=1)


def test_rows_in_no_part_and_ids_far_apart_are_told(orders_url: str, tmp_path: Path) -> None:
    with psycopg.connect(orders_url, autocommit=True) as conn:
        conn.execute("INSERT INTO orders (id) VALUES (NULL)")
        with pytest.raises(RuntimeError, match="3010 of 3011 rows"):
            parallel_export(orders_url, tmp_path, ids=5000, workers=1)
        assert not (tmp_path / "_manifest.json").exists()
        (tmp_path / "orders-000000000000.parquet").unlink()
        conn.execute("INSERT INTO orders (id) VALUES (1780000000000000000)")
        with pytest.raises(ValueError, match="split by other bounds"):
            parallel_export(orders_url, tmp_path, workers=1)


def test_a_large_cell_fits_and_many_rows_are_one_row_group(orders_url: str, tmp_path: Path) -> None:
    with psycopg.connect(orders_url, autocommit=True) as conn:
        conn.execute("UPDATE orders SET customer = repeat(E'x\n', 1500000) WHERE id = 5")
    (part,) = parallel_export(orders_url, tmp_path, ids=5000, workers=1)
    found = pyarrow.parquet.ParquetFile(tmp_path / part.file)
    assert (found.metadata.num_rows, found.num_row_groups) == (3010, 1)
    found.close()


def test_the_exporter_may_wait_longer_than_a_server_likes(orders_url: str, tmp_path: Path) -> None:
    url = f"{orders_url}?options=-c%20idle_in_transaction_session_timeout%3D50"
    with (
        exported_snapshot(url) as (_, snapshot),
        psycopg.connect(orders_url, autocommit=True) as conn,
    ):
        conn.execute("SELECT pg_sleep(0.2)")
        assert write_part(orders_url, snapshot, 0, 10, str(tmp_path)).rows == 9


def test_bounds_below_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 of each: ids=1, workers=0"):
        parallel_export("", tmp_path, ids=1, workers=0)


def test_as_a_script_it_asks_for_its_server(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="make lab"):
        demo("parallel_export")
