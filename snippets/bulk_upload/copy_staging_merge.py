# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Load a batch of strangers' rows: COPY to staging, judge in SQL, merge.

COPY takes every value as text, so no value can stop it. One statement then
finds all faults of all rows and keeps them with line, column and code; one
merges the rows without a fault. Both see the whole batch at once, and both
happen in the caller's transaction or not at all.

The merge is an upsert: the same batch again changes nothing. Imports are
numbered, and a row of a later import is never overwritten by an earlier one,
which may be slower, or stand in line again: such a row is counted as stale.

Of two rows with one key in a batch the later good one counts, the earlier is
rejected: ON CONFLICT DO UPDATE refuses to touch a row twice (error 21000).
Rows are merged in the order of their key, so that two imports do not deadlock.

Needs PostgreSQL 16 (pg_input_is_valid). Time: O(rows), some times that of a
bare COPY, and two statements a batch: 5,000 to 50,000 rows is right.
For files that you wrote yourself take `copy_in`: bytes in, all or nothing.

Source: PostgreSQL documentation, COPY,
https://www.postgresql.org/docs/current/sql-copy.html
"""

import os
import sys
from collections.abc import Iterable
from typing import Any, LiteralString, NamedTuple

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[int, str, str, str, str]  # line, and the columns as text

# --8<-- [start:schema]
SCHEMA: LiteralString = """
CREATE TABLE IF NOT EXISTS products (
    tenant text NOT NULL,
    sku text NOT NULL CHECK (sku ~ '^[A-Z0-9-]{1,40}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    price numeric(12, 2) NOT NULL CHECK (price >= 0),
    stock int NOT NULL CHECK (stock >= 0),
    import_no bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, sku));
CREATE TABLE IF NOT EXISTS rejects (
    import_id uuid NOT NULL,
    line bigint NOT NULL,
    "column" text NOT NULL,
    code text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (import_id, line, "column"));
"""
STAGING: LiteralString = """
CREATE TEMPORARY TABLE IF NOT EXISTS staging (
    line bigint, sku text, name text, price text, stock text)
    ON COMMIT DELETE ROWS
"""
# --8<-- [end:schema]

# --8<-- [start:judge]
# All rules in one pass. Each says what is wrong, so that CASE never casts a
# text that is no number; the order of AND is not promised, that of CASE is.
JUDGE: LiteralString = """
INSERT INTO rejects (import_id, line, "column", code, value)
SELECT %(import_id)s, line, rule.name, rule.code, left(rule.value, 100)
FROM staging AS row
CROSS JOIN LATERAL (VALUES
    ('sku', row.sku, CASE
        WHEN row.sku !~ '^[A-Z0-9-]{1,40}$' THEN 'format' END),
    ('name', row.name, CASE
        WHEN length(row.name) NOT BETWEEN 1 AND 200 THEN 'length' END),
    ('price', row.price, CASE
        WHEN row.price !~ '^-?[0-9.]{1,20}$'  -- no 0x1F, 1_000, 1e3, NaN
            OR NOT pg_input_is_valid(row.price, 'numeric(12,2)') THEN 'number'
        WHEN row.price::numeric < 0 THEN 'range'
        WHEN row.price::numeric <> round(row.price::numeric, 2)
            THEN 'precision' END),
    ('stock', row.stock, CASE
        WHEN row.stock !~ '^-?[0-9]{1,10}$'
            OR NOT pg_input_is_valid(row.stock, 'int') THEN 'number'
        WHEN row.stock::int < 0 THEN 'range' END)
) AS rule (name, value, code)
WHERE rule.code IS NOT NULL
ON CONFLICT DO NOTHING
"""
# --8<-- [end:judge]

# --8<-- [start:merge]
# xmax is 0 for a row that did not exist; PostgreSQL 18 can say `old IS NULL`.
MERGE: LiteralString = """
WITH good AS (
    SELECT *, lead(line) OVER (PARTITION BY sku ORDER BY line) AS later
    FROM staging WHERE NOT EXISTS (
        SELECT FROM rejects
        WHERE rejects.import_id = %(import_id)s AND rejects.line = staging.line)
), twice AS (
    INSERT INTO rejects (import_id, line, "column", code, value)
    SELECT %(import_id)s, line, 'sku', 'duplicate', sku
    FROM good WHERE later IS NOT NULL
), merged AS (
    INSERT INTO products AS p (tenant, sku, name, price, stock, import_no)
    SELECT %(tenant)s, sku, name, price::numeric, stock::int, %(import_no)s
    FROM good WHERE later IS NULL ORDER BY sku
    ON CONFLICT (tenant, sku) DO UPDATE
    SET name = excluded.name, price = excluded.price, stock = excluded.stock,
        import_no = excluded.import_no
    WHERE p.import_no <= excluded.import_no  -- a later import keeps its row
    RETURNING (xmax = 0) AS inserted)
SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted),
       (SELECT count(*) FROM good WHERE later IS NULL) - count(*)
FROM merged
"""
# --8<-- [end:merge]


# --8<-- [start:load]
class LoadReport(NamedTuple):
    """What became of a batch; the four add up to its rows."""

    inserted: int
    updated: int
    rejected: int
    stale: int
    """Good rows whose key a later import has written already."""


def load(
    conn: Connection,
    rows: Iterable[Row],
    *,
    import_id: str,
    tenant: str,
    import_no: int,
) -> LoadReport:
    """Load rows within the caller's transaction.

    `import_no` grows from import to import; the higher one keeps its rows.

    `line` identifies a row within its import: a line that is already among
    the rejects of this import stays rejected.

    Raises:
        psycopg.Error: the transaction is void; nothing of the batch is kept.
    """
    conn.execute(STAGING)
    total = 0
    with conn.cursor() as cur:
        with cur.copy("COPY staging FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
                total += 1
        who = {"import_id": import_id, "tenant": tenant, "import_no": import_no}
        cur.execute(JUDGE, who)
        cur.execute(MERGE, who)
        inserted, updated, stale = cur.fetchone() or (0, 0, 0)
        cur.execute("DELETE FROM staging")
    bad = total - inserted - updated - stale
    return LoadReport(inserted, updated, bad, stale)


# --8<-- [end:load]


# --8<-- [start:copy_in]
def copy_in(
    conn: Connection, statement: LiteralString, blocks: Iterable[bytes]
) -> int:
    """Pass blocks of a file on to COPY ... FROM STDIN; give the rows stored.

    For files you wrote: one bad value refuses them all. `ON_ERROR ignore`
    (PostgreSQL 17), with `REJECT_LIMIT 50` (18) at most 50 times, skips rows
    with a value that does not fit its type, `ON_ERROR set_null` (19) the value;
    neither skips a CHECK or a UNIQUE violation.
    """
    with conn.cursor() as cur:
        with cur.copy(statement) as copy:
            for block in blocks:
                copy.write(block)
        return cur.rowcount
        # --8<-- [end:copy_in]


# --8<-- [start:demo]
def main() -> None:
    """Load good and bad rows, then the same again, then as an older import."""
    url = os.environ.get("DATABASE_URL") or "postgresql://127.0.0.1/nothing"
    rows: list[Row] = [
        (2, "B-1", "Bolt", "0.10", "500"),
        (3, "N-1", "Nut", "0,10", "400"),
        (4, "W-1", "Washer", "0.05", "minus one"),
        (5, "r 12", "Ruler", "4.50", "20"),
        (6, "S-1", "", "1e99", "-3"),
        (7, "P-5", "Pipe", "7.00", "8"),
        (8, "P-5", "Pipe, 1 m", "7.50", "9"),
        (9, "T-9", "=HYPERLINK(A1)", "1.00", "1"),
    ]
    import_id = "00000000-0000-4000-8000-000000000002"
    try:
        with psycopg.connect(url, connect_timeout=5) as conn:
            conn.execute("SET search_path = pg_temp")  # leaves nothing behind
            conn.execute(SCHEMA)
            for no in (2, 2, 1):
                report = load(
                    conn, rows, import_id=import_id, tenant="acme", import_no=no
                )
                print(report)
            for reject in conn.execute("SELECT * FROM rejects ORDER BY line"):
                print("line {1}: {2} {3} {4!r}".format(*reject))
    except psycopg.OperationalError as error:
        sys.exit(
            f"No PostgreSQL at DATABASE_URL ({str(error).splitlines()[0]}). "
            "For example: docker run --rm -d -p 127.0.0.1:5432:5432 "
            "-e POSTGRES_PASSWORD=x postgres:18; export DATABASE_URL="
            "postgresql://postgres:x@127.0.0.1/postgres; then run this file "
            "again (in the Firedrill repository: make lab)"
        )


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
