"""An object whole, or nothing: no part is left in the bucket."""

import asyncio
import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from lab.servers import Bucket
from snippets.bulk_download import s3_multipart_writer
from snippets.bulk_download.s3_multipart_writer import MIB, MultipartWriter, Written, abort_stale
from tests.scenarios.bulk_download.conftest import Client, Demo

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(s3: Bucket) -> Iterator[Any]:
    client = s3.client()
    yield client
    client.close()


def open_uploads(client: Client, bucket: str) -> list[str]:
    found = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [str(upload["Key"]) for upload in found]


def keys(client: Client, bucket: str) -> list[str]:
    return [str(o["Key"]) for o in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


async def test_the_object_is_what_was_written(client: Client, s3: Bucket) -> None:
    data = bytes(range(256)) * 4096 * 12  # 12 MiB
    async with MultipartWriter(
        client, s3.name, "a", part=5 * MIB, content_type="text/csv"
    ) as writer:
        for begin in range(0, len(data), 700_001):
            await writer.write(data[begin : begin + 700_001])
        assert keys(client, s3.name) == []  # nobody sees half of it
    digest = hashlib.sha256(data).hexdigest()
    found = client.get_object(Bucket=s3.name, Key="a")
    assert writer.result == Written("a", found["ETag"], len(data), digest, parts=3)
    assert hashlib.sha256(found["Body"].read()).hexdigest() == digest
    assert found["ContentType"] == "text/csv"
    assert open_uploads(client, s3.name) == []


@pytest.mark.parametrize("size", [0, 1, 5 * MIB])
async def test_short_objects_are_objects(client: Client, s3: Bucket, size: int) -> None:
    async with MultipartWriter(client, s3.name, "a", part=5 * MIB) as writer:
        await writer.write(b"x" * size)
    assert writer.result is not None
    assert (writer.result.bytes, writer.result.parts) == (size, 1)
    assert client.head_object(Bucket=s3.name, Key="a")["ContentLength"] == size


class Slow:
    """A client whose parts take until `go`, and whose `number`th part fails."""

    def __init__(self, client: Client, number: int = 0) -> None:
        self.client, self.number = client, number
        self.loop = asyncio.get_running_loop()
        self.sending, self.go = asyncio.Event(), asyncio.Event()

    def upload_part(self, **what: object) -> Client:
        if what["PartNumber"] == self.number:
            raise ConnectionError("part 2 is lost")
        self.loop.call_soon_threadsafe(self.sending.set)
        asyncio.run_coroutine_threadsafe(self.go.wait(), self.loop).result()
        return self.client.upload_part(**what)

    def __getattr__(self, name: str) -> Client:
        return getattr(self.client, name)


async def test_a_cancelled_export_waits_for_its_part_and_leaves_none(
    client: Client, s3: Bucket
) -> None:
    slow = Slow(client)

    async def export() -> None:
        async with MultipartWriter(slow, s3.name, "a", part=5 * MIB) as writer:
            while True:
                await writer.write(b"x" * 5 * MIB)

    task = asyncio.create_task(export())
    await slow.sending.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done  # aborted now, the part under way would stay
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_uploads(client, s3.name) == []
    assert keys(client, s3.name) == []


async def test_a_second_cancellation_does_not_stop_the_abort(client: Client, s3: Bucket) -> None:
    slow = Slow(client)

    async def export() -> None:
        async with MultipartWriter(slow, s3.name, "a", part=5 * MIB) as writer:
            await writer.write(b"x" * 5 * MIB)
            await asyncio.Event().wait()

    task = asyncio.create_task(export())
    await slow.sending.wait()
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.go.set()
    async with asyncio.timeout(10):
        while open_uploads(client, s3.name):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


class Late:
    """A client one of whose calls is done, and does not return until `go`."""

    def __init__(self, client: Client, call: str) -> None:
        self.client, self.call = client, call
        self.loop = asyncio.get_running_loop()
        self.done, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Client:
        real = getattr(self.client, name)
        if name != self.call:
            return real

        def late(**what: object) -> Client:
            answer = real(**what)
            self.loop.call_soon_threadsafe(self.done.set)
            asyncio.run_coroutine_threadsafe(self.go.wait(), self.loop).result()
            return answer

        return late


@pytest.mark.parametrize("call", ["create_multipart_upload", "complete_multipart_upload"])
async def test_a_call_that_wins_against_the_cancellation_is_undone(
    client: Client, s3: Bucket, call: str
) -> None:
    late = Late(client, call)
    writer = MultipartWriter(late, s3.name, "a", part=5 * MIB)

    async def export() -> None:
        async with writer:
            await writer.write(b"x" * MIB)

    task = asyncio.create_task(export())
    await late.done.wait()
    task.cancel()
    await asyncio.wait([task], timeout=0.05)
    late.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_uploads(client, s3.name) == []
    assert keys(client, s3.name) == []
    assert writer.result is None


class Failing:
    """A client whose `calls` fail, those in `done` after they were done."""

    def __init__(self, client: Client, *calls: str, done: bool = False) -> None:
        self.client, self.calls, self.done = client, calls, done

    def __getattr__(self, name: str) -> Client:
        def fails(**what: object) -> None:
            if self.done:
                getattr(self.client, name)(**what)
            raise ConnectionError(name)

        return fails if name in self.calls else getattr(self.client, name)


async def test_a_completion_whose_answer_is_lost_leaves_no_object(
    client: Client, s3: Bucket
) -> None:
    lost = Failing(client, "complete_multipart_upload", done=True)
    with pytest.raises(ConnectionError, match="complete_multipart_upload"):
        async with MultipartWriter(lost, s3.name, "a") as writer:
            await writer.write(b"x")
    assert keys(client, s3.name) == []


async def test_an_upload_that_cannot_begin_or_be_aborted_tells_the_first_reason(
    client: Client, s3: Bucket
) -> None:
    with pytest.raises(ConnectionError, match="create_multipart_upload"):
        async with MultipartWriter(Failing(client, "create_multipart_upload"), s3.name, "a"):
            raise AssertionError
    with pytest.raises(KeyError) as caught:
        async with MultipartWriter(Failing(client, "abort_multipart_upload"), s3.name, "a"):
            raise KeyError
    assert "abort_multipart_upload" in caught.value.__notes__[0]


async def test_rows_that_fail_before_the_first_part_leave_no_upload(
    client: Client, s3: Bucket
) -> None:
    with pytest.raises(KeyError):
        async with MultipartWriter(client, s3.name, "a"):
            raise KeyError
    assert open_uploads(client, s3.name) == []


async def test_a_part_that_fails_aborts_the_upload(client: Client, s3: Bucket) -> None:
    slow = Slow(client, number=2)
    slow.go.set()
    with pytest.raises(ConnectionError, match="part 2 is lost"):
        async with MultipartWriter(slow, s3.name, "a", part=5 * MIB) as writer:
            await writer.write(b"x" * 11 * MIB)
    assert open_uploads(client, s3.name) == []


async def test_bounds_are_told_before_s3_tells_them(
    client: Client, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="at least 5242880 bytes, not 1"):
        MultipartWriter(client, s3.name, "a", part=1)
    monkeypatch.setattr(s3_multipart_writer, "MOST_PARTS", 2)
    with pytest.raises(OverflowError, match="take larger parts"):
        async with MultipartWriter(client, s3.name, "a", part=5 * MIB) as writer:
            await writer.write(b"x" * 15 * MIB)
    assert open_uploads(client, s3.name) == []


async def test_what_a_killed_process_left_is_cleared_up_by_age_and_prefix(
    client: Client, s3: Bucket
) -> None:
    for key in ("exports/a", "exports/b", "other"):
        client.create_multipart_upload(Bucket=s3.name, Key=key)
    assert abort_stale(client, s3.name, "exports/", timedelta(hours=1)) == []
    assert abort_stale(client, s3.name, "exports/", timedelta()) == ["exports/a", "exports/b"]
    assert open_uploads(client, s3.name) == ["other"]


class Pipe(io.RawIOBase):
    """20 MiB in reads of at most 1 MiB, or an error after the ninth."""

    def __init__(self, fails: bool = False) -> None:
        self.left, self.fails = 20 * MIB, fails

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Client) -> int:
        if self.fails and self.left <= 11 * MIB:
            raise ConnectionError
        size = min(len(buffer), MIB, self.left)
        self.left -= size
        buffer[:size] = b"x" * size
        return size


