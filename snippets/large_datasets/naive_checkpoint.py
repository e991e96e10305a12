# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""A resumable job that counts a batch twice: effect first, checkpoint second.

Between the two commits lies a moment at which a kill leaves the effect without
its checkpoint. The restart does that batch again. (The other order loses the
batch instead.) Do not use it where the effect is not idempotent.

Source: https://sqlite.org/lang_transaction.html
"""

import sqlite3
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


# --8<-- [start:process]
def process(
    source: Callable[[int], Iterable[tuple[int, T]]],
    sink: Callable[[sqlite3.Connection, list[T]], None],
    conn: sqlite3.Connection,
    load: Callable[[], int],
    save: Callable[[int], None],
    batch: int,
) -> None:
    """Run the rest of a job, `batch` items at a time."""
    pairs = iter(source(load()))
    while chunk := list(islice(pairs, batch)):
        sink(conn, [item for _, item in chunk])
        conn.commit()
        # BUG: a kill here restarts before a batch that is already committed.
        save(chunk[-1][0])


# --8<-- [end:process]


# --8<-- [start:demo]
def main() -> None:
    """Add up 1,000 amounts; the job dies in its fourth batch and goes on."""
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE total (cents INT)")
    saved = [0]  # stands for a small file beside the job
    died = False

    def source(position: int) -> Iterable[tuple[int, int]]:
        return ((n, n) for n in range(position + 1, 1001))

    def sink(conn: sqlite3.Connection, cents: list[int]) -> None:
        conn.execute("INSERT INTO total VALUES (?)", (sum(cents),))

    def save(position: int) -> None:
        nonlocal died
        if position == 400 and not died:
            died = True
            raise RuntimeError("power cut before the checkpoint of batch 4")
        saved[0] = position

    try:
        process(source, sink, conn, lambda: saved[0], save, 100)
    except RuntimeError as error:
        print(f"{error}; checkpoint at {saved[0]}")
    process(source, sink, conn, lambda: saved[0], save, 100)
    total = conn.execute("SELECT sum(cents) FROM total").fetchone()[0]
    print(f"total {total}, expected {sum(range(1001))}")
    conn.close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
