# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg-pool>=3.3,<4", "psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Connections that are borrowed and not returned, in the two usual ways.

Each failed request keeps one connection. When as many have failed as the pool
is large, every request waits for a connection that nobody will return.
"""

import os
import sys

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout


# --8<-- [start:pool]
def price(pool: ConnectionPool, amount: int) -> int:
    """Ask the database for a price."""
    conn = pool.getconn()
    row = conn.execute("SELECT 100 / %s", [amount]).fetchone()
    pool.putconn(conn)  # BUG: not reached when the line above raises.
    assert row
    return int(row[0])
    # --8<-- [end:pool]


# --8<-- [start:error]
LAST_ERRORS: list[Exception] = []


def price_alone(url: str, amount: int) -> None:
    """Do the same with a connection of its own."""
    try:
        conn = psycopg.connect(url)  # BUG: no `with`, so nothing closes it.
        conn.execute("SELECT 100 / %s", [amount])
    except psycopg.Error as error:
        LAST_ERRORS.append(error)  # BUG: pins the frame, and conn in it.
        # --8<-- [end:error]


# --8<-- [start:demo]
def main() -> None:
    """Let two requests of a pool of two fail, and try a third."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    with ConnectionPool(url, min_size=2, max_size=2, timeout=0.5) as pool:
        for number in (1, 2):
            try:
                price(pool, 0)
            except psycopg.errors.DivisionByZero:
                print(f"request {number}: a customer ordered nothing")
        try:
            price(pool, 1)
        except PoolTimeout as error:
            print(f"request 3: {error}")
        stats = pool.get_stats()
        print(f"{stats['pool_available']} of {stats['pool_size']} available")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
