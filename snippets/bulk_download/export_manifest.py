# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Know that a CSV export is whole: rows, bytes and SHA-256, checked at the end.

A file in an object store gets a manifest beside it. A streamed answer has no
length in advance, so its last line can carry the same: `with_trailer`, for
clients that ask for it and take it off again with `without_trailer`. Chunked
framing tells an HTTP client about a broken connection, and nothing about a
server that swallowed an exception, a proxy that hid it (one that speaks
HTTP/1.0 to the service always does), or a file saved half.

Source: RFC 9112 section 8 (incomplete messages), FIPS 180-4 (SHA-256)
"""

import hashlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from dataclasses import asdict, dataclass


class TruncatedError(ValueError):
    """The export is not the one that its manifest describes."""


# --8<-- [start:manifest]
@dataclass(frozen=True, slots=True)
class Manifest:
    """What a whole export is: data rows without the header, bytes, SHA-256."""

    rows: int
    bytes: int
    sha256: str  # 64 hexadecimal digits

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read what to_json wrote; raises ValueError for anything else."""
        try:
            found = cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"no manifest: {error}") from None
        for number in (found.rows, found.bytes):
            if type(number) is not int or number < 0:
                raise ValueError(f"no manifest: {number!r} is no count")
        if not re.fullmatch("[0-9a-f]{64}", str(found.sha256)):
            raise ValueError(f"no manifest: {found.sha256!r} is no SHA-256")
        return found


class Meter:
    """Counts a CSV stream while it passes. Memory: constant."""

    def __init__(self) -> None:
        self._lines = 0
        self._bytes = 0
        self._quoted = False
        self._last = b"\n"
        self._hash = hashlib.sha256()

    def feed(self, chunk: bytes) -> bytes:
        """Count a chunk, cut anywhere, and return it."""
        self._bytes += len(chunk)
        self._hash.update(chunk)
        # A line ends at a line feed outside quotes; "" switches twice.
        for number, part in enumerate(chunk.split(b'"')):
            self._quoted ^= number > 0
            self._lines += 0 if self._quoted else part.count(b"\n")
        self._last = chunk[-1:] or self._last
        return chunk

    def manifest(self) -> Manifest:
        """Return what passed; raises TruncatedError inside a row."""
        if self._quoted or self._last != b"\n":
            raise TruncatedError(f"ends inside row {self._lines}")
        digest = self._hash.hexdigest()
        return Manifest(max(0, self._lines - 1), self._bytes, digest)


# --8<-- [end:manifest]


# --8<-- [start:verify]
def verify(chunks: Iterable[bytes], expected: Manifest) -> Manifest:
    """Read a whole export; raises TruncatedError unless it is `expected`."""
    meter = Meter()
    for chunk in chunks:
        meter.feed(chunk)
    found = meter.manifest()
    if found != expected:
        raise TruncatedError(
            f"{found.rows} of {expected.rows} rows, {found.bytes} of"
            f" {expected.bytes} bytes, SHA-256 {found.sha256[:8]}..."
        )
    return found


# --8<-- [end:verify]


# --8<-- [start:trailer]
_SIZE = len(f"#end,{0:020d},{'':64}\n")  # one size, so it is found unparsed


def trailer(manifest: Manifest) -> bytes:
    """Return the last line of a stream, after the rows it describes."""
    return f"#end,{manifest.rows:020d},{manifest.sha256}\n".encode()


def with_trailer(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks, and at last a line that says how many rows came.

    When `chunks` raises, so does this, and the line is missing.
    """
    meter = Meter()
    for chunk in chunks:
        yield meter.feed(chunk)
    yield trailer(meter.manifest())


async def awith_trailer(
    chunks: AsyncIterable[bytes],
) -> AsyncGenerator[bytes, None]:
    """Do the same for asyncio."""
    meter = Meter()
    async for chunk in chunks:
        yield meter.feed(chunk)
    yield trailer(meter.manifest())


def without_trailer(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows alone; raises TruncatedError at an end that is none.

    Until this has ended without an exception, the rows are not to be booked.
    """
    meter, held = Meter(), b""
    for chunk in chunks:
        held += chunk
        if ready := held[:-_SIZE]:
            held = held[-_SIZE:]
            yield meter.feed(ready)
    if not held.startswith(b"#end,"):
        raise TruncatedError("no last line that says how much there is")
    if held != trailer(meter.manifest()):
        raise TruncatedError(f"other rows than the trailer says: {held!r}")


# --8<-- [end:trailer]


# --8<-- [start:demo]
def main() -> None:
    """Send 1,000 rows whole, cut, and cut exactly at the end of a row."""
    rows = [f'{n},"two\nlines"\n'.encode() for n in range(1000)]
    stream = list(with_trailer([b"id,note\n", *rows]))
    for name, sent in (
        ("whole", stream),
        ("cut", [*stream[:500], stream[500][:7]]),
        ("cut at a row's end", stream[:500]),
    ):
        try:
            size = sum(len(chunk) for chunk in without_trailer(sent))
            print(f"{name}: {size} bytes, complete")
        except TruncatedError as error:
            print(f"{name}: TruncatedError: {error}")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
