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
with its line number, never a row with a hole in it. A row has a longest
length, or one file without a line end would become one string.

Source: https://www.rfc-editor.org/rfc/rfc4180,
https://docs.python.org/3/library/csv.html
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO


# --8<-- [start:blocks]
def blocks(file: BinaryIO, size: int = 65_536) -> Iterator[bytes]:
    """Yield the file as blocks of `size` bytes, the last perhaps shorter."""
    if size < 1:
        raise ValueError(f"a block holds at least 1 byte, got {size}")
    while block := file.read(size):
        yield block


def sha256(file: io.BufferedIOBase, size: int = 65_536) -> str:
    """Return the hex digest, reading all blocks into one buffer.

    For a file on disk, hashlib.file_digest does the same.
    """
    if size < 1:
        raise ValueError(f"a block holds at least 1 byte, got {size}")
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(size))
    while count := file.readinto(buffer):
        digest.update(buffer[:count])  # a slice of the view copies nothing
    return digest.hexdigest()


# --8<-- [end:blocks]


# --8<-- [start:rows]
class CsvError(ValueError):
    """The text is not the CSV that was promised; says in which line."""


def _places(header: list[str], columns: Iterable[str]) -> dict[str, int]:
    count = Counter(header)
    place = {name: at for at, name in enumerate(header)}
    for name in (wanted := list(columns)):
        if count[name] != 1:
            raise CsvError(
                f"line 1: column {name!r} must be there once,"
                f" the header is {header}"
            )
    return {name: place[name] for name in wanted}


def csv_rows(
    file: BinaryIO, columns: Iterable[str], *, max_row: int = 131_072
) -> Iterator[dict[str, str]]:
    """Yield each row of UTF-8 CSV as {column: text}, for `columns` only.

    The header must name each of `columns` once. A byte-order mark is dropped;
    empty lines are skipped, but in a file of one column they are rows. Raises
    CsvError for a wrong header, a row with more or fewer fields than the
    header, a quote out of place, a row longer than `max_row` characters, and
    bytes that are not UTF-8. For longer rows raise csv.field_size_limit too:
    it is the process's, 131,072 at first.
    """
    # newline="" keeps line ends inside quoted fields as they are. Bad bytes
    # get through here, and are refused below in the line that holds them.
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    length = 0  # characters of the row so far

    def lines() -> Iterator[str]:
        nonlocal length
        # Never more than the rest of a row, and one: a line has no bound.
        while line := text.readline(max_row - length + 1):
            length += len(line)
            here = f"line {reader.line_num + 1}"
            if length > max_row:
                raise CsvError(
                    f"{here}: a row longer than {max_row} characters"
                )
            try:
                line.encode()
            except UnicodeEncodeError as error:
                raise CsvError(f"{here}: not UTF-8") from error
            yield line

    reader = csv.reader(lines(), strict=True)
    try:
        header = next(reader, [])
        index = _places(header, columns)
        empty = [""] if len(header) == 1 else []
        length = 0
        for fields in reader:
            length = 0
            row = fields or empty
            if row and len(row) != len(header):
                raise CsvError(
                    f"line {reader.line_num}: {len(row)} fields,"
                    f" the header has {len(header)}"
                )
            if row:
                yield {name: row[at] for name, at in index.items()}
    except csv.Error as error:
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
