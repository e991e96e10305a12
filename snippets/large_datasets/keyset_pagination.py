# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Keyset (seek) pagination: each page begins after the last key, not at n.

A page is an index range scan: O(limit) at any depth, and rows written or
deleted elsewhere neither shift nor repeat what the reader sees. The price: no
jump to page n, and a row whose key changes while you read may be seen twice
or not at all, so page by columns that do not change.

The token given to clients carries the sort and the last key, signed (HMAC).
It is readable by the client, only not changeable: keep secrets out of keys.
It binds nothing else: where a query has a tenant or filters, sign those too.

Source: https://use-the-index-luke.com/no-offset
"""

import base64
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Key = tuple[int | float | str, ...]

MAX_LIMIT = 1000  # rows a page


# --8<-- [start:errors]
class PageRequestError(ValueError):
    """The client asked for a page that cannot be: an API answers 400."""

    def problem(self) -> dict[str, str | int]:
        """Return the body of that answer, `application/problem+json`."""
        return {"title": "Bad page request", "status": 400, "detail": str(self)}


class TokenError(PageRequestError):
    """The token was changed, is not ours, or belongs to another sort."""


class LimitError(PageRequestError):
    """The limit is outside 1 to MAX_LIMIT rows."""


class SortError(PageRequestError):
    """The sort is not on the allow-list."""


# --8<-- [end:errors]


# --8<-- [start:sorts]
# Only these expressions ever reach the SQL text. In each, the last column is
# unique and none is NULL: a comparison that meets one is NULL, so not true.
# Text needs a fixed collation, else client and index may order differently.
SORTS = {
    "created_at": ("created_at", "id"),
    "paid_at": ("paid_at IS NULL", "coalesce(paid_at, 0)", "id"),
    "customer": ("customer COLLATE BINARY", "id"),
}
# --8<-- [end:sorts]


@dataclass(frozen=True, slots=True)
class Order:
    """A row of the table `orders`; times are whole seconds since 1970."""

    id: int
    customer: str
    created_at: int
    paid_at: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the token of the next page (None after the last)."""

    items: list[T]
    next_token: str | None


# --8<-- [start:token]
def _mac(body: str, secret: bytes) -> str:
    if not secret:
        raise ValueError("the secret is empty")
    return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()


def encode_token(sort: str, key: Key, secret: bytes) -> str:
    """Pack and sign the sort and the last key seen, safe in an address."""
    text = json.dumps([sort, *key], separators=(",", ":"))
    body = base64.urlsafe_b64encode(text.encode()).decode()
    return f"{body}.{_mac(body, secret)}"


def decode_token(token: str, sort: str, secret: bytes) -> Key:
    """Return the key of a token made by encode_token for the same sort.

    Raises TokenError for any other text.
    """
    body, _, mac = token.partition(".")
    # Checked before anything is decoded, so that the parser below sees only
    # what we wrote ourselves; compare_digest takes ASCII text only.
    if not token.isascii() or not hmac.compare_digest(mac, _mac(body, secret)):
        raise TokenError("page token was changed or was not issued here")
    made_for, *key = json.loads(base64.urlsafe_b64decode(body))
    if made_for != sort:
        raise TokenError(
            f"page token is for sort {made_for!r}, the request for {sort!r}"
        )
    return tuple(key)


# --8<-- [end:token]


# --8<-- [start:read_after]
def read_after(
    conn: sqlite3.Connection, sort: str, key: Key | None, limit: int
) -> list[tuple[Order, Key]]:
    """Return up to `limit` (>= 1) orders after `key` (None: from the start).

    The row that `key` came from need not exist any more. An index on the
    sort's columns makes it O(limit); where id is an INTEGER PRIMARY KEY,
    SQLite also walks the rows that tie with the key before it.

    Raises SortError; LimitError below 1 (to SQLite, LIMIT -1 means all);
    TokenError for a key that the sort had before it was changed; ValueError
    for a NULL in a key, where all further pages would be empty.
    """
    if limit < 1:
        raise LimitError(f"limit must be at least 1 row, got {limit}")
    if sort not in SORTS:
        raise SortError(f"sort must be one of {sorted(SORTS)}, got {sort!r}")
    if key is not None and len(key) != len(SORTS[sort]):
        raise TokenError("page token is from before a change of this sort")
    columns = ", ".join(SORTS[sort])
    marks = ", ".join("?" * len(SORTS[sort]))
    where = f"WHERE ({columns}) > ({marks})" if key is not None else ""
    rows = conn.execute(
        f"SELECT id, customer, created_at, paid_at, {columns} FROM orders"
        f" {where} ORDER BY {columns} LIMIT ?",
        (*(key or ()), limit),
    )
    found = [(Order(*row[:4]), row[4:]) for row in rows]
    if found and None in found[-1][1]:
        raise ValueError(f"sort {sort!r} met a NULL in {found[-1][0]}")
    return found


# --8<-- [end:read_after]


# --8<-- [start:fetch_page]
def fetch_page(
    conn: sqlite3.Connection,
    after: str | None = None,
    limit: int = 100,
    *,
    sort: str = "created_at",
    secret: bytes,
) -> Page[Order]:
    """Return one page of 1 to 1,000 orders for a client we do not trust.

    Raises TokenError, LimitError or SortError, before any query.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise LimitError(f"limit must be 1 to {MAX_LIMIT} rows, got {limit}")
    key = None if after is None else decode_token(after, sort, secret)
    found = read_after(conn, sort, key, limit + 1)  # one more: is there a next?
    items = [order for order, _ in found[:limit]]
    more = len(found) > limit
    token = encode_token(sort, found[limit - 1][1], secret) if more else None
    return Page(items, token)


# --8<-- [end:fetch_page]


# --8<-- [start:iter_all]
def iter_all(
    conn: sqlite3.Connection, sort: str = "created_at", limit: int = 500
) -> Iterator[Order]:
    """Yield every order once, a page of `limit` rows in memory at a time.

    Between pages no cursor and no transaction is open, so a reader of three
    hours holds back nothing. It sees each row as it is when its page is read.
    """
    key: Key | None = None
    while found := read_after(conn, sort, key, limit):
        yield from (order for order, _ in found)
        key = found[-1][1]


# --8<-- [end:iter_all]


# --8<-- [start:demo]
def main() -> None:
    """Page through orders while others are deleted, then forge a token."""
    conn = sqlite3.connect(":memory:")
    conn.execute(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT,"
        " created_at INT, paid_at INT)"
    )
    conn.execute("CREATE INDEX by_time ON orders (created_at, id)")
    conn.executemany(
        "INSERT INTO orders VALUES (?, ?, ?, ?)",
        [(n, f"customer {n % 7}", n // 4, n or None) for n in range(1000)],
    )
    secret = b"from your secret store"

    seen: list[int] = []
    page = fetch_page(conn, limit=100, secret=secret)
    first_token = page.next_token
    while True:
        seen += [order.id for order in page.items]
        gone = [(order.id,) for order in page.items[-10:]]
        conn.executemany("DELETE FROM orders WHERE id = ?", gone)
        if page.next_token is None:
            break
        page = fetch_page(conn, page.next_token, 100, secret=secret)
    print(f"saw {len(seen)} of 1000 rows, {len(set(seen))} different ones")

    for sort, token in [("paid_at", first_token), ("created_at", "W10=.00")]:
        try:
            fetch_page(conn, token, sort=sort, secret=secret)
        except PageRequestError as error:
            print(error.problem())
    conn.close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