class Counting:
    """A client that counts the requests that carry data."""

    def __init__(self, client: Client) -> None:
        self.requests: list[str] = []
        client.meta.events.register("before-call.s3", self.note)

    def note(self, model: Client, **_: object) -> None:
        self.requests.append(model.name)


def test_upload_fileobj_reads_all_of_an_unbuffered_pipe_into_one_request(
    client: Client, s3: Bucket
) -> None:
    counting = Counting(client)
    client.upload_fileobj(Pipe(), s3.name, "raw")
    assert counting.requests == ["PutObject"]  # 20 MiB of it, so 20 MiB in memory
    counting.requests.clear()
    client.upload_fileobj(io.BufferedReader(Pipe()), s3.name, "buffered")
    assert counting.requests.count("UploadPart") == 3  # of 8 MiB
    sizes = {
        client.head_object(Bucket=s3.name, Key=k)["ContentLength"] for k in ("raw", "buffered")
    }
    assert sizes == {20 * MIB}


def test_upload_fileobj_aborts_when_the_reader_fails(client: Client, s3: Bucket) -> None:
    with pytest.raises(ConnectionError):
        client.upload_fileobj(io.BufferedReader(Pipe(fails=True)), s3.name, "a")
    assert open_uploads(client, s3.name) == []


@pytest.mark.usefixtures("demo_s3")
def test_the_demo_leaves_nothing(demo: Demo) -> None:
    written, left = demo("s3_multipart_writer")
    assert "bytes=11534336" in written
    assert left == "objects: ['export.csv'], open uploads: []"


async def test_a_demo_without_its_server_says_so(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit, match="does not answer"):
        demo("s3_multipart_writer")
