"""Streams that every decompressor reads, and whose cut end it notices."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from snippets.bulk_download.incremental_compression import (
    Codec,
    choose_coding,
    compressed,
    gzip_codec,
)
from tests.scenarios.bulk_download.conftest import Demo

CHUNKS = [b"id,note\n", *(f"{n},{n * 7919}\n".encode() * 50 for n in range(200))]
WHOLE = b"".join(CHUNKS)


class Kind(NamedTuple):
    """A codec, and how to read what it wrote: a part of it, or the whole."""

    make: Callable[[], Codec]
    sync: int
    begin: Callable[[bytes], bytes]
    read: Callable[[bytes], bytes]


GZIP = Kind(
    gzip_codec,
    zlib.Z_SYNC_FLUSH,
    lambda data: zlib.decompressobj(wbits=31).decompress(data),
    gzip.decompress,
)


@pytest.fixture
def kind() -> Kind:
    """What the tests below test; another file runs them with another kind."""
    return GZIP


def test_the_stream_is_read_back_and_its_first_block_at_once(kind: Kind) -> None:
    stream = compressed(iter(CHUNKS), kind.make(), sync=kind.sync)
    first = next(stream)
    assert kind.begin(first) == CHUNKS[0]
    rest = list(stream)
    assert kind.read(first + b"".join(rest)) == WHOLE
    assert all(rest[:-1])  # never an empty chunk: it would end a chunked body


def test_nothing_compresses_to_a_whole_stream(kind: Kind) -> None:
    assert kind.read(b"".join(compressed([], kind.make(), sync=kind.sync))) == b""


def test_the_same_rows_give_the_same_bytes(kind: Kind) -> None:
    one, two = (b"".join(compressed(CHUNKS, kind.make(), sync=kind.sync)) for _ in range(2))
    assert one == two
    assert kind.read(one) == WHOLE


def test_a_source_that_fails_leaves_no_trailer() -> None:
    def chunks() -> Iterator[bytes]:
        yield from CHUNKS[:100]
        raise ConnectionError

    sent: list[bytes] = []
    with pytest.raises(ConnectionError):
        sent.extend(iter(compressed(chunks(), gzip_codec())))
    with pytest.raises(EOFError, match="end-of-stream marker"):
        gzip.decompress(b"".join(sent))


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "gzip"),
        ("GZIP", "gzip"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("identity;q=0", None),
        ("identity;q=0, *;q=0.1", "zstd"),
        ("br", "identity"),
        ("gzip;q=nonsense", "identity"),
        ("gzip; q=0.5 , ", "gzip"),
    ],
)
def test_the_clients_weights_decide(header: str | None, coding: str | None) -> None:
    assert choose_coding(header) == coding


def test_the_demo_notices_the_cut(demo: Demo) -> None:
    lines = demo("incremental_compression")
    assert lines[0] == "the first block already says b'id,state,at\\n'"
    assert lines[1:3] == [
        "whole: 2001 lines, trailer seen: True",
        "cut: 2001 lines, trailer seen: False",
    ]
