"""What the tests of large datasets share: a table of events, and the demos."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SNIPPETS = Path(__file__).parents[3] / "snippets" / "large_datasets"
ROWS = 30_000


@pytest.fixture
def events_url(postgres_url: str) -> str:
    """A database with `events`: 30,000 rows of some 230 bytes, ids from 1, 100 users."""
    import psycopg  # what needs no database is tested in the reader's browser too

    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE events AS
            SELECT id::int8, (id % 100)::int4 AS user_id, (id % 700 / 100.0)::numeric(9, 2)
                   AS amount, repeat('x', 200) AS note
            FROM generate_series(1, 30000) AS id""")
    return postgres_url


Demo = Callable[..., list[str]]


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Run a snippet's demo as a reader does; give the lines it prints."""

    def run(name: str, url: str = "") -> list[str]:
        monkeypatch.setenv("DATABASE_URL", url)
        runpy.run_path(str(SNIPPETS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run
