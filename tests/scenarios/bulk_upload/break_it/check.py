"""Read the reader's file as most people do, and with the validator."""

import csv
from typing import Protocol

from snippets.bulk_upload.csv_validator import (
    HeaderError,
    Ok,
    Reject,
    read_header,
    split_lines,
    validate,
)

ROWS = 100
COLUMNS = ("sku", "name")
FILE = "sku,name\n" + "".join(f"S{number},name {number}\n" for number in range(1, ROWS + 1))


class Reader(Protocol):
    """What the reader writes."""

    def damage(self, text: str) -> str:
        """Give the file with one character more."""


def check(reader: Reader) -> str:
    """Judge the damage; AssertionError says what is missing."""
    text: object = reader.damage(FILE)
    kind = type(text).__name__
    assert isinstance(text, str), f"damage() gives {kind} instead of text."
    inserted = any(text[:at] + text[at + 1 :] == FILE for at in range(len(text)))
    assert inserted, "The file is not the good one with one character inserted."
    try:
        found = list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error as error:
        raise AssertionError(f"csv.reader notices: {error}.") from None
    assert len(found) <= 2, f"csv.reader finds {len(found)} records; the good file has {ROWS + 1}."
    lines = split_lines([text.encode()])
    try:
        judged = list(validate(lines, COLUMNS, read_header(next(lines), COLUMNS)))
    except HeaderError as error:
        judged, where = [], f"the header ({error})"
    else:
        refused = [one for one in judged if isinstance(one, Reject)]
        assert refused, "The validator takes it, too: then it is no damage."
        where = f"line {refused[0].line} ({refused[0].code})"
    taken = sum(isinstance(one, Ok) for one in judged)
    return (
        f"csv.reader found {len(found)} records of {ROWS + 1}, and said nothing.\n"
        f"The validator takes {taken} rows of {ROWS} and refuses {where}."
    )
