"""What the tests of bulk download share: a table of orders, and the demos."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab.servers import Bucket

SNIPPETS = Path(__file__).parents[3] / "snippets" / "bulk_download"


@pytest.fixture
def orders_url(postgres_url: str) -> str:
    """A database with 3,000 orders of acme, 10 of bolt, and cells that are dangerous."""
    import psycopg  # what needs no database is tested in the reader's browser too

    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE orders AS
            SELECT n::int8 AS id, CASE WHEN n <= 3000 THEN 'acme' ELSE 'bolt' END AS tenant,
                   CASE n % 4 WHEN 0 THEN '=1+1' WHEN 1 THEN 'Doe, "Jo"' WHEN 2 THEN ''
                        ELSE NULL END AS customer,
                   (n % 700 / -100.0)::numeric(9, 2) AS amount,
                   timestamptz '2026-01-01 00:00:00Z' + n * interval '1 s' AS created_at,
                   'user' || n || '@example.com' AS email
            FROM generate_series(1, 3010) AS n""")
    return postgres_url


Demo = Callable[[str], list[str]]
Pool = Any  # asyncpg has no types
Client = Any  # nor has boto3


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str]) -> Demo:
    """Run a snippet's demo as a reader does; give the lines it prints."""

    def run(name: str) -> list[str]:
        runpy.run_path(str(SNIPPETS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def demo_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let demos find the database."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)


@pytest.fixture
def demo_s3(s3: "Bucket", monkeypatch: pytest.MonkeyPatch) -> None:
    """Let demos find the object store."""
    for key, value in s3.environment().items():
        monkeypatch.setenv(key, value)
