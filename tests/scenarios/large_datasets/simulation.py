"""What readers hold of a table while they read it, counted row by row.

At the start the table and the bytes a row are those of the recorded measurement.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice
from typing import cast

from catalog.run.picture import Line, Lines, number
from catalog.run.sliders import Outcome, Slider, Table
from snippets.large_datasets.batched_pipeline import batched
from snippets.large_datasets.keyset_pagination import iter_all

MIB = 2**20
EACH = 100  # rows that one counted object stands for
POINTS = 40  # of a line
TITLE = "Memory held while a table is read"
QUESTION = "How much of a table does each reader hold while it reads?"
MODEL = (
    "A model: rows of one size from a source that counts how many are alive, no database and no "
    "driver. Batches and keyset pages are the files above, reading from that source; they hold "
    "two, the old one until the new one is whole. fetchall and the cursor do what their driver "
    "does: keep a list of all rows, or of one block. "
    "What whole processes take is under Measured."
)
SLIDERS = (
    Slider("rows", "Rows of the table", "rows", 100_000, 2_000_000, 100_000, start=1_000_000),
    Slider("batch", "A batch, page or block", "rows", low=100, high=20_000, step=100, start=2_000),
    Slider("size", "A row as Python objects", "bytes", low=100, high=1_000, step=1, start=289),
)


class Held:
    """Counts what is alive, and remembers the most since it was last asked."""

    def __init__(self, most: int) -> None:
        self.alive = self.taken = self.peak = 0
        self.every = max(1, most // POINTS)
        self.seen: list[tuple[int, int]] = [(0, 0)]
        """(rows taken so far, the most that were alive since the entry before)."""

    def take(self) -> None:
        """Count one more."""
        self.alive += 1
        self.taken += 1
        self.peak = max(self.peak, self.alive)
        if self.taken % self.every == 0:
            self.seen.append((self.taken, self.peak))
            self.peak = self.alive


class Row:
    """A row that counts while anything refers to it."""

    __slots__ = ("held",)

    def __init__(self, held: Held) -> None:
        self.held = held
        held.take()

    def __del__(self) -> None:
        self.held.alive -= 1


class Orders:
    """The table `orders` behind what keyset pages ask of a connection."""

    def __init__(self, held: Held, count: int) -> None:
        self.held = held
        self.count = count

    def execute(self, _query: str, given: tuple[int, ...]) -> Iterator[tuple[object, ...]]:
        """Give the rows after the key, at most as many as the last parameter says."""
        *key, limit = given
        first = key[-1] + 1 if key else 0
        for at in range(first, min(first + limit, self.count)):
            yield at, Row(self.held), at, None, at, at


def fetchall(rows: Iterable[Row]) -> Iterator[Row]:
    """Do as a client-side cursor: all rows, then the first."""
    yield from list(rows)


def cursor(rows: Iterable[Row], block: int) -> Iterator[Row]:
    """Do as a server-side cursor: a block, and the next when it is used up."""
    source = iter(rows)
    while held := list(islice(source, block)):
        held.reverse()
        while held:
            yield held.pop()


def keyset(held: Held, count: int, page: int) -> Iterator[object]:
    """Read pages as the snippet does."""
    yield from iter_all(cast("sqlite3.Connection", Orders(held, count)), "created_at", page)


def simulate(rows: int, batch: int, size: int) -> Outcome:
    """Read the table once with each reader."""
    count, block = rows // EACH, batch // EACH

    def source(held: Held) -> Iterator[Row]:
        return (Row(held) for _ in range(count))

    readers: dict[str, Callable[[Held], Iterable[object]]] = {
        "fetchall": lambda held: fetchall(source(held)),
        "batches": lambda held: batched(source(held), block),
        "keyset pages": lambda held: keyset(held, count, block),
        "cursor": lambda held: cursor(source(held), block),
    }
    lines = []
    peaks = {}
    for name, read in readers.items():
        held = Held(count)
        deque(read(held), maxlen=0)  # to the end, with nothing kept by whoever reads
        points = [(EACH * at, Fraction(EACH * size * peak, MIB)) for at, peak in held.seen]
        lines.append(Line(name, points))
        peaks[name] = EACH * max(peak for _, peak in held.seen)
    first, *others = (number(Fraction(size * peak, MIB)) for peak in peaks.values())
    return Outcome(
        panels=[Lines("MiB that the reader holds", "rows read", lines)],
        caption=(
            f"After {number(rows)} rows of {size:,} bytes fetchall holds {first} MiB; "
            f"batches never hold more than {others[0]} MiB, keyset pages {others[1]} MiB and the "
            f"cursor {others[2]} MiB, whatever the size of the table."
        ),
        table=Table(
            ("Reader", "Rows held at most", "MiB"),
            [(name, peak, Fraction(size * peak, MIB)) for name, peak in peaks.items()],
        ),
    )
