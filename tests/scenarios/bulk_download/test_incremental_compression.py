"""Streams that every decompressor reads, and whose cut end it notices."""

import gzip
import shutil
import subprocess
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import zstandard

from snippets.bulk_download.incremental_compression import (
    Codec,
    acompressed,
    choose_coding,
    compressed,
    gzip_codec,
)
from tests.scenarios.bulk_download.conftest import Demo

CHUNKS = [b"id,note\n", *(f"{n},{n * 7919}\n".encode() * 50 for n in range(200))]
WHOLE = b"".join(CHUNKS)
BLOCK = zstandard.COMPRESSOBJ_FLUSH_BLOCK


def zstd_codec() -> Codec:
    return zstandard.ZstdCompressor(level=1).compressobj()


def zstd_read(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


CODECS = [(gzip_codec, zlib.Z_SYNC_FLUSH, gzip.decompress), (zstd_codec, BLOCK, zstd_read)]
each = pytest.mark.parametrize(("make", "sync", "read"), CODECS, ids=["gzip", "zstd"])
Make = Callable[[], Codec]
Read = Callable[[bytes], bytes]


@each
def test_the_stream_is_read_back_and_its_first_block_at_once(
    make: Make, sync: int, read: Read
) -> None:
    stream = compressed(iter(CHUNKS), make(), sync=sync)
    first = next(stream)
    if make is zstd_codec:
        assert zstandard.ZstdDecompressor().decompressobj().decompress(first) == CHUNKS[0]
    else:
        assert zlib.decompressobj(wbits=31).decompress(first) == CHUNKS[0]
    rest = list(stream)
    assert read(first + b"".join(rest)) == WHOLE
    assert all(rest[:-1])  # never an empty chunk: it would end a chunked body


@each
@pytest.mark.anyio
async def test_the_asynchronous_twin_writes_the_same_bytes(
    make: Make, sync: int, read: Read
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    found = [block async for block in acompressed(chunks(), make(), sync=sync)]
    assert found == list(compressed(CHUNKS, make(), sync=sync))
    assert read(b"".join(found)) == WHOLE
    assert all(found[:-1])


@each
def test_nothing_compresses_to_a_whole_stream(make: Make, sync: int, read: Read) -> None:
    assert read(b"".join(compressed([], make(), sync=sync))) == b""


@each
def test_the_same_rows_give_the_same_bytes(make: Make, sync: int, read: Read) -> None:
    one, two = (b"".join(compressed(CHUNKS, make(), sync=sync)) for _ in range(2))
    assert one == two
    assert read(one) == WHOLE


def test_a_source_that_fails_leaves_no_trailer() -> None:
    def chunks() -> Iterator[bytes]:
        yield from CHUNKS[:100]
        raise ConnectionError

    sent: list[bytes] = []
    with pytest.raises(ConnectionError):
        sent.extend(iter(compressed(chunks(), gzip_codec())))
    with pytest.raises(EOFError, match="end-of-stream marker"):
        gzip.decompress(b"".join(sent))


def test_gzip_itself_agrees() -> None:
    program = shutil.which("gzip")
    assert program, "gzip is part of every platform that the suite runs on"
    data = b"".join(compressed(CHUNKS, gzip_codec(9)))
    for sent, status in ((data, 0), (data[:-5], 1)):
        done = subprocess.run([program, "-t"], input=sent, capture_output=True, check=False)
        assert done.returncode == status


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
