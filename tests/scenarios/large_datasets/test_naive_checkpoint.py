"""Effect first, checkpoint second: right until something dies in between."""

import sqlite3
from collections.abc import Iterator

from snippets.large_datasets.naive_checkpoint import process

from .conftest import Demo


def test_a_clean_run_does_every_item() -> None:
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE done (item INT)")
    saved = [2]

    def source(position: int) -> Iterator[tuple[int, int]]:
        return ((n, n) for n in range(position + 1, 11))

    def sink(conn: sqlite3.Connection, items: list[int]) -> None:
        conn.executemany("INSERT INTO done VALUES (?)", [(item,) for item in items])

    process(source, sink, conn, lambda: saved[-1], saved.append, 3)
    assert saved == [2, 5, 8, 10]
    assert [row[0] for row in conn.execute("SELECT item FROM done")] == list(range(3, 11))
    conn.close()


def test_the_demo_counts_a_batch_twice(demo: Demo) -> None:
    assert demo("naive_checkpoint") == [
        "power cut before the checkpoint of batch 4; checkpoint at 300",
        "total 535550, expected 500500",
    ]
