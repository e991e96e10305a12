"""A stranger's CSV: every record is accepted or refused by line, and none is lost."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snippets.bulk_upload.csv_validator import (
    MAX_EMPTY,
    MAX_LINES,
    MAX_RECORD,
    HeaderError,
    Ok,
    Reject,
    read_header,
    split_lines,
    validate,
)

COLUMNS = ("sku", "name")
PLACES = (0, 1)

# Cells that broke somebody's import: all must come through unchanged.
NAUGHTY = [
    "", " ", "'", '"', '""', '5" pipe', "a,b", "a\nb", "a\r\nb", "\\N", "\\.", "NULL", "null",
    "=1+1", "@SUM(A1)", "ñandú", "表ポあA鷗Œé逍Üßªąñ丂㐀𠀀",
    "👾 🙇 💁", "ﷺ", "\u202eabc", "\ufeff",
    "Robert'); DROP TABLE products;--", "<script>alert(0)</script>", "../../etc/passwd", "%s %d {}",
    "\t", "\x1b[31m", "\u2028", "\x85", "\x0b", "\x1c", "1e309", "NaN", "-0", "0x1F", "1_000",
]  # fmt: skip


def read(data: bytes, **options: object) -> list[Ok | Reject]:
    return list(validate(split_lines([data]), COLUMNS, PLACES, **options))  # type: ignore[arg-type]


def codes(data: bytes) -> list[str]:
    return [it.code if isinstance(it, Reject) else "ok" for it in read(data)]


def written(rows: list[list[str]], end: str = "\r\n") -> bytes:
    out = io.StringIO()
    # All are quoted: csv before 3.13 leaves a lone CR bare, which is a line end to a reader.
    csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue().encode()


def in_blocks(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The data in pieces of these lengths, then the rest."""
    at = 0
    for length in cuts:
        yield data[at : at + length]
        at += length
    yield data[at:]


def test_naughty_cells_come_through_unchanged() -> None:
    rows = [[f"k{n}", cell] for n, cell in enumerate(NAUGHTY)]
    found = read(written(rows))
    assert [it.values for it in found if isinstance(it, Ok)] == [tuple(row) for row in rows]


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ROWS = st.lists(st.tuples(CELL.map(lambda s: f"k{s}"), CELL).map(list), max_size=12)


@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n", "\r"]), cuts=st.lists(st.integers(1, 9)))
@settings(max_examples=60)
def test_whatever_csv_writes_is_read_whole_and_can_be_resumed_anywhere(
    rows: list[list[str]], end: str, cuts: list[int]
) -> None:
    data = written(rows, end)
    lines = split_lines(in_blocks(data, cuts))
    found = list(validate(lines, COLUMNS, PLACES))
    assert [it.values for it in found if isinstance(it, Ok)] == [tuple(row) for row in rows]
    assert [it.line for it in found] == [n + 2 for n in range(len(rows))]
    for n, it in enumerate(found):
        rest = split_lines([data[it.end :]])
        again = list(validate(rest, COLUMNS, PLACES, line=it.line + 1, offset=it.end))
        assert again == found[n + 1 :]


@given(data=st.text(alphabet='a,"\n\r\0é', max_size=40), tail=st.binary(max_size=4))
@settings(max_examples=150)
def test_no_byte_is_lost_whatever_the_file_holds(data: str, tail: bytes) -> None:
    raw = data.encode() + tail
    found = read(raw)
    ends = [it.end for it in found]
    assert ends == sorted(ends)
    assert all(end <= len(raw) for end in ends)
    # What follows the last record is empty lines only.
    assert not raw[ends[-1] if ends else 0 :].strip(b"\r\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"a,b\n", ["ok"]),
        (b"a,b", ["ok"]),
        (b"a,b\n\n\nc,d\n", ["ok", "ok"]),
        (b"a\n", ["columns"]),
        (b"a,b,c\n", ["columns"]),
        (b"a;b\n", ["columns"]),
        (b"a,b\x00\nc,d\n", ["nul", "ok"]),
        (b"a,\xff\nc,d\n", ["encoding", "ok"]),
        (b'a,"b\nc,d\ne,f\n', ["quotes", "ok", "ok"]),
        (b'a,"b"x\nc,d\n', ["quotes", "ok"]),
        (b'a,"b"x\rc,d\r', ["quotes", "ok"]),
        (b'a,"\xff\nc,d\n', ["encoding", "ok"]),
        (b'"a\nb",c\n', ["ok"]),
        (b"a," + b"x" * MAX_RECORD + b"\nc,d\n", ["too_long", "ok"]),
        (b"a," + b"x" * (3 * MAX_RECORD), ["too_long"]),
        (b'a,"' + b"x" * MAX_RECORD + b"\nc,d\n", ["quotes", "ok"]),
        (b'a,"' + b"\n" * (MAX_LINES + 1) + b"c,d\n", ["quotes", "ok"]),
    ],
)
def test_each_fault_costs_one_record(data: bytes, expected: list[str]) -> None:
    assert codes(data) == expected


