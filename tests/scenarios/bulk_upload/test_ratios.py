"""What a batch is for, with at least twofold slack to what is recorded."""

import uuid
from typing import LiteralString

import pytest

from lab.ratio import interleaved
from snippets.bulk_upload import naive_row_by_row
from snippets.bulk_upload import skip_locked_queue as queue
from snippets.bulk_upload.copy_staging_merge import Row, copy_in, load
from tests.scenarios.bulk_upload.imports import Db

pytestmark = pytest.mark.slow


COPY: LiteralString = "COPY products (tenant, sku, name, price, stock) FROM STDIN WITH (FORMAT csv)"


def test_a_batch_costs_a_fraction_of_its_rows_one_by_one(db: Db) -> None:
    db.execute("CREATE TABLE contacts (email text, name text)")
    db.execute("CREATE TABLE job (id int, done int)")
    db.execute("INSERT INTO job VALUES (1, 0)")
    rows: list[Row] = [(n, f"K-{n}", "n", "1", "1") for n in range(2, 602)]
    lines = [f"{row[1]},{row[2]}" for row in rows]
    blocks = ["".join(f"t,{row[1]},n,1,1\n" for row in rows).encode()]

    def merged() -> None:
        db.execute("TRUNCATE products")
        with db.transaction():
            load(db, rows, import_id=str(uuid.uuid4()), tenant="t", import_no=1)

    def copied() -> None:
        db.execute("TRUNCATE products")
        copy_in(db, COPY, blocks)

    times = interleaved(
        {
            "copy": copied,
            "merge": merged,
            "rows": lambda: naive_row_by_row.import_csv(db, 1, lines),
        },
        rounds=3,
    )
    assert times["rows"].best >= 3 * times["merge"].best
    assert times["rows"].best >= 6 * times["copy"].best


def test_fifty_jobs_a_claim_are_cheaper_than_one(db: Db) -> None:
    def drain(batch: int) -> None:
        db.execute("INSERT INTO jobs (kind, payload) SELECT 'k', '{}' FROM generate_series(1, 200)")
        while jobs := queue.claim(db, "k", batch):
            with db.transaction():
                for job in jobs:
                    queue.complete(db, job)

    times = interleaved({"fifty": lambda: drain(50), "one": lambda: drain(1)}, rounds=3)
    assert times["one"].best >= 1.5 * times["fifty"].best
