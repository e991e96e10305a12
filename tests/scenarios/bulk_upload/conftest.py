"""What the tests of bulk upload share: a database with its tables, files, and the demos."""

import runpy
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.scenarios.bulk_upload.imports import Db

SNIPPETS = Path(__file__).parents[3] / "snippets" / "bulk_upload"
Demo = Callable[..., list[str]]


@pytest.fixture
def db_url(postgres_url: str) -> str:
    """A database with the tables of the API, the queue and the merge."""
    # What needs no database is tested in the reader's browser too.
    from tests.scenarios.bulk_upload.imports import make_tables

    make_tables(postgres_url)
    return postgres_url


@pytest.fixture
def db(db_url: str) -> "Iterator[Db]":
    """A connection to it, in autocommit."""
    import psycopg

    with psycopg.connect(db_url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let snippets import the files beside them, as in the reader's folder."""
    monkeypatch.syspath_prepend(str(SNIPPETS))


@pytest.fixture
def import_id() -> str:
    """An id for an import."""
    return str(uuid.uuid4())


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Run a snippet's demo as a reader does; give the lines it prints."""

    def run(name: str, **variables: str) -> list[str]:
        for key in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(key, raising=False)
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        runpy.run_path(str(SNIPPETS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def refused(demo: Demo) -> Callable[[str, str], None]:
    """Run a demo whose server does not answer: it ends with one line that helps."""

    def run(name: str, variable: str) -> None:
        unused: dict[str, Any] = {
            "DATABASE_URL": "postgresql://127.0.0.1:1/none",
            "REDIS_URL": "redis://127.0.0.1:1/0?retry_on_timeout=false",
        }
        with pytest.raises(SystemExit, match="make lab") as caught:
            demo(name, **{variable: unused[variable]})
        assert len(str(caught.value).splitlines()) == 1

    return run