def test_a_line_in_pieces_is_one_record_and_its_last_piece_may_be_a_line_end() -> None:
    long = b"a," + b"x" * (MAX_RECORD - 2)
    blocks = [long, b"y" * 10, b"\nc,d\n"]
    found = list(validate(split_lines(iter(blocks)), COLUMNS, PLACES))
    assert [(it.line, it.end) for it in found] == [(2, MAX_RECORD + 11), (3, MAX_RECORD + 15)]
    exact = list(validate([long, b"\n", b"c,d\n"], COLUMNS, PLACES))
    assert [it.end for it in exact] == [MAX_RECORD + 1, MAX_RECORD + 5]


def test_a_line_inside_a_broken_cell_may_be_taken_as_a_row() -> None:
    assert codes(b'a,"bad "quote\nc,d\n",1\n') == ["quotes", "ok", "quotes"]


def test_empty_lines_are_passed_over_but_a_bomb_of_them_is_seen() -> None:
    few = b"a,b\n" + b"\n" * MAX_EMPTY
    assert codes(few + few) == ["ok", "ok"]
    found = read(few + b"\n" * 3 + b"c,d\n")
    assert [it.code for it in found if isinstance(it, Reject)] == ["empty"] * 3
    n = MAX_EMPTY + 5  # lines from the first of the file to the last empty one
    assert [(it.line, it.end) for it in found[-2:]] == [(n, n + 2), (n + 1, n + 6)]


def test_an_endless_line_is_held_in_pieces() -> None:
    for size in (1000, 250_000):  # of a block; the API's hold several records
        pieces = list(split_lines(b"x" * size for _ in range(1_000_000 // size)))
        assert b"".join(pieces) == b"x" * 1_000_000
        assert max(map(len, pieces)) == MAX_RECORD


def test_behind_an_open_quote_a_bounded_number_of_lines_is_read_again() -> None:
    pulled = 0

    class Line(bytes):
        def decode(self, *_: object) -> str:
            nonlocal pulled
            pulled += 1
            return super().decode()

    lines = [Line(b'a,"b\n'), *(Line(b"c,d\n") for _ in range(3 * MAX_LINES))]
    found = list(validate(lines, COLUMNS, PLACES))
    assert [isinstance(it, Ok) for it in found] == [False, *([True] * 3 * MAX_LINES)]
    assert pulled <= len(lines) + MAX_LINES + 1


def test_a_rule_refuses_a_value_and_names_its_column() -> None:
    rules: dict[str, Callable[[str], bool]] = {"name": str.isupper}
    found = read(b"a,OK\na,no\n", rules=rules)
    assert found[1] == Reject(3, 10, "name", "rule", "no")
    assert isinstance(found[0], Ok)


def test_columns_are_found_by_name_in_any_order() -> None:
    assert read_header(b"\xef\xbb\xbfName , SKU\r\n", COLUMNS) == (1, 0)
    (row,) = validate([b"Bolt,B-1\n"], COLUMNS, (1, 0))
    assert isinstance(row, Ok)
    assert row.values == ("B-1", "Bolt")


@pytest.mark.parametrize(
    ("line", "pointers"),
    [
        (b"", ["/header/sku", "/header/name"]),
        (b"sku\n", ["/header/name"]),
        (b"sku,name,sku\n", ["/header/sku"]),
        (b"sku,name,colour\n", ["/header/colour"]),
        (b"sku,name,~a/b\n", ["/header/~0a~1b"]),
        (b"sku;name\n", ["/header"]),
        (b"sku\tname\n", ["/header"]),
        (b"\xff,name\n", ["/header"]),
        (b'sku,"name\n', ["/header"]),
    ],
)
def test_a_wrong_header_is_told_with_all_its_faults(line: bytes, pointers: list[str]) -> None:
    with pytest.raises(HeaderError) as caught:
        read_header(line, COLUMNS)
    assert [error["pointer"] for error in caught.value.errors] == pointers
    assert all(error["detail"] in str(caught.value) for error in caught.value.errors)


def test_ten_thousand_columns_make_a_short_answer() -> None:
    line = ",".join(f"c{n}" for n in range(10_000)).encode()
    with pytest.raises(HeaderError) as caught:
        read_header(line, COLUMNS)
    assert len(caught.value.errors) == 100


def test_a_refused_value_is_cut_and_fit_to_be_stored() -> None:
    (found,) = read(b"\x00" * 500 + b"\n")
    assert isinstance(found, Reject)
    assert found.value == "\ufffd" * 100
    (found,) = read(b"a,b\x00\n")
    assert found == Reject(2, 5, "name", "nul", "b\ufffd")


def test_memory_is_one_record(capsys: pytest.CaptureFixture[str]) -> None:
    def blocks() -> Iterator[bytes]:
        for n in range(3):
            yield b"a,b\n" * 10
            print(f"block {n}")

    first = next(validate(split_lines(blocks()), COLUMNS, PLACES))
    assert first.line == 2
    assert capsys.readouterr().out == ""


def test_the_demo_shows_what_csv_swallows(demo: Callable[..., list[str]]) -> None:
    lines = demo("csv_validator")
    assert 'line 6 quotes  "a quote that never closes,X-1,1.00' in lines
    assert lines[-1] == "csv.reader as it comes: 5 records, no error"
