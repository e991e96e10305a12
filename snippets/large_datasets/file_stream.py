# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Read a file of any size in constant memory: as blocks, or as CSV rows.

Rows come from the csv module, because a line is not a row: a quoted field may
hold commas, quotes and line ends. What does not fit the header is an error
with its line number, never a row with a hole in it.

Source: https://www.rfc-editor.org/rfc/rfc4180,
https://docs.python.org/3/library/csv.html
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO


# --8<-- [start:blocks]
def blocks(file: BinaryIO, size: int = 65_536) -> Iterator[bytes]:
    """Yield the file as blocks of `size` bytes, the last perhaps shorter."""
    if size < 1:
        raise ValueError(f"a block holds at least 1 byte, got {size}")
    yield from iter(partial(file.read, size), b"")


def sha256(file: io.BufferedIOBase, size: int = 65_536) -> str:
    """Return the hex digest, reading all blocks into one buffer."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(size))
    while count := file.readinto(buffer):
        digest.update(buffer[:count])  # a slice of the view copies nothing
    return digest.hexdigest()


# --8<-- [end:blocks]


# --8<-- [start:rows]
class CsvError(ValueError):
    """The text is not the CSV that was promised; says in which line."""


def csv_rows(
    file: BinaryIO, columns: Iterable[str], *, max_field: int = 131_072
) -> Iterator[dict[str, str]]:
    """Yield each row of UTF-8 CSV as {column: text}, for `columns` only.

    The header must name each of `columns` once. A byte-order mark is dropped,
    empty lines are skipped. Raises CsvError for a wrong header, a row with
    more or fewer fields than the header, a quote out of place, a field
    longer than `max_field` characters, and bytes that are not UTF-8.
    """
    wanted = list(columns)
    csv.field_size_limit(max_field)  # of the process: csv knows no other
    # newline="" keeps line ends inside quoted fields as they are.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, [])
        for name in wanted:
            if header.count(name) != 1:
                raise CsvError(
                    f"line 1: column {name!r} must be there once,"
                    f" the header is {header}"
                )
        index = {name: header.index(name) for name in wanted}
        for row in reader:
            if row and len(row) != len(header):
                raise CsvError(
                    f"line {reader.line_num}: {len(row)} fields,"
                    f" the header has {len(header)}"
                )
            if row:
                yield {name: row[at] for name, at in index.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise CsvError(f"after line {reader.line_num}: {error}") from error
    finally:
        text.detach()  # the file stays the caller's


# --8<-- [end:rows]


# --8<-- [start:demo]
def main() -> None:
    """Read a small file that line.split(",") gets wrong, then a broken one."""
    good = 'id,name,note\r\n1,"Doe, Jane","two\nlines"\r\n2,Bo,"say ""hi"""\r\n'
    for row in csv_rows(io.BytesIO(good.encode()), ["id", "name", "note"]):
        print(row)
    try:
        list(csv_rows(io.BytesIO(b"id,name\n1,Ann\n2\n"), ["id", "name"]))
    except CsvError as error:
        print(f"refused: {error}")
    print(f"sha256 {sha256(io.BytesIO(good.encode()), 16)[:16]}...")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
