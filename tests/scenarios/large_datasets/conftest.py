"""What the tests of large datasets share: a table of events, and the demos."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import psycopg
import pytest
from psycopg.abc import Params, Query

from snippets.large_datasets import keyset_postgres

SNIPPETS = Path(__file__).parents[3] / "snippets" / "large_datasets"
ROWS = 30_000


@pytest.fixture
def events_url(postgres_url: str) -> str:
    """A database with `events`: 30,000 rows of some 230 bytes, ids from 1, 100 users."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE events AS
            SELECT id::int8, (id % 100)::int4 AS user_id, (id % 700 / 100.0)::numeric(9, 2)
                   AS amount, repeat('x', 200) AS note
            FROM generate_series(1, 30000) AS id""")
    return postgres_url


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


Demo = Callable[..., list[str]]


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Run a snippet's demo as a reader does; give the lines it prints."""

    def run(name: str, url: str = "") -> list[str]:
        monkeypatch.setenv("DATABASE_URL", url)
        runpy.run_path(str(SNIPPETS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run
