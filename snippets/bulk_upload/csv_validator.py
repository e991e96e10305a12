# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Read a stranger's CSV: each record is accepted or refused by line.

Structure only: bytes that are not UTF-8, NUL, quotes that never close, too
many or too few fields, records without end. Whether "12,50" is a price is
asked once for a whole batch in the database, or here through `rules` where
SQL cannot say it. A bad record costs its first line, never the file; what
follows that line is read again, so a line that stood inside a broken cell may
be taken as a row.

`csv.reader` without `strict=True` takes a quote that never closes as data: it
merges the lines that follow, and rows vanish without an error.

Memory: one record, at most `MAX_RECORD` bytes. Time: O(bytes); a line is read
again at most `MAX_LINES` times, when a quote before it did not close.
Line numbers count records, as a spreadsheet does, not line ends as `sed` does;
the header is line 1.

Source: RFC 4180, https://www.rfc-editor.org/rfc/rfc4180; Python's csv module,
https://docs.python.org/3/library/csv.html
"""

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_RECORD = 64 * 1024  # bytes; csv itself stops at 131,072 characters a field
MAX_LINES = 100  # lines of one record, line ends inside quotes included
MAX_EMPTY = 1_000  # empty lines in a row; each one more is a reject
SHOWN = 100  # characters of a refused value that are kept
BOM = b"\xef\xbb\xbf"

Rule = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Ok:
    """A record with one value for each expected column, in that order."""

    line: int
    end: int
    """Offset in the file behind this record, in bytes: where to go on."""
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is refused, and why."""

    line: int
    end: int
    column: str
    """Empty when the record as a whole is refused."""
    code: str
    value: str


class HeaderError(ValueError):
    """The first line does not name the expected columns; nothing is read."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors  # each {"pointer": "/header/sku", "detail": ...}
        super().__init__("; ".join(error["detail"] for error in errors))


# --8<-- [start:split]
def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut blocks of bytes into lines, line ends kept: LF, CRLF or CR.

    A line longer than MAX_RECORD comes in pieces, so memory stays bounded.
    """
    rest = b""
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        # The last one may go on in the next block, and CR may become CRLF.
        rest = lines.pop() if lines else b""
        yield from lines
        while len(rest) > MAX_RECORD:
            yield rest[:MAX_RECORD]
            rest = rest[MAX_RECORD:]
    if rest:
        yield rest


# --8<-- [end:split]


