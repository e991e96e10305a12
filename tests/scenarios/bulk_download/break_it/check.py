"""Read what arrived as a careless client does, and with the manifest."""

import csv
from decimal import Decimal, InvalidOperation
from typing import Protocol

from snippets.bulk_download.export_manifest import Meter, TruncatedError, verify

ROWS = 1000
LINES = [f"{number},{number * 37 % 1000}.{number % 90 + 10}\n" for number in range(1, ROWS + 1)]
EXPORT = "".join(["id,amount\n", *LINES]).encode()


class Reader(Protocol):
    """What the reader writes."""

    def cut(self, data: bytes) -> bytes:
        """Give what arrives of the export."""


def check(reader: Reader) -> str:
    """Judge the cut; AssertionError says what is missing."""
    arrived: object = reader.cut(EXPORT)
    kind = type(arrived).__name__
    assert isinstance(arrived, bytes), f"cut() gives {kind} instead of bytes."
    assert EXPORT.startswith(arrived), "What arrives is not the beginning of the export."
    found = list(csv.reader(arrived.decode().splitlines()))[1:]
    assert len(found) == ROWS, f"The client counts {len(found)} rows of {ROWS:,}, and would notice."
    try:
        total = sum((Decimal(amount) for _, amount in found), Decimal(0))
    except (ValueError, InvalidOperation):
        raise AssertionError(f"The client cannot read the last row: {found[-1]}.") from None
    right = sum(Decimal(line.rstrip().split(",")[1]) for line in LINES)
    assert total != right, f"The total is still right: {right:,}."
    meter = Meter()
    meter.feed(EXPORT)
    try:
        verify([arrived], meter.manifest())
    except TruncatedError as error:
        noticed = str(error)
    else:
        raise AssertionError("The manifest does not notice it either: that should not be possible.")
    return (
        f"{ROWS:,} rows arrived, and the client books {total:,} instead of {right:,}.\n"
        f"The manifest says: {noticed}."
    )
