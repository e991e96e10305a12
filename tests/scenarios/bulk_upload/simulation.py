"""An import of a file with bad rows, batch by batch, beside one INSERT a batch.

At the start the file is that of the drill: 10,000 rows, every hundredth of them bad.
"""

import re
from collections import Counter
from collections.abc import Iterator

from catalog.run.picture import Bars, Line, Lines, number
from catalog.run.sliders import Outcome, Slider, Table
from snippets.bulk_upload.csv_validator import Ok, Reject, read_header, split_lines, validate
from snippets.bulk_upload.progress_counter import Meter

COLUMNS = ("sku", "name", "price", "stock")
HEADER = b"sku,name,price,stock\n"
BLOCK = 65_536  # bytes, as an upload comes in
BAD = {
    "not a price": b"SKU-%06d,Product,1;50,1\n",
    "a field is missing": b"SKU-%06d,Product,1.50\n",
    "a quote never closes": b'SKU-%06d,"Product,1.50,1\n',
    "not UTF-8": b"SKU-%06d,Caf\xe9,1.50,1\n",
    "a NUL in a cell": b"SKU-%06d,Pro\0duct,1.50,1\n",
}
REASONS = dict(zip(("rule", "columns", "quotes", "encoding", "nul"), BAD, strict=True))
"""What each code of the validator means here."""
TITLE = "An import: rows stored batch by batch, and rejects by reason"
QUESTION = "What do a few bad rows cost an import, and what an INSERT of whole batches?"
MODEL = (
    "The file is generated and read by the validator above, its progress told by the meter above. "
    "No database: a batch counts as stored when it is read, "
    "and one INSERT a batch counts as lost when one of its rows is bad, as the drill shows it. "
    "In a real import the database judges prices, here a rule does. "
    "A quote that never closes swallows the lines up to the next one, "
    "and is told by what is wrong among them."
)
SLIDERS = (
    Slider("rows", "Rows of the file", "rows", low=1_000, high=10_000, step=1_000, start=10_000),
    Slider("bad", "Bad rows", "in 1,000", low=0, high=200, step=1, start=10),
    Slider("batch", "A batch", "rows", low=50, high=2_000, step=50, start=1_000),
)


def is_price(text: str) -> bool:
    """Say whether this is a price such as 12.50."""
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) is not None


def lines_of(rows: int, bad: int) -> Iterator[bytes]:
    """Give the rows of the file; `bad` in 1,000 are, one kind of fault after the other."""
    kinds = list(BAD.values())
    faults = 0
    for row in range(rows):
        if (row * bad) % 1000 < bad:  # evenly, the first row among them
            yield kinds[faults % len(kinds)] % row
            faults += 1
        else:
            yield b"SKU-%06d,Product %d,%d.50,%d\n" % (row, row, row % 900, row % 100)


def batches(records: Iterator[Ok | Reject], size: int) -> Iterator[list[Ok | Reject]]:
    """Cut what was read into batches."""
    held: list[Ok | Reject] = []
    for record in records:
        held.append(record)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def simulate(rows: int, bad: int, batch: int) -> Outcome:
    """Import the file."""
    file = HEADER + b"".join(lines_of(rows, bad))
    lines = split_lines(file[at : at + BLOCK] for at in range(0, len(file), BLOCK))
    header = next(lines)
    records = validate(
        lines,
        COLUMNS,
        read_header(header, COLUMNS),
        offset=len(header),
        rules={"price": is_price},
    )
    meter = Meter(len(file))
    stored: list[tuple[float, int]] = [(0, 0)]
    inserted: list[tuple[float, int]] = [(0, 0)]
    rejected: Counter[str] = Counter()
    for turn, group in enumerate(batches(records, batch), start=1):
        faults = [record for record in group if isinstance(record, Reject)]
        rejected.update(REASONS[fault.code] for fault in faults)
        progress = 100 * meter.update(group[-1].end, float(turn))
        stored.append((progress, stored[-1][1] + len(group) - len(faults)))
        inserted.append((progress, inserted[-1][1] + (0 if faults else len(group))))
    kept, naive, lost = stored[-1][1], inserted[-1][1], rejected.total()
    return Outcome(
        panels=[
            Lines(
                "Rows stored",
                "progress of the file, % of its bytes",
                [Line("import", stored), Line("one INSERT", inserted)],
            ),
            Bars("Rows rejected, by reason", [(reason, (rejected[reason],)) for reason in BAD]),
        ],
        caption=(
            f"The import stores {kept:,} of {rows:,} rows and rejects {lost:,}, each by its line; "
            f"one INSERT of {batch:,} rows a batch stores {naive:,}. "
            f"After the first batch of {len(stored) - 1} the progress is "
            f"{number(stored[1][0])} % of the bytes."
        ),
        table=Table(
            ("What", "Rows"),
            [
                ("stored by the import", kept),
                ("stored by one INSERT a batch", naive),
                *((f"rejected: {reason}", rejected[reason]) for reason in BAD),
            ],
        ),
    )
