"""The SQL that a reader of pages sends."""

from typing import Any, ClassVar, Self

import psycopg
from psycopg.abc import Params, Query

from snippets.large_datasets import keyset_postgres


class _Recorder(psycopg.Cursor[Any]):
    """A cursor that remembers what it sent, values and all."""

    sent: ClassVar[list[str]] = []

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        client = psycopg.ClientCursor(self.connection)
        self.sent.append(client.mogrify(query, params))
        return super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[arg-type, misc]  # one overload a kind of query


def page_query(
    conn: keyset_postgres.Connection,
    after: tuple[str, ...],
    limit: int,
    sort: str = "created_at",
) -> str:
    """The SQL by which keyset_postgres reads a page."""
    conn.cursor_factory = _Recorder
    keyset_postgres.fetch_page(conn, after, limit, sort=sort)
    conn.cursor_factory = psycopg.Cursor
    return _Recorder.sent.pop()
