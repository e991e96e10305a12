# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Batches that survive a kill: the checkpoint commits with the batch's effect.

Each batch is one transaction holding both what it did and how far it came. A
process killed at any moment restarts after the last whole batch: nothing is
done twice, nothing is left out. Of two runs that overlap, the slower one is
stopped. Where the effect lives in another system (a mail, an HTTP call), no
transaction covers both: make the effect idempotent.

In PostgreSQL, load the position with SELECT ... FOR UPDATE in the batch's
transaction, or save it with UPDATE ... WHERE position = <old> and count rows.

Source: https://docs.python.org/3/library/itertools.html (batched),
https://sqlite.org/lang_transaction.html
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")


# --8<-- [start:batched]
def batched(items: Iterable[T], n: int) -> Iterator[tuple[T, ...]]:
    """Yield tuples of `n` (>= 1) items, the last one perhaps shorter.

    The same as itertools.batched of Python 3.12, but for n < 1 the ValueError
    comes with the first item.
    """
    if n < 1:
        raise ValueError(f"a batch holds at least 1 item, got {n}")
    iterator = iter(items)
    while batch := tuple(islice(iterator, n)):
        yield batch


# --8<-- [end:batched]


# --8<-- [start:pipeline]
Stage = Callable[[Iterator[Any]], Iterator[Any]]


def pipeline(source: Iterable[Any], *stages: Stage) -> Iterator[Any]:
    """Chain generators: each item passes every stage before the next is read.

    Memory: what the stages keep, usually one item. An exception in any stage
    reaches the consumer.
    """
    return reduce(lambda items, stage: stage(items), stages, iter(source))


# --8<-- [end:pipeline]


# --8<-- [start:checkpoint]
class Checkpoint:
    """How far a job came, kept in the database that its effects go to."""

    def __init__(self, conn: sqlite3.Connection, job: str) -> None:
        self.conn = conn
        self.job = job
        conn.execute(
            "CREATE TABLE IF NOT EXISTS checkpoints"
            " (job TEXT PRIMARY KEY, position INTEGER NOT NULL)"
        )

    def load(self) -> int:
        """Return the last position saved, 0 for a job that never ran."""
        row = self.conn.execute(
            "SELECT position FROM checkpoints WHERE job = ?", (self.job,)
        ).fetchone()
        return int(row[0]) if row else 0

    def save(self, position: int) -> None:
        """Record a position in the transaction that is open now."""
        self.conn.execute(
            "INSERT INTO checkpoints VALUES (?, ?)"
            " ON CONFLICT (job) DO UPDATE SET position = excluded.position",
            (self.job, position),
        )


# --8<-- [end:checkpoint]


# --8<-- [start:process]
def process(
    source: Callable[[int], Iterable[tuple[int, T]]],
    sink: Callable[[sqlite3.Connection, list[T]], None],
    checkpoint: Checkpoint,
    batch: int,
) -> int:
    """Run the rest of a job; return the number of items done now.

    `source(position)` gives (position, item) pairs after a position, with
    rising positions above 0 (a primary key, a line number). `sink` writes
    through the given connection. Raises RuntimeError when another run of the
    same job has moved the checkpoint, and when `sink` has committed.
    """
    done, position = 0, checkpoint.load()
    for pairs in batched(source(position), batch):
        with checkpoint.conn:  # one transaction: both, or on an error neither
            checkpoint.conn.execute("BEGIN IMMEDIATE")  # others wait from here
            if checkpoint.load() != position:  # our items are done already
                raise RuntimeError(f"another run of {checkpoint.job!r}")
            sink(checkpoint.conn, [item for _, item in pairs])
            if not checkpoint.conn.in_transaction:
                raise RuntimeError("the sink committed without a checkpoint")
            position = pairs[-1][0]
            checkpoint.save(position)
        done += len(pairs)
    return done


# --8<-- [end:process]


# --8<-- [start:demo]
def main() -> None:
    """Add up 1,000 amounts; the job dies in its fourth batch and goes on."""
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE totals (user INTEGER PRIMARY KEY, cents INT)")
    died = False

    def source(position: int) -> Iterator[tuple[int, tuple[int, int]]]:
        lines = (f"{n},{n % 5},{n}" for n in range(position + 1, 1001))
        return pipeline(
            lines,
            lambda texts: (text.split(",") for text in texts),
            lambda rows: ((int(n), (int(u), int(c))) for n, u, c in rows),
        )

    def sink(conn: sqlite3.Connection, rows: list[tuple[int, int]]) -> None:
        nonlocal died
        conn.executemany(
            "INSERT INTO totals VALUES (?, ?)"
            " ON CONFLICT (user) DO UPDATE SET cents = cents + excluded.cents",
            rows,
        )
        if checkpoint.load() == 300 and not died:
            died = True
            raise RuntimeError("power cut after the writes of batch 4")

    checkpoint = Checkpoint(conn, "billing")
    try:
        process(source, sink, checkpoint, batch=100)
    except RuntimeError as error:
        print(f"{error}; checkpoint at {checkpoint.load()}")
    print(f"restarted, {process(source, sink, checkpoint, 100)} items left")
    total = conn.execute("SELECT sum(cents) FROM totals").fetchone()[0]
    print(f"total {total}, expected {sum(range(1001))}")
    conn.close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
