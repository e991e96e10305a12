# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Compress a stream block by block: first byte at once, flat memory.

A codec is anything with zlib's compress() and flush(): `gzip_codec()` below,
`zstandard.ZstdCompressor(level=1).compressobj()`. Prefer zstd for machines:
as quick as the database delivers, and smaller than gzip's quick level. Take
gzip where the reader is unknown, at level 1: higher ones make the compressor
the bottleneck of the whole export.

The same rows give the same bytes: no time stands in the header.

Do not compress a body that holds a secret beside text an attacker can choose
(BREACH), nor what is compressed already (Parquet, images).

Source: https://docs.python.org/3/library/zlib.html, RFC 1952, RFC 8878, RFC
9110 section 12.5.3 (Accept-Encoding)
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Protocol


# --8<-- [start:codec]
class Codec(Protocol):
    """An incremental compressor."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a block; return what is ready, often nothing."""

    def flush(self, mode: int = ..., /) -> bytes:
        """Return what is held back; without `mode`, end the stream."""


def gzip_codec(level: int = 1) -> Codec:
    """Return a codec for gzip (RFC 1952), level 1 (quick) to 9 (small)."""
    return zlib.compressobj(level, wbits=31)  # 16 + 15: a gzip header


# --8<-- [end:codec]


# --8<-- [start:compressed]
def compressed(
    chunks: Iterable[bytes],
    codec: Codec,
    *,
    sync: int = zlib.Z_SYNC_FLUSH,  # zstandard.COMPRESSOBJ_FLUSH_BLOCK
) -> Iterator[bytes]:
    """Yield the compressed stream; memory is the codec's window.

    The first block is flushed, so that the reader sees a header line while
    the database still works. When `chunks` raises, the stream ends without
    its trailer: a decompressor notices.
    """
    first = True
    for chunk in chunks:
        data = codec.compress(chunk)
        if first:
            data += codec.flush(sync)
            first = False
        if data:
            yield data
    yield codec.flush()


# --8<-- [end:compressed]


# --8<-- [start:acompressed]
async def acompressed(
    chunks: AsyncIterable[bytes],
    codec: Codec,
    *,
    sync: int = zlib.Z_SYNC_FLUSH,
) -> AsyncGenerator[bytes, None]:
    """Do the same for asyncio, each block in a thread.

    A block of 100 kB takes milliseconds, in which no other request would be
    served; zlib and zstandard release the GIL meanwhile.
    """
    first = True
    async for chunk in chunks:
        data = await asyncio.to_thread(codec.compress, chunk)
        if first:
            data += codec.flush(sync)
            first = False
        if data:
            yield data
    yield codec.flush()


# --8<-- [end:acompressed]


# --8<-- [start:choose_coding]
def choose_coding(accept: str | None) -> str | None:
    """Return "zstd", "gzip" or "identity" for an Accept-Encoding header.

    The client's weights decide, and our order among equals. None means that
    it refuses all three: answer 406. A weight that is no number counts as 0.
    """
    if accept is None:
        return "identity"
    weights: dict[str, float] = {}
    for part in accept.split(","):
        name, _, parameter = part.partition(";")
        text = parameter.strip().lower().removeprefix("q=")
        try:
            weight = float(text) if parameter else 1.0
        except ValueError:
            weight = 0.0
        weights[name.strip().lower()] = weight
    rest = weights.get("*", 0.0)
    best, most = None, 0.0
    for coding in ("zstd", "gzip"):
        if (weight := weights.get(coding, rest)) > most:
            best, most = coding, weight
    # Not compressing is always acceptable, unless it is refused.
    if best is None and weights.get("identity", weights.get("*", 1.0)) > 0:
        return "identity"
    return best


# --8<-- [end:choose_coding]


# --8<-- [start:demo]
def main() -> None:
    """Compress 2,000 rows, then cut the stream short by hand."""
    line = b"4711,paid,2026-11-22T02:10:00+00:00\n"
    stream = list(compressed([b"id,state,at\n", line * 2000], gzip_codec()))
    begin = zlib.decompressobj(wbits=31).decompress(stream[0])
    print(f"the first block already says {begin!r}")
    whole = b"".join(stream)
    for name, data in (("whole", whole), ("cut", whole[:-6])):
        reader = zlib.decompressobj(wbits=31)
        rows = reader.decompress(data).count(b"\n")
        print(f"{name}: {rows} lines, trailer seen: {reader.eof}")
    for header in ("zstd, gzip", "gzip, zstd;q=0.1", "br", "identity;q=0"):
        print(f"Accept-Encoding: {header} -> {choose_coding(header)}")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
