"""Keyset pages: each row once whatever others write, and no token but our own."""

import ast
import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.large_datasets.keyset_pagination import (
    MAX_LIMIT,
    SORTS,
    LimitError,
    Order,
    Page,
    PageRequestError,
    SortError,
    TokenError,
    decode_token,
    encode_token,
    fetch_page,
    iter_all,
)

from .conftest import Demo

SECRET = b"s"
KEYS = {
    "created_at": lambda order: (order.created_at, order.id),
    "paid_at": lambda order: (order.paid_at is None, order.paid_at or 0, order.id),
    "customer": lambda order: (order.customer.encode(), order.id),
}


def table(orders: list[Order]) -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:")
    conn.execute(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT COLLATE NOCASE,"
        " created_at INT, paid_at INT)"
    )
    insert(conn, orders)
    return conn


def insert(conn: sqlite3.Connection, orders: list[Order]) -> None:
    rows = [(order.id, order.customer, order.created_at, order.paid_at) for order in orders]
    conn.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """3,000 orders, ten a second, every third unpaid, names in both cases."""
    names = ["b", "A", "a", "B", "é", ""]
    connection = table(
        [Order(n, names[n % 6], n // 10, None if n % 3 == 0 else 9000 - n) for n in range(3000)]
    )
    yield connection
    connection.close()


def pages(conn: sqlite3.Connection, sort: str, limit: int) -> Iterator[Page[Order]]:
    token: str | None = None
    for _ in range(1000):  # no test needs as many: a reader that repeats itself must fail, not hang
        page = fetch_page(conn, token, limit, sort=sort, secret=SECRET)
        yield page
        if (token := page.next_token) is None:
            return
    pytest.fail("1,000 pages and no end")


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 999, 1000])
def test_pages_are_the_table_in_order(conn: sqlite3.Connection, sort: str, limit: int) -> None:
    if limit == 1:
        conn.execute("DELETE FROM orders WHERE id >= 50")
    read = [order for page in pages(conn, sort, limit) for order in page.items]
    assert len(read) == (50 if limit == 1 else 3000)
    assert read == sorted(read, key=KEYS[sort])
    assert list(iter_all(conn, sort, limit)) == read


def test_a_page_is_full_until_the_last_and_the_last_has_no_token(conn: sqlite3.Connection) -> None:
    sizes = [(len(page.items), page.next_token is None) for page in pages(conn, "paid_at", 1000)]
    assert sizes == [(1000, False), (1000, False), (1000, True)]


def test_an_empty_table_is_one_empty_page() -> None:
    conn = table([])
    assert fetch_page(conn, secret=SECRET) == Page([], None)
    assert list(iter_all(conn)) == []
    conn.close()


orders = st.builds(
    Order,
    id=st.integers(0, 40),
    customer=st.sampled_from(["", "a", "A", "b", "é", "日本"]),
    created_at=st.integers(0, 3),
    paid_at=st.none() | st.integers(-1, 2),
)
writes = st.tuples(st.lists(orders, max_size=5), st.lists(st.integers(0, 40), max_size=8))


@given(
    st.lists(orders, max_size=41, unique_by=lambda order: order.id),
    st.lists(writes, max_size=12),
    st.sampled_from(sorted(SORTS)),
    st.integers(1, 6),
)
def test_whatever_is_written_meanwhile_a_row_that_stays_is_read_once(
    start: list[Order],
    between: list[tuple[list[Order], list[int]]],
    sort: str,
    limit: int,
) -> None:
    conn = table(start)
    stayed = {order.id: order for order in start}
    used = set(stayed)
    read: list[Order] = []
    steps = iter(between)
    for page in pages(conn, sort, limit):
        read += page.items
        inserted, deleted = next(steps, ([], []))
        for order in inserted:
            if order.id not in used:  # ids are never used twice, as with a sequence
                used.add(order.id)
                insert(conn, [order])
        conn.executemany("DELETE FROM orders WHERE id = ?", [(number,) for number in deleted])
        for number in deleted:
            stayed.pop(number, None)
    conn.close()
    ids = [order.id for order in read]
    assert len(ids) == len(set(ids)), "a row was read twice"
    assert stayed.keys() <= set(ids), "a row that was there throughout was not read"
    assert read == sorted(read, key=KEYS[sort])


def test_the_row_a_token_came_from_may_be_gone(conn: sqlite3.Connection) -> None:
    first = fetch_page(conn, limit=10, secret=SECRET)
    conn.execute("DELETE FROM orders WHERE id < 10")
    second = fetch_page(conn, first.next_token, 10, secret=SECRET)
    assert [order.id for order in second.items] == list(range(10, 20))


@pytest.mark.parametrize(
    ("id_type", "search"),
    [
        ("INT PRIMARY KEY NOT NULL", "((created_at,id)>(?,?))"),
        # When id is SQLite's own row number, the search begins at created_at.
        ("INTEGER PRIMARY KEY", "(created_at>?)"),
    ],
)
def test_a_deep_page_is_an_index_search(id_type: str, search: str) -> None:
    conn = sqlite3.connect(":memory:")
    conn.execute(f"CREATE TABLE orders (id {id_type}, customer TEXT, created_at INT, paid_at INT)")
    conn.execute("CREATE INDEX by_time ON orders (created_at, id)")
    seen: list[str] = []
    conn.set_trace_callback(seen.append)
    token = encode_token("created_at", (250, 2500), SECRET)
    fetch_page(conn, token, 10, secret=SECRET)
    conn.set_trace_callback(None)
    (plan,) = conn.execute(f"EXPLAIN QUERY PLAN {seen[0]}").fetchall()
    assert plan[3] == f"SEARCH orders USING INDEX by_time {search}"
    conn.close()


