"""Keyset pages in PostgreSQL: newest first, NULLs and collations included."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from snippets.large_datasets.keyset_pagination import decode_token, encode_token
from snippets.large_datasets.keyset_postgres import (
    MAX_LIMIT,
    SORTS,
    Connection,
    fetch_page,
    iter_all,
)

from .conftest import Demo
from .queries import page_query

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["b", "A", "a", "B", "é", ""]
COUNT = 3000


@pytest.fixture
def conn(postgres_url: str) -> Iterator[Connection]:
    """3,000 orders, ten a microsecond, every third unpaid, some paid at the epoch."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(
            "CREATE TABLE orders (id int8 PRIMARY KEY, created_at timestamptz, paid_at timestamptz,"
            ' customer text COLLATE "C.utf8")'
        )
        with (
            connection.cursor() as cur,
            cur.copy("COPY orders (id, customer, created_at, paid_at) FROM STDIN") as copy,
        ):
            for number in range(COUNT):
                copy.write_row(row(number))
        yield connection


def row(number: int) -> tuple[int, str, datetime, datetime | None]:
    paid = [None, datetime(1970, 1, 1, tzinfo=UTC), START - timedelta(number % 50)][number % 3]
    return number, NAMES[number % 6], START + timedelta(microseconds=number // 10), paid


def expected(sort: str) -> list[int]:
    def key(number: int) -> tuple[object, ...]:
        _, name, created, paid = row(number)
        if sort == "created_at":
            return created, number
        if sort == "customer":
            return name.encode(), number
        return paid is None, paid or datetime(1970, 1, 1, tzinfo=UTC), number

    order: Callable[[int], Any] = key  # tuples of one shape, so they compare
    return sorted(range(COUNT), key=order, reverse=True)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [97, 1000])
def test_iteration_gives_each_row_once_newest_first(
    conn: Connection, sort: str, limit: int
) -> None:
    assert [order[0] for order in iter_all(conn, sort, limit)] == expected(sort)


def test_a_page_goes_on_after_a_row_that_is_gone(conn: Connection) -> None:
    first, key = fetch_page(conn, None, 10)
    conn.execute("DELETE FROM orders WHERE id >= %s", [COUNT - 10])
    second, _ = fetch_page(conn, key, 10)
    assert [order[0] for order in (*first, *second)] == list(range(2999, 2979, -1))


def test_the_last_page_has_no_key(conn: Connection) -> None:
    conn.execute("DELETE FROM orders WHERE id >= 20")
    items, key = fetch_page(conn, None, 10)
    assert (len(items), key) == (10, ("2026-01-01 00:00:00.000001+00", "10"))
    items, key = fetch_page(conn, key, 10)
    assert ([order[0] for order in items], key) == (list(range(9, -1, -1)), None)


def test_no_transaction_stays_open_between_pages(conn: Connection) -> None:
    rows = iter_all(conn, limit=10)
    next(rows)
    assert conn.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def test_a_deep_page_begins_its_index_scan_at_the_key(conn: Connection) -> None:
    conn.execute("CREATE INDEX ON orders (created_at, id)")
    conn.execute("ANALYZE orders")
    at = "2026-01-01 00:00:00.00005+00"

    def plan(query: str) -> str:
        return str(conn.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone())

    query = page_query(conn, (at, "500"), 10)
    written_out = f"created_at < '{at}' OR (created_at = '{at}' AND id < '500')"
    rescued = f"created_at <= '{at}' AND ({written_out})"
    condition = f"(created_at, id) < ('{at}', '500')"
    assert condition in query
    assert "Index Cond" in plan(query)
    assert "Index Cond" not in plan(query.replace(condition, written_out))
    assert "Index Cond" in plan(query.replace(condition, rescued))


def test_text_is_compared_byte_by_byte_whatever_the_columns_collation(conn: Connection) -> None:
    conn.execute('CREATE INDEX ON orders (customer COLLATE "C", id)')
    conn.execute("ANALYZE orders")
    query = page_query(conn, ("a", "500"), 10, "customer")
    plan = str(conn.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone())
    assert "Index Cond" in plan  # only an index in the query's own collation can serve it


def test_a_key_travels_in_a_signed_token(conn: Connection) -> None:
    conn.execute("UPDATE orders SET created_at = 'infinity' WHERE id % 2 = 0")  # unknown to Python
    secret = b"secret"
    first, key = fetch_page(conn, None, 10)
    assert key is not None
    token = encode_token("created_at", key, secret)
    back = tuple(str(part) for part in decode_token(token, "created_at", secret))
    second, _ = fetch_page(conn, back, 10)
    assert [order[0] for order in (*first, *second)] == list(range(2998, 2958, -2))


@pytest.mark.parametrize("sort", ["created_at", "customer"])
def test_a_null_in_a_key_is_an_error_not_the_end(conn: Connection, sort: str) -> None:
    conn.execute("UPDATE orders SET created_at = NULL, customer = NULL WHERE id % 2 = 0")
    with pytest.raises(ValueError, match=f"sort '{sort}' met a NULL after"):
        list(iter_all(conn, sort, 100))


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_out_of_bounds_is_refused(conn: Connection, limit: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 1000 rows, got {limit}"):
        fetch_page(conn, None, limit)


def test_a_sort_off_the_list_is_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        fetch_page(conn, sort="id; DROP TABLE orders")
    assert conn.execute("SELECT count(*) FROM orders").fetchone() == (COUNT,)


def test_a_key_of_another_sort_is_refused(conn: Connection) -> None:
    _, key = fetch_page(conn, None, 10, sort="paid_at")
    for other in (key, ("500",)):
        with pytest.raises(ValueError, match="'created_at' has 2 key columns"):
            fetch_page(conn, other, 10, sort="created_at")


def test_the_demo_visits_all_and_uses_the_index(demo: Demo, postgres_url: str) -> None:
    lines = demo("keyset_postgres", postgres_url)
    assert lines[:3] == [f"{sort}: 20000 rows, 20000 different" for sort in SORTS]
    assert "Index Scan Backward" in lines[4]
    assert "Index Cond: (ROW(created_at, id) < ROW(" in lines[5]
