# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""COPY (query) TO STDOUT: the shortest way out of PostgreSQL.

The server streams the whole result without round trips, one message a row. As
bytes (a CSV file for somebody else) Python only joins and passes them on; as
rows it parses each value, which costs more than a cursor does: measure before
you choose it for rows. It is one statement: a slow consumer counts towards
statement_timeout. The query must not end in a semicolon.

Read under `contextlib.closing`: when an exception leaves a copy half read,
`with psycopg.connect()` waits for ever.

Source: https://www.postgresql.org/docs/current/sql-copy.html,
https://www.psycopg.org/psycopg3/docs/basic/copy.html
"""

import os
import sys
from collections.abc import Generator
from contextlib import closing
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.abc import Params


# --8<-- [start:copy_bytes]
def copy_bytes(
    conn: psycopg.Connection[Any],
    query: LiteralString,
    params: Params | None = None,
    *,
    size: int = 65_536,
) -> Generator[bytes, None, None]:
    """Yield the result as blocks of CSV with a header line, in UTF-8.

    NULL is an empty field, and in a result of one column an empty line. A
    block is whole lines, at least `size` bytes except for the last. Raises
    psycopg.Error when the query fails or the connection is lost, also after
    the first block: a receiver that gets an exception must discard all of it.
    """
    statement = sql.SQL(
        "COPY ({}\n) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    ).format(sql.SQL(query))
    with (
        conn.transaction(),
        conn.cursor() as cur,
        cur.copy(statement, params) as copy,
    ):
        block = bytearray()
        for line in copy:  # a consumer's write for each would cost far more
            block += line
            if len(block) >= size:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)


# --8<-- [end:copy_bytes]


# --8<-- [start:copy_rows]
def copy_rows(
    conn: psycopg.Connection[Any],
    query: LiteralString,
    params: Params | None = None,
) -> Generator[tuple[Any, ...], None, None]:
    """Yield each row as a tuple of Python values, the same as by a cursor.

    COPY does not say which types its columns have, so the server is asked
    first, by the same query with no rows. Text, not FORMAT binary: for many
    types (enums, money, composites) only text becomes a value. Raises as
    copy_bytes.
    """
    inner = sql.SQL(query)
    describe = sql.SQL("SELECT * FROM ({}\n) AS q LIMIT 0").format(inner)
    statement = sql.SQL("COPY ({}\n) TO STDOUT").format(inner)
    with conn.transaction(), conn.cursor() as cur:
        columns = cur.execute(describe, params).description or ()
        with cur.copy(statement, params) as copy:
            copy.set_types([column.type_code for column in columns])
            yield from copy.rows()


# --8<-- [end:copy_rows]


# --8<-- [start:demo]
def demo(url: str) -> None:
    """Copy 20,000 rows out as bytes and as rows."""
    query = """
        SELECT n AS id, mod(n, 700)::numeric(9, 2) AS amount
        FROM generate_series(1, %s) AS n"""
    with psycopg.connect(url) as conn:
        with closing(copy_bytes(conn, query, [20000])) as blocks:
            head, *rest = blocks
        lines = head.count(b"\n") + sum(block.count(b"\n") for block in rest)
        print(f"{lines} lines of CSV, the first: {head.splitlines()[0]!r}")
        with closing(copy_rows(conn, query, [20000])) as rows:
            print(f"sum of the amounts: {sum(amount for _, amount in rows)}")


def main() -> None:
    """Run the demo on the server that DATABASE_URL names."""
    server = (
        "A server: docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=x "
        "postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    url = os.environ.get("DATABASE_URL") or sys.exit(
        f"Set DATABASE_URL. {server}"
    )
    try:
        demo(url)
    except psycopg.OperationalError as error:
        sys.exit(f"No PostgreSQL ({' '.join(str(error).split())}). {server}")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
