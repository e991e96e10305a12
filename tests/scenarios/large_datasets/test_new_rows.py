"""Following a table that is being written: the naive reader and the one with a boundary."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lab.servers import postgres
from snippets.large_datasets import keyset_new_rows, naive_new_rows
from snippets.large_datasets.keyset_new_rows import START, new_orders

from .conftest import Demo

Connection = psycopg.Connection[Any]
INSERT = "INSERT INTO orders (customer) SELECT %s FROM generate_series(1, %s)"


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A server without neighbours: an open transaction of another test would hold us back."""
    with postgres() as server:
        yield server.url


@pytest.fixture
def conn(own_url: str) -> Iterator[Connection]:
    """Two orders from before the column came, as the docstring adds it."""
    with psycopg.connect(own_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS orders")
        connection.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, customer text)")
        connection.execute(INSERT, ["old", 2])
        migration = [
            line.strip()
            for line in (keyset_new_rows.__doc__ or "").splitlines()
            if line.startswith("    ")
        ]
        assert len(migration) == 3
        with connection.transaction():
            for line in migration:
                connection.execute(line.encode())
        yield connection


def follow(conn: Connection, limit: int) -> list[int]:
    seen: list[int] = []
    position = START
    while rows := new_orders(conn, position, limit)[0]:
        seen += [row[0] for row in rows]
        position = new_orders(conn, position, limit)[1]
    return seen


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_every_row_comes_once_whoever_wrote_it(conn: Connection, limit: int) -> None:
    for count in (4, 1, 5):
        conn.execute(INSERT, ["new", count])
    assert sorted(follow(conn, limit)) == list(range(1, 13))


def test_a_rolled_back_transaction_holds_nothing_back(conn: Connection, own_url: str) -> None:
    with psycopg.connect(own_url) as other:
        other.execute(INSERT, ["never", 1])
        conn.execute(INSERT, ["new", 1])
        assert follow(conn, 10) == [1, 2]
        other.rollback()
        assert follow(conn, 10) == [1, 2, 4]


def test_a_reader_holds_no_reader_back(conn: Connection, own_url: str) -> None:
    with psycopg.connect(own_url) as other:
        other.execute("SELECT count(*) FROM orders")
        conn.execute(INSERT, ["new", 1])
        assert follow(conn, 10) == [1, 2, 3]


def test_a_position_survives_json_and_an_empty_answer(conn: Connection) -> None:
    rows, position = new_orders(conn, limit=2)
    saved, id_ = json.loads(json.dumps(position))
    assert rows == [(1, "old"), (2, "old")]
    assert new_orders(conn, (saved, id_)) == ([], position)


def test_a_deep_read_begins_its_index_scan_at_the_position(conn: Connection) -> None:
    conn.execute(INSERT, ["new", 5000])
    conn.execute("ANALYZE orders")
    conn.execute("LOAD 'auto_explain'")
    conn.execute("SET auto_explain.log_min_duration = 0")
    conn.execute("SET client_min_messages = log")
    said: list[str] = []
    conn.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    new_orders(conn, ("0", 2), 10)
    (plan,) = (text for text in said if "orders" in text)
    assert "Index Cond: ((ROW(xid, id) > ROW(" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(conn: Connection, limit: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 row, got {limit}"):
        new_orders(conn, limit=limit)


def test_without_a_late_commit_the_naive_reader_is_right(conn: Connection) -> None:
    rows, last = naive_new_rows.new_orders(conn, limit=1)
    more, last = naive_new_rows.new_orders(conn, last)
    assert [row[0] for row in (*rows, *more)] == [1, 2]
    assert naive_new_rows.new_orders(conn, last) == ([], 2)


def test_the_demos_lose_a_row_and_wait_for_it(demo: Demo, own_url: str) -> None:
    assert demo("naive_new_rows", own_url) == [
        "while id 1 is open: [(2, 'Cy')]",
        "and then: [], for ever",
    ]
    assert demo("keyset_new_rows", own_url) == [
        "id 2 is still open: [(1, 'Ann')]",
        "and then: [(2, 'Bo, who commits late'), (3, 'Cy')]",
    ]
