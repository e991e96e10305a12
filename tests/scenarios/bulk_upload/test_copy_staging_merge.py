"""A batch is judged and merged as a whole: each row stored or rejected with its reason."""

from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from lab.race import race
from snippets.bulk_upload.copy_staging_merge import LoadReport, Row, copy_in, load
from tests.scenarios.bulk_upload.imports import Db, count
from tests.scenarios.bulk_upload.test_csv_validator import NAUGHTY


def rejects(db: Db) -> list[tuple[int, str, str]]:
    rows = db.execute('SELECT line, "column", code FROM rejects ORDER BY 1, 2').fetchall()
    return [(line, column, code) for line, column, code in rows]


def stored(db: Db) -> dict[str, tuple[str, str, int]]:
    rows = db.execute("SELECT sku, name, price::text, stock FROM products")
    return {sku: (name, price, stock) for sku, name, price, stock in rows}


def put(db: Db, import_id: str, *rows: Row, no: int = 1) -> LoadReport:
    with db.transaction():
        return load(db, rows, import_id=import_id, tenant="acme", import_no=no)


def test_new_rows_are_inserted_and_known_ones_updated(db: Db, import_id: str) -> None:
    assert put(db, import_id, (2, "A", "a", "1.5", "3")) == (1, 0, 0, 0)
    assert put(db, import_id, (3, "A", "b", "2", "4"), (4, "B", "b", "0", "0")) == (1, 1, 0, 0)
    assert stored(db) == {"A": ("b", "2.00", 4), "B": ("b", "0.00", 0)}


def test_the_same_batch_again_changes_nothing(db: Db, import_id: str) -> None:
    rows: list[Row] = [(2, "A", "a", "1", "1"), (3, "A", "z", "2", "2"), (4, "x", "", "-1", "z")]
    assert put(db, import_id, *rows) == (1, 0, 2, 0)
    before, refused = stored(db), rejects(db)
    assert put(db, import_id, *rows) == (0, 1, 2, 0)
    assert (stored(db), rejects(db)) == (before, refused)


FAULTS = [
    (("a", "n", "1", "1"), "sku", "format"),
    (("", "n", "1", "1"), "sku", "format"),
    (("A" * 41, "n", "1", "1"), "sku", "format"),
    (("A", "", "1", "1"), "name", "length"),
    (("A", "n" * 201, "1", "1"), "name", "length"),
    (("A", "n", "1,5", "1"), "price", "number"),
    (("A", "n", "", "1"), "price", "number"),
    (("A", "n", "1e99", "1"), "price", "number"),
    (("A", "n", "NaN", "1"), "price", "number"),
    (("A", "n", "0x1F", "1"), "price", "number"),
    (("A", "n", "9999999999.995", "1"), "price", "number"),
    (("A", "n", "-0.01", "1"), "price", "range"),
    (("A", "n", "0.001", "1"), "price", "precision"),
    (("A", "n", "1", "1.5"), "stock", "number"),
    (("A", "n", "1", "2147483648"), "stock", "number"),
    (("A", "n", "1", "0b11"), "stock", "number"),
    (("A", "n", "1", "1_000"), "stock", "number"),
    (("A", "n", "1", "-1"), "stock", "range"),
]
EDGES = [
    ("A" * 40, "n" * 200, "9999999999.99", "2147483647"),
    ("9-", "n", "0", "0"),
    ("B", "n", "1.500", "1"),
]


def test_each_rule_names_line_column_and_code_and_its_edges_pass(db: Db, import_id: str) -> None:
    bad: list[Row] = [(line, *row) for line, (row, _, _) in enumerate(FAULTS, 2)]
    good: list[Row] = [(line, *row) for line, row in enumerate(EDGES, 100)]
    assert put(db, import_id, *bad, *good) == (3, 0, 18, 0)
    assert rejects(db) == [(n, column, code) for n, (_, column, code) in enumerate(FAULTS, 2)]


def test_all_faults_of_a_row_are_told_at_once(db: Db, import_id: str) -> None:
    put(db, import_id, (2, "?", "", "x", "y"))
    assert [column for _, column, _ in rejects(db)] == ["name", "price", "sku", "stock"]


def test_of_two_rows_with_one_key_the_later_good_one_counts(db: Db, import_id: str) -> None:
    report = put(
        db,
        import_id,
        (2, "A", "first", "1", "1"),
        (3, "A", "second", "1", "1"),
        (4, "A", "bad", "x", "1"),
    )
    assert report == (1, 0, 2, 0)
    assert stored(db)["A"] == ("second", "1.00", 1)
    assert rejects(db) == [(2, "sku", "duplicate"), (4, "price", "number")]


def test_a_later_import_keeps_its_rows_and_what_comes_too_late_is_counted(
    db: Db, import_id: str
) -> None:
    late: list[Row] = [(2, "A", "old", "1", "1"), (3, "B", "old", "1", "1"), (4, "?", "", "", "")]
    assert put(db, import_id, (2, "A", "new", "2", "2"), no=8) == (1, 0, 0, 0)
    other = "00000000-0000-4000-8000-000000000003"
    assert put(db, other, *late, no=7) == (1, 0, 1, 1)
    assert {sku: name for sku, (name, _, _) in stored(db).items()} == {"A": "new", "B": "old"}
    assert put(db, import_id, (3, "A", "newer", "2", "2"), no=8) == (0, 1, 0, 0)
    assert put(db, other, (5, "A", "newest", "3", "3"), no=9) == (0, 1, 0, 0)
    assert put(db, import_id, (6, "A", "late", "1", "1"), no=8) == (0, 0, 0, 1)


