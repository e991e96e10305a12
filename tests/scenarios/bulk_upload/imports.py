"""Imports as the tests make them, and workers that live in processes of their own."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import uvicorn

from lab.eventually import eventually
from lab.servers.base import free_port
from snippets.bulk_upload import copy_staging_merge, import_api, skip_locked_queue

Db = psycopg.Connection[tuple[Any, ...]]

SNIPPETS = Path(__file__).parents[3] / "snippets" / "bulk_upload"
HEADER = b"sku,name,price,stock\n"


def make_tables(url: str) -> None:
    """Make all tables of the scenario."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(import_api.SCHEMA)
        conn.execute(copy_staging_merge.SCHEMA)
        conn.execute(skip_locked_queue.SCHEMA)


def good_rows(count: int) -> list[bytes]:
    """Rows of a file, each with a key of its own."""
    return [b"SKU-%06d,Product %d,%d.50,%d\n" % (n, n, n % 900, n % 100) for n in range(count)]


def store(
    db: Db, body: bytes, *, block: int = 10_000, tenant: str = "acme", enqueue: bool = True
) -> str:
    """Put an accepted upload into the database, as the API does; give its id."""
    import_id = str(uuid.uuid4())
    with db.transaction():
        db.execute(
            "INSERT INTO imports (id, tenant, idempotency_key, sha256, state, bytes_total)"
            " VALUES (%s, %s, %s, '', 'queued', %s)",
            (import_id, tenant, import_id, len(body)),
        )
        for at in range(0, len(body), block):
            db.execute(
                "INSERT INTO import_blocks VALUES (%s, %s, %s)",
                (import_id, at, body[at : at + block]),
            )
        if enqueue:
            skip_locked_queue.enqueue(db, "import", {"import_id": import_id}, dedupe_key=import_id)
    return import_id


def shown(db: Db, import_id: str) -> dict[str, Any]:
    """The state and the counts of an import."""
    row = db.execute(
        "SELECT state, inserted, updated, rejected, stale, bytes_done, bytes_total, error"
        " FROM imports WHERE id = %s",
        (import_id,),
    ).fetchone()
    assert row is not None
    names = "state inserted updated rejected stale bytes_done bytes_total error"
    return dict(zip(names.split(), row, strict=True))


def count(db: Db, table: str) -> int:
    """The rows of a table."""
    row = db.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def serving(url: str) -> Iterator[int]:
    """Serve the wired application by uvicorn on a free port, as a reader does; give the port.

    The files beside import_api.py must be importable (fixture `beside`).
    """
    port = free_port()
    app = import_api.build(url)
    config = uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), 30)
        yield port
    finally:
        server.should_exit = True
        thread.join()