# --8<-- [start:header]
def read_header(line: bytes, columns: Sequence[str]) -> tuple[int, ...]:
    """Give the index of each expected column in the file.

    Columns may stand in any order; case and surrounding spaces do not count.

    Raises:
        HeaderError: a column is missing, unknown or named twice, or the line is
            no CSV in UTF-8; all faults at once.
    """
    errors: dict[str, str] = {}
    try:
        text = line.removeprefix(BOM).decode()
        cells = next(csv.reader([text], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeaderError([_fault("", f"no CSV in UTF-8: {error}")]) from None
    names = [cell.strip().casefold() for cell in cells]
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        raise HeaderError([_fault("", "fields must be separated by commas")])
    for name in names:
        if name not in columns:
            errors[name] = f"unknown column {name[:SHOWN]!r}"
        elif names.count(name) > 1:
            errors[name] = f"column {name!r} is named twice"
    for name in columns:
        if name not in names:
            errors[name] = f"column {name!r} is missing"
    if errors:
        found = list(errors.items())[:SHOWN]  # 10,000 unknown columns are one
        raise HeaderError(
            [_fault(f"/{_escaped(name[:SHOWN])}", why) for name, why in found]
        )
    return tuple(names.index(name) for name in columns)


def _fault(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": f"/header{pointer}", "detail": detail}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")  # RFC 6901


# --8<-- [end:header]


# --8<-- [start:validate]
def validate(  # noqa: PLR0913 - where it goes on, and what is asked
    lines: Iterable[bytes],
    columns: Sequence[str],
    indexes: Sequence[int],
    *,
    line: int = 2,
    offset: int = 0,
    rules: Mapping[str, Rule] | None = None,
) -> Iterator[Ok | Reject]:
    """Yield each record, accepted or refused, with its line and its end.

    Args:
        lines: the lines after the header, or after an earlier record's `end`.
        columns: the names of the expected columns.
        indexes: where each of them is, from `read_header`.
        line: number of the first record in `lines`; 2 follows the header.
        offset: offset of its first byte in the file.
        rules: by column, what a value must satisfy; SQL does this in bulk.
    """
    source = _Source(lines, offset)
    reader = csv.reader(source, strict=True)
    empty = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, UnicodeDecodeError, _TooLongError) as error:
            # This record only: what follows its first line is read again.
            raw = source.back_to_second_line()
            reader = csv.reader(source, strict=True)
            code = _code(raw, error)
            yield Reject(line, source.end, "", code, _shown(raw))
        else:
            raw = source.accept()
            empty = 0 if cells else empty + 1
            if not cells:  # an empty line, often the last one
                if empty > MAX_EMPTY:  # a bomb of them must be seen
                    yield Reject(line, source.end, "", "empty", "")
            elif len(cells) != len(columns):
                yield Reject(line, source.end, "", "columns", _shown(raw))
            else:
                values = tuple(cells[index] for index in indexes)
                yield _judge(line, source.end, columns, values, rules or {})
        line += 1
        # --8<-- [end:validate]


def _judge(
    line: int,
    end: int,
    columns: Sequence[str],
    values: tuple[str, ...],
    rules: Mapping[str, Rule],
) -> Ok | Reject:
    for column, value in zip(columns, values, strict=True):
        if "\0" in value:  # PostgreSQL's text has no such character
            shown = value[:SHOWN].replace("\0", "\ufffd")
            return Reject(line, end, column, "nul", shown)
        if column in rules and not rules[column](value):
            return Reject(line, end, column, "rule", value[:SHOWN])
    return Ok(line, end, values)


def _code(raw: bytes, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "encoding"
    if isinstance(error, _TooLongError) and b'"' not in raw:
        return "too_long"
    return "quotes"


def _shown(raw: bytes) -> str:
    text = raw[: 4 * SHOWN].decode("utf-8", "replace").replace("\0", "\ufffd")
    return text.rstrip("\r\n")[:SHOWN]


class _TooLongError(Exception):
    """A record goes on and on; its quote does not close."""


# --8<-- [start:source]
class _Source:
    """Lines for `csv.reader`, which takes as many as one record needs.

    It counts bytes, and gives lines a second time when a record was refused.
    """

    def __init__(self, lines: Iterable[bytes], offset: int) -> None:
        self._lines = iter(lines)
        self._again: deque[bytes] = deque()
        self._taken: list[bytes] = []
        self.end = offset

    def __iter__(self) -> "_Source":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        size = sum(map(len, self._taken))
        if size >= MAX_RECORD or len(self._taken) > MAX_LINES:
            raise _TooLongError
        return line.decode()

    def accept(self) -> bytes:
        """Count the record as read, and give its bytes."""
        raw = b"".join(self._taken)
        self._taken.clear()
        self.end += len(raw)
        return raw

    def back_to_second_line(self) -> bytes:
        """Count the first line only; the others are given again.

        A line that comes in pieces ends with its last piece.
        """
        first, *others = self._taken
        self._taken.clear()
        self._again.extendleft(reversed(others))
        self.end += len(first)
        piece = first
        while piece and not piece.endswith((b"\n", b"\r")):
            again = self._again
            piece = again.popleft() if again else next(self._lines, b"")
            self.end += len(piece)
        return first
        # --8<-- [end:source]


# --8<-- [start:demo]
FILE = b"""name,sku,price
Bolt,B-1,0.10
"12"" ruler",R-12,4.50
"Pipe 5", 1 m,P-5,7.00
Nut,N-1
"a quote that never closes,X-1,1.00
Washer,W-1,0.05
"""


def main() -> None:
    """Read a file with three faults, then the same without strict=True."""
    columns = ("sku", "name", "price")
    header, *lines = split_lines([FILE])
    indexes = read_header(header, columns)
    for found in validate(lines, columns, indexes, offset=len(header)):
        if isinstance(found, Ok):
            print(f"line {found.line} ok      {found.values}")
        else:
            print(f"line {found.line} {found.code:7} {found.value}")
    naive = list(csv.reader(FILE.decode().splitlines(keepends=True)))
    print(f"csv.reader as it comes: {len(naive) - 1} records, no error")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
