"""Files as blocks and as rows: the hazards of CSV, one case each."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.large_datasets.file_stream import CsvError, blocks, csv_rows, sha256

from .conftest import Demo


@given(st.binary(max_size=300), st.integers(1, 50))
def test_blocks_are_the_file(content: bytes, size: int) -> None:
    parts = list(blocks(io.BytesIO(content), size))
    assert b"".join(parts) == content
    assert all(len(part) == size for part in parts[:-1])
    assert all(parts)


@pytest.mark.parametrize("size", [0, -1])
def test_a_block_without_bytes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 byte, got {size}"):
        next(blocks(io.BytesIO(b"x"), size))
    with pytest.raises(ValueError, match=f"at least 1 byte, got {size}"):
        sha256(io.BytesIO(b"x"), size)


def test_a_block_has_64_kib_unless_told() -> None:
    assert len(next(blocks(io.BytesIO(bytes(100_000))))) == 65_536


@given(st.binary(max_size=300), st.integers(1, 50))
def test_the_digest_is_that_of_the_whole(content: bytes, size: int) -> None:
    assert sha256(io.BytesIO(content), size) == hashlib.sha256(content).hexdigest()


HAZARDS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "plain": (b"a,b\n1,2\n", [("1", "2")]),
    "no line end at the end": (b"a,b\n1,2", [("1", "2")]),
    "windows line ends": (b"a,b\r\n1,2\r\n", [("1", "2")]),
    "old mac line ends": (b"a,b\r1,2\r", [("1", "2")]),
    "comma in quotes": (b'a,b\n"1,5",2\n', [("1,5", "2")]),
    "line feed in quotes": (b'a,b\n"x\ny",2\n', [("x\ny", "2")]),
    "windows line end in quotes": (b'a,b\r\n"x\r\ny",2\r\n', [("x\r\ny", "2")]),
    "doubled quote": (b'a,b\n"say ""hi""",2\n', [('say "hi"', "2")]),
    "only a quote": (b'a,b\n"""",2\n', [('"', "2")]),
    "empty fields": (b"a,b\n,\n", [("", "")]),
    "empty quoted field": (b'a,b\n"",2\n', [("", "2")]),
    "spaces are kept": (b"a,b\n 1 , 2\n", [(" 1 ", " 2")]),
    "byte-order mark": (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")]),
    "byte-order mark before a quote": (b'\xef\xbb\xbf"a",b\n1,2\n', [("1", "2")]),
    "beyond ascii": ("a,b\né,日本\n".encode(), [("é", "日本")]),
    "unicode line separator is no line end": ("a,b\nx\u2028y,2\n".encode(), [("x\u2028y", "2")]),
    "form feed is no line end": (b"a,b\nx\x0cy,2\n", [("x\x0cy", "2")]),
    "empty lines": (b"a,b\n\n1,2\n\n", [("1", "2")]),
    "header only": (b"a,b\n", []),
    "columns in another order": (b"b,c,a\n2,3,1\n", [("1", "2")]),
    "json in a field": (b'a,b\n"{""k"": [1, 2]}",2\n', [('{"k": [1, 2]}', "2")]),
    "a formula stays text": (b"a,b\n=1+1,2\n", [("=1+1", "2")]),
    "leading zeros stay": (b"a,b\n007,1e5\n", [("007", "1e5")]),
    "quotes around a header": (b'"a","b"\n1,2\n', [("1", "2")]),
}


@pytest.mark.parametrize("name", HAZARDS)
def test_a_hazard_is_read_as_rfc_4180_says(name: str) -> None:
    content, rows = HAZARDS[name]
    read = csv_rows(io.BytesIO(content), ["a", "b"])
    assert [(row["a"], row["b"]) for row in read] == rows


REFUSED: dict[str, tuple[bytes, str]] = {
    "too few fields": (b"a,b\n1,2\n3\n", "line 3: 1 fields, the header has 2"),
    "too many fields": (b"a,b\n1,2,3\n", "line 2: 3 fields, the header has 2"),
    "too few after a field of two lines": (b'a,b\n"x\ny",2\n3\n', "line 4: 1 fields"),
    "missing column": (b"a,c\n1,2\n", "line 1: column 'b' must be there once"),
    "column twice": (b"a,b,b\n1,2,3\n", "line 1: column 'b' must be there once"),
    "empty file": (b"", "line 1: column 'a' must be there once, the header is []"),
    "other delimiter": (b"a;b\n1;2\n", "line 1: column 'a' must be there once"),
    "quote never closed": (b'a,b\n1,"2\n3,4\n', "after line 3: unexpected end of data"),
    "text after a closing quote": (b'a,b\n"1"x,2\n', "after line 2: ',' expected after"),
    "latin-1": (b"a,b\n1,2\n\xe9,2\n", "line 3: not UTF-8"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "line 1: not UTF-8"),
    "row too long": (b"a,b\n" + b"x" * 97 + b",22\n", "line 2: a row longer than 100 characters"),
    "row of many lines too long": (
        b"a,b\n" + b'"\n",' * 40,
        "line 27: a row longer than 100 characters",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_promised_csv_is_refused_with_its_line(name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(CsvError) as refused:
        list(csv_rows(io.BytesIO(content), ["a", "b"], max_row=100))
    assert message in str(refused.value)


def test_rows_before_a_broken_one_are_given_and_then_the_error() -> None:
    rows = csv_rows(io.BytesIO(b"a\n1\n2,3\n"), ["a"])
    assert next(rows) == {"a": "1"}
    with pytest.raises(CsvError, match="line 3"):
        next(rows)


def test_a_bad_byte_takes_no_good_row_along() -> None:
    rows = csv_rows(io.BytesIO(b"a\n" + b"1\n" * 1500 + b"\xe9\n"), ["a"])
    assert [next(rows) for _ in range(1500)] == [{"a": "1"}] * 1500
    with pytest.raises(CsvError, match="line 1502: not UTF-8"):
        next(rows)


def test_a_row_may_have_131_072_characters_unless_told() -> None:
    def read(length: int) -> int:
        file = io.BytesIO(b"a\n" + b"1\n" * 70_000 + b"x" * (length - 1) + b"\n")
        return max(len(row["a"]) for row in csv_rows(file, ["a"]))

    assert read(131_072) == 131_071
    with pytest.raises(CsvError, match="line 70002: a row longer"):
        read(131_073)


def test_columns_are_found_in_a_header_of_ten_thousand() -> None:
    names = [str(number) for number in range(10_000)]
    text = ",".join(names)
    (row,) = csv_rows(io.BytesIO(f"{text}\n{text}\n".encode()), names)
    assert row == dict(zip(names, names, strict=True))


def test_the_file_stays_open_and_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n1,2\n3,4\n")
    with path.open("rb") as file:
        rows = csv_rows(file, ["a"])
        next(rows)
        assert isinstance(rows, Iterator)
        rows.close()  # type: ignore[attr-defined]  # a generator, typed as what callers need
        assert not file.closed
        file.seek(0)
        assert list(csv_rows(file, ["a"])) == [{"a": "1"}, {"a": "3"}]


def test_the_demo_reads_the_good_and_refuses_the_broken(demo: Demo) -> None:
    assert demo("file_stream") == [
        "{'id': '1', 'name': 'Doe, Jane', 'note': 'two\\nlines'}",
        "{'id': '2', 'name': 'Bo', 'note': 'say \"hi\"'}",
        "refused: line 3: 1 fields, the header has 2",
        "sha256 5537c98b3325de51...",
    ]