def test_a_line_that_is_rejected_in_one_import_may_be_good_in_another(
    db: Db, import_id: str
) -> None:
    assert put(db, import_id, (2, "?", "n", "1", "1")) == (0, 0, 1, 0)
    other = "00000000-0000-4000-8000-000000000003"
    assert put(db, other, (2, "A", "n", "1", "1"), no=2) == (1, 0, 0, 0)


def test_two_batches_may_share_a_transaction(db: Db, import_id: str) -> None:
    with db.transaction():
        load(db, [(2, "A", "a", "1", "1")], import_id=import_id, tenant="acme", import_no=1)
        report = load(
            db, [(3, "B", "b", "1", "1")], import_id=import_id, tenant="acme", import_no=1
        )
    assert report == (1, 0, 0, 0)


def test_the_keys_of_another_tenant_are_untouched(db: Db, import_id: str) -> None:
    with db.transaction():
        load(db, [(2, "A", "theirs", "1", "1")], import_id=import_id, tenant="other", import_no=1)
    assert put(db, import_id, (2, "A", "ours", "2", "2")) == (1, 0, 0, 0)
    assert count(db, "products") == 2


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["A", "B", "C", "?"]),
            st.sampled_from([*NAUGHTY, "fine"]),
            st.sampled_from(["1", "1.5", "x", "-1", "0.001"]),
            st.sampled_from(["1", "y", "-1"]),
        ),
        max_size=12,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_stored_or_rejected_and_names_come_through_unchanged(
    db: Db, import_id: str, rows: list[tuple[str, str, str, str]]
) -> None:
    db.execute("TRUNCATE products, rejects")
    numbered: list[Row] = [(n, *row) for n, row in enumerate(rows, 2)]
    report = put(db, import_id, *numbered)
    assert sum(report) == len(rows)
    assert len({line for line, _, _ in rejects(db)}) == report.rejected
    last = {
        sku: (name, price, stock)
        for sku, name, price, stock in rows
        if sku != "?" and 1 <= len(name) <= 200 and price in {"1", "1.5"} and stock == "1"
    }
    assert {sku: row[0] for sku, row in stored(db).items()} == {
        sku: row[0] for sku, row in last.items()
    }


def test_two_imports_that_meet_in_the_same_keys_do_not_deadlock(
    db_url: str, import_id: str
) -> None:
    keys = [f"K-{n:04}" for n in range(2000)]

    def run(number: int) -> int:
        order = keys if number % 2 else keys[::-1]
        rows: list[Row] = [(n, key, f"by {number}", "1", "1") for n, key in enumerate(order, 2)]
        done = 0
        with psycopg.connect(db_url, autocommit=True) as conn:
            conn.execute("SET deadlock_timeout = '20ms'")
            for _ in range(5):
                with conn.transaction():
                    report = load(conn, rows, import_id=import_id, tenant="acme", import_no=1)
                done += report.inserted + report.updated
        return done

    assert race(2, run) == [10_000, 10_000]


def test_a_failing_batch_leaves_nothing(db: Db, import_id: str) -> None:
    db.execute("ALTER TABLE products ADD CHECK (name <> 'forbidden')")
    with pytest.raises(errors.CheckViolation):
        put(db, import_id, (2, "A", "a", "1", "1"), (3, "B", "forbidden", "1", "x"),
            (4, "C", "forbidden", "1", "1"))  # fmt: skip
    assert (count(db, "products"), count(db, "rejects")) == (0, 0)


COPY: LiteralString = "COPY products (tenant, sku, name, price, stock) FROM STDIN WITH (FORMAT csv"


def test_copy_in_stores_blocks_cut_anywhere_or_refuses_all_for_one_bad_value(db: Db) -> None:
    data = b"".join(b"acme,K-%d,n,1.5,%d\n" % (n, n) for n in range(500))
    blocks = [data[at : at + 7] for at in range(0, len(data), 7)]
    assert copy_in(db, COPY + ")", blocks) == 500
    assert count(db, "products") == 500
    with pytest.raises(errors.InvalidTextRepresentation, match="line 2"):
        copy_in(db, COPY + ")", [b"acme,A,n,1,1\nacme,B,n,1,x\n"])
    assert count(db, "products") == 500


def test_on_error_skips_what_has_the_wrong_type_and_nothing_else(db: Db) -> None:
    lenient: LiteralString = COPY + ", ON_ERROR ignore, REJECT_LIMIT 2)"
    bad = b"acme,A,n,1,x\n"
    assert copy_in(db, lenient, [bad * 2, b"acme,B,n,1,1\n"]) == 1
    with pytest.raises(errors.InvalidTextRepresentation, match="REJECT_LIMIT"):
        copy_in(db, lenient, [bad * 3])
    with pytest.raises(errors.CheckViolation):
        copy_in(db, lenient, [b"acme,C,n,-1,1\n"])
    with pytest.raises(errors.UniqueViolation):
        copy_in(db, lenient, [b"acme,B,n,1,1\n"])
    with pytest.raises(errors.BadCopyFileFormat):
        copy_in(db, lenient, [b"acme,D\n"])


def test_the_demo_gives_the_same_rejects_twice(
    db_url: str, demo: Callable[..., list[str]], refused: Callable[[str, str], None]
) -> None:
    lines = demo("copy_staging_merge", DATABASE_URL=db_url)
    assert lines[0] == "LoadReport(inserted=3, updated=0, rejected=5, stale=0)"
    assert lines[1] == "LoadReport(inserted=0, updated=3, rejected=5, stale=0)"
    assert lines[2] == "LoadReport(inserted=0, updated=0, rejected=5, stale=3)"
    assert "line 7: sku duplicate 'P-5'" in lines
    refused("copy_staging_merge", "DATABASE_URL")
