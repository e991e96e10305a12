"""The same with what a page lacks: zstandard, threads and the program gzip."""

import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest
import zstandard

from snippets.bulk_download.incremental_compression import (
    Codec,
    acompressed,
    compressed,
    gzip_codec,
)
from tests.scenarios.bulk_download import test_incremental_compression as with_gzip
from tests.scenarios.bulk_download.test_incremental_compression import CHUNKS, GZIP, WHOLE, Kind


def zstd_codec() -> Codec:
    return zstandard.ZstdCompressor(level=1).compressobj()


def zstd_read(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


ZSTD = Kind(zstd_codec, zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstd_read, zstd_read)


@pytest.fixture
def kind() -> Kind:
    return ZSTD


test_the_stream_is_read_back_and_its_first_block_at_once = (
    with_gzip.test_the_stream_is_read_back_and_its_first_block_at_once
)
test_nothing_compresses_to_a_whole_stream = with_gzip.test_nothing_compresses_to_a_whole_stream
test_the_same_rows_give_the_same_bytes = with_gzip.test_the_same_rows_give_the_same_bytes


@pytest.mark.parametrize("kind", [GZIP, ZSTD], ids=["gzip", "zstd"])
@pytest.mark.anyio
async def test_the_asynchronous_twin_writes_the_same_bytes(kind: Kind) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    found = [block async for block in acompressed(chunks(), kind.make(), sync=kind.sync)]
    assert found == list(compressed(CHUNKS, kind.make(), sync=kind.sync))
    assert kind.read(b"".join(found)) == WHOLE
    assert all(found[:-1])


def test_gzip_itself_agrees() -> None:
    program = shutil.which("gzip")
    assert program, "gzip is part of every platform that the suite runs on"
    data = b"".join(compressed(CHUNKS, gzip_codec(9)))
    for sent, status in ((data, 0), (data[:-5], 1)):
        done = subprocess.run([program, "-t"], input=sent, capture_output=True, check=False)
        assert done.returncode == status