@pytest.mark.parametrize("position", range(0, 90, 3))
def test_a_changed_token_is_refused(conn: sqlite3.Connection, position: int) -> None:
    token = encode_token("created_at", (250, 2500), SECRET)
    at = position % len(token)
    for other in ("A", "f", "!", "é"):
        changed = token[:at] + other + token[at + 1 :]
        if changed != token:
            with pytest.raises(TokenError, match="was changed or was not issued here"):
                fetch_page(conn, changed, 10, secret=SECRET)


@pytest.mark.parametrize(
    "token",
    ["", ".", "e30=.", "a.b.c", "' OR 1=1 --", "\ud800", "\x00", "W10=", "é" * 100, "A" * 100_000],
)
def test_a_token_that_was_never_one_is_refused(conn: sqlite3.Connection, token: str) -> None:
    with pytest.raises(TokenError):
        fetch_page(conn, token, 10, secret=SECRET)


@given(st.text(max_size=200))
def test_no_text_is_a_token(token: str) -> None:
    with pytest.raises(TokenError):
        decode_token(token, "created_at", SECRET)


def test_a_token_of_another_sort_is_refused(conn: sqlite3.Connection) -> None:
    token = fetch_page(conn, limit=10, sort="created_at", secret=SECRET).next_token
    with pytest.raises(TokenError, match="is for sort 'created_at', the request for 'paid_at'"):
        fetch_page(conn, token, 10, sort="paid_at", secret=SECRET)


def test_a_token_signed_with_another_secret_is_refused(conn: sqlite3.Connection) -> None:
    token = encode_token("created_at", (1, 1), b"another")
    with pytest.raises(TokenError):
        fetch_page(conn, token, 10, secret=SECRET)


def test_a_token_from_before_a_change_of_its_sort_is_refused(conn: sqlite3.Connection) -> None:
    for key in [(), (250,), (250, 2500, 1)]:
        token = encode_token("created_at", key, SECRET)
        with pytest.raises(TokenError, match="before a change"):
            fetch_page(conn, token, 10, secret=SECRET)


def test_a_signature_is_whole_and_a_secret_is_one() -> None:
    mac = encode_token("created_at", (1, 1), SECRET).rpartition(".")[2]
    assert len(bytes.fromhex(mac)) == 32
    with pytest.raises(ValueError, match="the secret is empty"):
        encode_token("created_at", (1, 1), b"")


def test_a_null_in_a_key_is_an_error_not_the_end(conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE orders SET created_at = NULL WHERE id >= 10")
    with pytest.raises(ValueError, match="met a NULL in Order"):
        list(iter_all(conn, limit=10))


def test_a_page_has_100_rows_and_iteration_reads_500_at_a_time(conn: sqlite3.Connection) -> None:
    assert len(fetch_page(conn, secret=SECRET).items) == 100
    seen: list[str] = []
    conn.set_trace_callback(seen.append)
    next(iter_all(conn))
    conn.set_trace_callback(None)
    assert seen[0].endswith("LIMIT 500")


@given(
    st.sampled_from(sorted(SORTS)),
    st.lists(st.integers() | st.text() | st.floats(allow_nan=False), min_size=1).map(tuple),
)
def test_a_token_brings_its_key_back(sort: str, key: tuple[int | str | float, ...]) -> None:
    assert decode_token(encode_token(sort, key, SECRET), sort, SECRET) == key


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_out_of_bounds_is_refused(conn: sqlite3.Connection, limit: int) -> None:
    with pytest.raises(LimitError, match=f"1 to 1000 rows, got {limit}"):
        fetch_page(conn, limit=limit, secret=SECRET)


@pytest.mark.parametrize("limit", [0, -1])
def test_iteration_refuses_pages_without_rows(conn: sqlite3.Connection, limit: int) -> None:
    with pytest.raises(LimitError, match=f"at least 1 row, got {limit}"):
        next(iter_all(conn, limit=limit))


def test_a_sort_off_the_list_never_reaches_the_database(conn: sqlite3.Connection) -> None:
    sort = "id; DROP TABLE orders"
    with pytest.raises(SortError, match="must be one of"):
        fetch_page(conn, sort=sort, secret=SECRET)
    assert conn.execute("SELECT count(*) FROM orders").fetchone() == (3000,)


def test_a_refusal_is_the_answer_of_an_api() -> None:
    assert PageRequestError("limit is 0").problem() == {
        "title": "Bad page request",
        "status": 400,
        "detail": "limit is 0",
    }
    assert all(issubclass(kind, PageRequestError) for kind in (TokenError, LimitError, SortError))


def test_the_demo_reads_every_row_and_refuses_both_tokens(demo: Demo) -> None:
    lines = demo("keyset_pagination")
    details = [ast.literal_eval(line)["detail"] for line in lines[1:]]
    assert lines[0] == "saw 1000 of 1000 rows, 1000 different ones"
    assert details == [
        "page token is for sort 'created_at', the request for 'paid_at'",
        "page token was changed or was not issued here",
    ]
