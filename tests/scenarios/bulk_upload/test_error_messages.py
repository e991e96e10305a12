"""Each message that leads to the page is shown by the failure that the page names."""

import asyncio
import csv
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import errors

from snippets.bulk_upload.copy_staging_merge import copy_in
from tests.scenarios.bulk_upload.imports import Db

PAGE = Path(__file__).parents[3] / "docs" / "scenarios" / "bulk-upload.md"
# The drill on Celery reads this one in the worker's log.
IN_THE_DRILL = "WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)"


def same_key_twice(db: Db) -> None:
    db.execute(
        "INSERT INTO products VALUES ('t', 'A', 'n', 1, 1), ('t', 'A', 'n', 2, 2)"
        " ON CONFLICT (tenant, sku) DO UPDATE SET price = excluded.price"
    )


COPY = "COPY products (tenant, sku, name, price, stock) FROM STDIN WITH (FORMAT csv"


def copied(line: bytes, options: str = "") -> Callable[[Db], None]:
    def run(db: Db) -> None:
        copy_in(db, f"{COPY}{options})", [line])

    return run


def in_two_orders(db: Db) -> None:
    url = db.info.dsn
    insert = (
        "INSERT INTO products VALUES ('t', %s, 'n', 1, 1) ON CONFLICT (tenant, sku)"
        " DO UPDATE SET stock = 2"
    )
    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        for conn in (one, two):
            conn.execute("SET deadlock_timeout = '10ms'")
        one.execute(insert, ["A"])
        two.execute(insert, ["B"])

        async def cross() -> None:
            await asyncio.gather(
                asyncio.to_thread(one.execute, insert, ["B"]),
                asyncio.to_thread(two.execute, insert, ["A"]),
            )

        asyncio.run(cross())


def same_key_again(db: Db) -> None:
    for _ in range(2):
        db.execute("INSERT INTO products VALUES ('t', 'Z', 'n', 1, 1)")


def after_an_error(db: Db) -> None:
    with db.transaction():
        with pytest.raises(errors.UniqueViolation):
            same_key_again(db)
        db.execute("INSERT INTO products VALUES ('t', 'Y', 'n', 1, 1)")


def too_long(db: Db) -> None:
    db.execute("CREATE TEMPORARY TABLE narrow (name varchar(5))")
    db.execute("INSERT INTO narrow VALUES ('longer')")


def a_row_a_parameter(db: Db) -> None:
    rows = 65_536 // 5 + 1
    values = ", ".join(["(%s, %s, %s, %s, %s)"] * rows)
    db.execute(f"INSERT INTO products VALUES {values}".encode(), ["t", "S", "n", 1, 1] * rows)


def behind_a_migration(db: Db) -> None:
    with psycopg.connect(db.info.dsn) as other:
        other.execute("LOCK TABLE products")
        with db.transaction():
            db.execute("SET LOCAL lock_timeout = '10ms'")
            db.execute("INSERT INTO products VALUES ('t', 'X', 'n', 1, 1)")


def endless_quote(_: Db) -> None:
    list(csv.reader(['a,"' + "x" * 131_073]))


def open_quote(_: Db) -> None:
    list(csv.reader(['a,"b\n', "c,d\n"], strict=True))


def latin_1(_: Db) -> None:
    b"caf\xe9,1".decode()


CAUSES: dict[str, Callable[[Db], None]] = {
    "psycopg.errors.CardinalityViolation: "
    "ON CONFLICT DO UPDATE command cannot affect row a second time": same_key_twice,
    "psycopg.errors.BadCopyFileFormat: missing data for column": copied(b"t,A,n\n"),
    "psycopg.errors.BadCopyFileFormat: extra data after last expected column": copied(
        b"t,A,n,1,1,1\n"
    ),
    "psycopg.errors.BadCopyFileFormat: unterminated CSV quoted field": copied(b't,A,"n,1,1\n'),
    'psycopg.errors.InvalidTextRepresentation: invalid input syntax for type integer: "x"': copied(
        b"t,A,n,1,x\n"
    ),
    "psycopg.errors.InvalidTextRepresentation: skipped more than REJECT_LIMIT (1) rows": copied(
        b"t,A,n,1,x\nt,B,n,1,x\n", ", ON_ERROR ignore, REJECT_LIMIT 1"
    ),
    'psycopg.errors.CharacterNotInRepertoire: invalid byte sequence for encoding "UTF8": 0x00': (
        copied(b"t,A,n\0,1,1\n")
    ),
    "psycopg.errors.DeadlockDetected: deadlock detected": in_two_orders,
    "psycopg.errors.UniqueViolation: "
    "duplicate key value violates unique constraint": same_key_again,
    "psycopg.errors.InFailedSqlTransaction: current transaction is aborted, "
    "commands ignored until end of transaction block": after_an_error,
    "psycopg.errors.StringDataRightTruncation: "
    "value too long for type character varying(5)": too_long,
    "psycopg.OperationalError: sending query and params failed: "
    "number of parameters must be between 0 and 65535": a_row_a_parameter,
    "psycopg.errors.LockNotAvailable: canceling statement due to lock timeout": behind_a_migration,
    "_csv.Error: field larger than field limit (131072)": endless_quote,
    "_csv.Error: unexpected end of data": open_quote,
    "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9 in position 3": latin_1,
}


def test_every_message_of_the_page_is_proved_here() -> None:
    front_matter = PAGE.read_text(encoding="utf-8").split("---\n")[1]
    assert set(yaml.safe_load(front_matter)["error_messages"]) == {
        *CAUSES,
        IN_THE_DRILL,
    }


def test_each_failure_shows_its_message(db: Db) -> None:
    for message, cause in CAUSES.items():
        with pytest.raises((psycopg.Error, csv.Error, UnicodeDecodeError)) as caught:
            cause(db)
        kind = type(caught.value)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        shown = f"{module}{kind.__qualname__}: {caught.value}"
        assert shown.startswith(message)


def test_a_null_byte_is_named_as_such_in_a_parameter_too(db: Db) -> None:
    with pytest.raises(errors.DataError, match="NUL"):
        db.execute("SELECT %s::text", ["a\0"])
