"""A whole export is recognised, and nothing else is taken for one."""

import csv
import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snippets.bulk_download.csv_stream import csv_chunks
from snippets.bulk_download.export_manifest import (
    Manifest,
    Meter,
    TruncatedError,
    trailer,
    verify,
    with_trailer,
    without_trailer,
)
from tests.scenarios.bulk_download.conftest import Demo

ROWS = [(n, f'note "{n}"\nof two lines') for n in range(200)]
CHUNKS = list(csv_chunks(ROWS, ["id", "note"], size=500))
WHOLE = b"".join(CHUNKS)


def metered(chunks: list[bytes]) -> Manifest:
    meter = Meter()
    for chunk in chunks:
        assert meter.feed(chunk) is chunk
    return meter.manifest()


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut anywhere, as a network does."""
    begin = 0
    for size in sizes:
        yield data[begin : begin + size]
        begin += size
    yield data[begin:]


sizes = st.lists(st.integers(0, 700), max_size=20)
texts = st.text("ab,\"\r\n';", max_size=8)


@settings(max_examples=60)
@given(st.lists(st.tuples(texts, texts), max_size=8), sizes)
def test_rows_are_counted_as_a_reader_counts_them(
    rows: list[tuple[str, str]], sizes: list[int]
) -> None:
    data = b"".join(csv_chunks(rows, ["a", "b"]))
    read = list(csv.reader(io.StringIO(data.decode(), newline="")))
    found = metered(list(cut(data, sizes)))
    assert (found.rows, found.bytes) == (len(rows), len(data))
    assert len(read) == len(rows) + 1


@settings(max_examples=60)
@given(sizes, sizes)
def test_a_trailer_comes_off_wherever_the_stream_is_cut(sent: list[int], got: list[int]) -> None:
    stream = b"".join(with_trailer(cut(WHOLE, sent)))
    assert b"".join(without_trailer(cut(stream, got))) == WHOLE


@settings(max_examples=60)
@given(st.integers(1, 400))
def test_no_cut_stream_is_taken_for_a_whole_one(missing: int) -> None:
    stream = b"".join(with_trailer(CHUNKS))
    with pytest.raises(TruncatedError):
        list(without_trailer([stream[:-missing]]))


def test_a_row_that_is_missing_in_the_middle_is_noticed() -> None:
    rows = WHOLE.split(b"\r\n")
    stream = b"\r\n".join([*rows[:7], *rows[8:]]) + trailer(metered(CHUNKS))
    with pytest.raises(TruncatedError, match="other rows than the trailer says"):
        list(without_trailer([stream]))


def test_a_byte_that_is_another_is_noticed_though_the_rows_fit() -> None:
    stream = b"".join(with_trailer(CHUNKS)).replace(b"note", b"nose", 1)
    with pytest.raises(TruncatedError, match="other rows than the trailer says"):
        list(without_trailer([stream]))


def test_a_cell_that_looks_like_a_trailer_is_a_cell() -> None:
    forged = trailer(metered(CHUNKS)).decode()
    data = b"".join(csv_chunks([(1, forged)], ["id", "note"]))
    assert b"".join(without_trailer([*with_trailer([data])])) == data
    end = data.index(b"#end") + len(forged)
    with pytest.raises(TruncatedError, match="ends inside row 1"):
        list(without_trailer([data[:end]]))  # cut right after it


def test_an_error_of_the_rows_leaves_no_trailer() -> None:
    def rows() -> Iterator[bytes]:
        yield CHUNKS[0]
        raise ConnectionError

    sent: list[bytes] = []
    with pytest.raises(ConnectionError):
        sent.extend(iter(with_trailer(rows())))
    with pytest.raises(TruncatedError, match="no last line"):
        list(without_trailer(sent))


def test_verify_tells_what_is_missing() -> None:
    expected = metered(CHUNKS)
    assert verify(CHUNKS, expected) == expected
    with pytest.raises(TruncatedError, match="ends inside row"):
        verify([WHOLE[:-1]], expected)
    short = b"".join(csv_chunks(ROWS[:-1], ["id", "note"]))
    with pytest.raises(TruncatedError, match="199 of 200 rows"):
        verify([short], expected)
    with pytest.raises(TruncatedError, match="200 of 200 rows"):
        verify([WHOLE.replace(b"note", b"NOTE", 1)], expected)


def test_an_export_without_rows_has_a_manifest() -> None:
    assert metered([b"id\r\n"]).rows == 0
    assert metered([]).rows == 0
    for cut_off in (b"id", b'id\n1,"two\n'):  # in the header, at a line end inside quotes
        with pytest.raises(TruncatedError, match="ends inside row"):
            metered([cut_off])


def test_a_manifest_survives_json_and_nonsense_does_not() -> None:
    manifest = metered(CHUNKS)
    assert Manifest.from_json(manifest.to_json()) == manifest
    good = json.loads(manifest.to_json())
    for bad in ({"rows": -1}, {"rows": True}, {"bytes": "7"}, {"sha256": "0"}, {"more": 1}):
        with pytest.raises(ValueError, match="no manifest"):
            Manifest.from_json(json.dumps(good | bad))


def test_the_demo_tells_whole_from_cut(demo: Demo) -> None:
    whole, *rest = demo("export_manifest")
    assert whole.endswith("complete")
    assert ["TruncatedError" in line for line in rest] == [True, True]
