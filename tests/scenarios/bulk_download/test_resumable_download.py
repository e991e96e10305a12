"""Whole or not at all, over a line that breaks, and never two files in one."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from lab.proxy import FaultProxy
from lab.servers import Bucket
from snippets.bulk_download.resumable_download import DownloadError, Expected, download
from tests.scenarios.bulk_download.conftest import Client, Demo

OLD, NEW = bytes(range(256)) * 8_000, bytes(reversed(range(256))) * 8_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(s3: Bucket) -> Iterator[Any]:
    client = s3.client()
    yield client
    client.close()


@pytest.fixture
def line(s3: Bucket) -> Iterator[FaultProxy]:
    """A bad line to the object store."""
    address = urlsplit(s3.endpoint_url)
    assert address.hostname
    assert address.port
    with FaultProxy((address.hostname, address.port)) as proxy:
        yield proxy


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client() as client:
        yield client


def no_pause(_: float) -> None:
    """Do not wait."""


def put(store: Client, bucket: Bucket, data: bytes) -> Expected:
    etag = store.put_object(Bucket=bucket.name, Key="a", Body=data)["ETag"]
    return Expected(etag, sha256(data))


def address(s3: Bucket, line: FaultProxy) -> str:
    """Sign for the proxy's address: a signature covers the host."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=line.url(s3.endpoint_url),
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )
    url = client.generate_presigned_url("get_object", Params={"Bucket": s3.name, "Key": "a"})
    client.close()
    return str(url)


def test_a_line_that_breaks_again_and_again_gives_the_file(
    store: Client, s3: Bucket, line: FaultProxy, http: httpx2.Client, tmp_path: Path
) -> None:
    expected = put(store, s3, OLD)
    line.reset_after(600_000)
    path = tmp_path / "a.csv"
    # A reset may take bytes along that had arrived: at least four requests, often more.
    requests = download(http, address(s3, line), path, expected, attempts=200, pause=no_pause)
    assert path.read_bytes() == OLD
    assert requests >= 4
    assert list(tmp_path.iterdir()) == [path]


def test_too_few_requests_keep_what_has_arrived_for_the_next_call(
    store: Client, s3: Bucket, line: FaultProxy, http: httpx2.Client, tmp_path: Path
) -> None:
    expected = put(store, s3, OLD)
    path = tmp_path / "a.csv"
    part = tmp_path / "a.csv.part"
    part.write_bytes(OLD[:1000])
    url = address(s3, line)
    line.reset_after(600_000)
    with pytest.raises(DownloadError, match=r"2 requests were not enough: a\.csv$") as caught:
        download(http, url, path, expected, attempts=2, pause=no_pause)
    assert isinstance(caught.value.__cause__, httpx2.TransportError)
    assert not path.exists()
    assert 1000 <= part.stat().st_size < len(OLD)
    assert OLD.startswith(part.read_bytes())
    line.heal()
    assert download(http, url, path, expected) == 1
    assert path.read_bytes() == OLD


def test_a_file_that_was_replaced_is_never_appended(
    store: Client, s3: Bucket, line: FaultProxy, http: httpx2.Client, tmp_path: Path
) -> None:
    expected = put(store, s3, OLD)
    path = tmp_path / "a.csv"
    part = tmp_path / "a.csv.part"
    part.write_bytes(OLD[:1000])
    put(store, s3, NEW)
    with pytest.raises(DownloadError, match="was replaced"):
        download(http, address(s3, line), path, expected)
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_not_the_files_are_thrown_away(
    store: Client, s3: Bucket, line: FaultProxy, http: httpx2.Client, tmp_path: Path
) -> None:
    expected = put(store, s3, OLD)
    part = tmp_path / "a.csv.part"
    part.write_bytes(b"not" + OLD[3:1000])  # somebody else's rest
    with pytest.raises(DownloadError, match="SHA-256 is"):
        download(http, address(s3, line), tmp_path / "a.csv", expected)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_whole_already_is_only_checked(
    store: Client, s3: Bucket, line: FaultProxy, http: httpx2.Client, tmp_path: Path
) -> None:
    expected = put(store, s3, OLD)
    (tmp_path / "a.csv.part").write_bytes(OLD)
    assert download(http, address(s3, line), tmp_path / "a.csv", expected) == 1
    assert (tmp_path / "a.csv").read_bytes() == OLD


def test_a_refusal_is_told(
    s3: Bucket, line: FaultProxy, http: httpx2.Client, tmp_path: Path
) -> None:
    with pytest.raises(httpx2.HTTPStatusError, match="404"):
        download(http, address(s3, line), tmp_path / "a.csv", Expected('"x"', ""))


def test_a_server_that_knows_no_range_sends_all_of_it_again(tmp_path: Path) -> None:
    def whole(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["range"] == "bytes=5-"
        return httpx2.Response(200, stream=httpx2.ByteStream(OLD))

    (tmp_path / "a.csv.part").write_bytes(b"stale")
    with httpx2.Client(transport=httpx2.MockTransport(whole)) as client:
        download(client, "http://a.example/", tmp_path / "a.csv", Expected('"x"', sha256(OLD)))
    assert (tmp_path / "a.csv").read_bytes() == OLD


def test_the_services_own_address_is_asked_each_time_and_the_store_gets_no_credentials(
    tmp_path: Path,
) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        if request.url.host == "service.example":
            assert request.headers["authorization"] == "Bearer x"
            if len(asked) == 1:
                return httpx2.Response(503)
            where = f"http://store.example/a?signature={len(asked)}"
            return httpx2.Response(303, headers={"location": where})
        assert "authorization" not in request.headers
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["if-match"] == '"x"'
        return httpx2.Response(200, stream=httpx2.ByteStream(OLD))

    pauses: list[float] = []
    headers = {"authorization": "Bearer x"}
    expected = Expected('"x"', sha256(OLD))
    with httpx2.Client(transport=httpx2.MockTransport(answer), headers=headers) as client:
        path = tmp_path / "a.csv"
        url = "http://service.example/exports/1/file"
        assert download(client, url, path, expected, pause=pauses.append) == 2
    assert asked == ["service.example", "service.example", "store.example"]
    assert len(pauses) == 1
    assert path.read_bytes() == OLD


def test_pauses_grow_to_half_a_minute_and_a_wrong_request_is_made_once(tmp_path: Path) -> None:
    pauses: list[float] = []
    busy = httpx2.MockTransport(lambda _: httpx2.Response(503))
    path, wanted = tmp_path / "a.csv", Expected('"x"', "")
    with httpx2.Client(transport=busy) as client, pytest.raises(DownloadError) as caught:
        download(client, "http://a.example/", path, wanted, attempts=12, pause=pauses.append)
    assert isinstance(caught.value.__cause__, httpx2.HTTPStatusError)
    assert len(pauses) == 11
    assert all(0 <= pause <= min(30, 2**n) for n, pause in enumerate(pauses, 1))
    with httpx2.Client() as client, pytest.raises(httpx2.UnsupportedProtocol):
        download(client, "htp://a.example/", path, wanted, pause=pauses.append)
    assert len(pauses) == 11


def test_the_demo_goes_on_where_it_broke(demo: Demo) -> None:
    lines = demo("resumable_download")
    assert [line.split()[0] for line in lines[:3]] == ["bytes=0-", "bytes=40000-", "bytes=80000-"]
    assert lines[3] == "102400 bytes in 3 requests"
