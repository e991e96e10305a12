# /// script
# requires-python = ">=3.11"
# dependencies = ["boto3>=1.44,<2"]
#
# [tool.firedrill]
# needs = ["s3"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Write a stream of unknown length to S3: multipart, or nothing at all.

Whoever reads from a file object in a thread needs none of this: boto3's
upload_fileobj does it, and aborts on errors. But a first read that is short,
as an unbuffered pipe's or socket's is, makes it read all the rest into memory
and send it in one request: put those into io.BufferedReader first.
This is for an asynchronous stream, which has no read().

An object appears when the upload completes; until then its parts are stored,
billed and invisible in listings. So an error or a cancellation aborts the
upload, or deletes the object when it comes too late for that: give each
object a key of its own. A killed process cannot: `abort_stale`, or on AWS a
lifecycle rule with AbortIncompleteMultipartUpload, clears up after it.

Memory: two parts, one filling and one on its way. At 8 MiB a part, 10,000
parts make 78 GiB; take larger parts for more.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

import boto3
import botocore.exceptions

MIB = 2**20
MOST_PARTS = 10_000
Client = Any  # boto3 makes its classes at run time


class Written(NamedTuple):
    """What the bucket holds now."""

    key: str
    etag: str  # of this very content, quotes included; for If-Match
    bytes: int
    sha256: str
    parts: int


# --8<-- [start:writer]
class MultipartWriter:
    """Write one object: `async with MultipartWriter(...) as writer`.

    Leaving the block completes the upload and sets `result`; leaving it by an
    exception aborts the upload. `part` is at least 5 MiB (S3's minimum for
    all parts but the last). Raises ValueError for less, OverflowError for
    more than 10,000 parts, and what boto3 raises.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        key: str,
        *,
        part: int = 8 * MIB,
        content_type: str = "binary/octet-stream",
    ) -> None:
        if part < 5 * MIB:
            raise ValueError(f"a part is at least {5 * MIB} bytes, not {part}")
        self.result: Written | None = None
        self._client = client
        self._object = {"Bucket": bucket, "Key": key}
        self._part = part
        self._type = content_type
        self._buffer = bytearray()
        self._bytes = 0
        self._hash = hashlib.sha256()
        self._parts: list[dict[str, object]] = []
        self._completing = False
        self._sending: asyncio.Task[None]  # the call under way

    async def write(self, data: bytes) -> None:
        """Add bytes; waits while the part before is still on its way."""
        self._buffer += data
        self._bytes += len(data)
        self._hash.update(data)
        while len(self._buffer) >= self._part:
            await self._send(self._part)

    async def _send(self, size: int) -> None:
        """Start to send the first `size` bytes of the buffer."""
        await self._sent()
        number = len(self._parts) + 1
        if number > MOST_PARTS:
            what = f"{MOST_PARTS} parts of {self._part} bytes are not enough"
            raise OverflowError(f"{what}: take larger parts")
        body = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._sending = asyncio.create_task(self._upload(number, body))

    async def _upload(self, number: int, body: bytes) -> None:
        answer = await asyncio.to_thread(
            self._client.upload_part,
            **self._object,
            PartNumber=number,
            Body=body,
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    async def _sent(self) -> None:
        """Wait for the part under way, and raise its error."""
        # A cancelled writer must not lose sight of the thread.
        await asyncio.shield(self._sending)

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(self._begin())
        try:
            await self._sent()
        except asyncio.CancelledError as reason:
            await self._undo(reason)
            raise
        return self

    async def _begin(self) -> None:
        answer = await asyncio.to_thread(
            self._client.create_multipart_upload,
            **self._object,
            ContentType=self._type,
        )
        self._object["UploadId"] = answer["UploadId"]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the upload, or undo it when anything went wrong."""
        if error is not None:
            return await self._undo(error)
        try:
            await self._finish()
        except BaseException as reason:
            await self._undo(reason)
            raise

    async def _finish(self) -> None:
        await self._sent()
        if self._buffer or not self._parts:  # the last part, even if empty
            await self._send(len(self._buffer))
            await self._sent()
        self._completing = True
        self._sending = asyncio.create_task(self._complete())
        await self._sent()

    async def _complete(self) -> None:
        answer = await asyncio.to_thread(
            self._client.complete_multipart_upload,
            **self._object,
            MultipartUpload={"Parts": self._parts},
        )
        self.result = Written(
            key=self._object["Key"],
            etag=str(answer["ETag"]),
            bytes=self._bytes,
            sha256=self._hash.hexdigest(),
            parts=len(self._parts),
        )

    async def _undo(self, reason: BaseException) -> None:
        # Shielded: a second cancellation must not leave anything behind.
        await asyncio.shield(asyncio.create_task(self._remove(reason)))

    async def _remove(self, reason: BaseException) -> None:
        """Leave nothing in the bucket; an error of this is a note of it."""
        # What is under way in a thread would come after the abort: wait.
        await asyncio.wait([self._sending])
        done, self.result = self.result, None
        upload = self._object.pop("UploadId", None)
        try:
            if self._completing:  # the object may be there, told or not
                await asyncio.to_thread(
                    self._client.delete_object, **self._object
                )
            if upload and not done:
                await asyncio.to_thread(
                    self._client.abort_multipart_upload,
                    **self._object,
                    UploadId=upload,
                )
        except Exception as error:  # noqa: BLE001 - the reason counts
            reason.add_note(f"the upload {upload} may be left: {error!r}")


# --8<-- [end:writer]


# --8<-- [start:abort_stale]
def abort_stale(
    client: Client, bucket: str, prefix: str, age: timedelta
) -> list[str]:
    """Abort uploads under `prefix` begun at least `age` ago; return keys.

    `age` must be longer than the longest export, or this ends a living one.
    """
    stale = []
    before = datetime.now(UTC) - age
    pages = client.get_paginator("list_multipart_uploads")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] <= before:
                client.abort_multipart_upload(
                    Bucket=bucket,
                    Key=upload["Key"],
                    UploadId=upload["UploadId"],
                )
                stale.append(str(upload["Key"]))
    return stale


# --8<-- [end:abort_stale]


# --8<-- [start:demo]
async def demo(client: Client, bucket: str) -> None:
    """Write 11 MiB, fail half way through another, and look what is left."""
    async with MultipartWriter(client, bucket, "export.csv") as writer:
        for _ in range(11):
            await writer.write(b"x" * MIB)
    print(writer.result)
    with contextlib.suppress(asyncio.CancelledError):
        async with MultipartWriter(client, bucket, "broken.csv") as writer:
            for _ in range(11):
                await writer.write(b"x" * MIB)
            raise asyncio.CancelledError  # the server is being stopped
    found = client.list_objects_v2(Bucket=bucket)["Contents"]
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    print(f"objects: {[one['Key'] for one in found]}, open uploads: {uploads}")


def main() -> None:
    """Run the demo in a bucket of its own."""
    url = os.environ.get("S3_ENDPOINT_URL") or sys.exit(
        "Set S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
        "AWS_REGION, those of a server of yours. "
        "In the Firedrill repository: make lab"
    )
    client = boto3.client("s3", endpoint_url=url)
    bucket = f"firedrill-{uuid.uuid4()}"
    try:
        client.create_bucket(Bucket=bucket)
    except botocore.exceptions.BotoCoreError as error:
        sys.exit(f"{url} does not answer ({error}): make lab")
    try:
        asyncio.run(demo(client, bucket))
    finally:
        client.delete_object(Bucket=bucket, Key="export.csv")
        client.delete_bucket(Bucket=bucket)
        client.close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
