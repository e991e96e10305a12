# /// script
# requires-python = ">=3.11"
# dependencies = ["httpx2>=2.16,<3"]
#
# [tool.firedrill]
# needs = []
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Download a large file over a bad line: go on where it broke, then prove it.

The service tells ETag and SHA-256 of the finished file. Each request carries
If-Match with that ETag, so bytes of another file are never appended: 412
instead. If-Range would do it in one header, but not every store knows it, and
one that does not sends the other file's bytes with 206.

Ask the service's own address each time, not the presigned one it redirects
to: that one expires. `client` may hold Authorization, which httpx2 does not
take along to the store; a key in another header it does. Only an object can
be resumed, never a running query.

Source: RFC 9110 sections 13.1.1 (If-Match) and 14 (Range)
"""

import hashlib
import http.server
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2


@dataclass(frozen=True, slots=True)
class Expected:
    """What the service says about the finished file."""

    etag: str  # with its quotes
    sha256: str


class DownloadError(RuntimeError):
    """The file is not there whole; what has arrived is kept for later."""


# --8<-- [start:download]
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # ask again


def download(  # noqa: PLR0913 - each has its own meaning
    client: httpx2.Client,
    url: str,
    path: Path,
    expected: Expected,
    *,
    attempts: int = 5,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Save `url` as `path`, whole or not at all; return the requests made.

    What has arrived stays in `path`.part, also for the next call. Raises
    DownloadError when `attempts` requests were not enough, caused by the last
    failure, when the file is another one by now, and when its bytes are not
    the expected ones; httpx2.HTTPStatusError for a refusal that stays one.
    Between requests it pauses, longer each time, 30 seconds at most.
    """
    part = path.with_name(path.name + ".part")
    requests = 0
    while True:
        requests += 1
        try:
            _fetch(client, url, part, expected.etag)
            break
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError):
            raise  # the request is wrong, not the line
        except (httpx2.TransportError, httpx2.HTTPStatusError) as error:
            if isinstance(error, httpx2.HTTPStatusError) and (
                error.response.status_code not in PASSING
            ):
                raise
            if requests >= attempts:
                what = f"{requests} requests were not enough: {path.name}"
                raise DownloadError(what) from error
        # What has arrived before the error is in the file.
        pause(min(30.0, 2.0**requests) * random.random())
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.sha256:
        part.unlink()  # nothing of it can be trusted
        raise DownloadError(f"SHA-256 is {found}, not {expected.sha256}")
    part.replace(path)  # nobody ever sees half a file under this name
    return requests


def _fetch(client: httpx2.Client, url: str, part: Path, etag: str) -> None:
    """Ask for the rest and append it; returns when that was all."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"If-Match": etag, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream(
        "GET", url, headers=headers, follow_redirects=True
    ) as answer:
        if answer.status_code == 412:
            part.unlink(missing_ok=True)
            raise DownloadError("the file was replaced: ask for its new ETag")
        if answer.status_code == 416:  # there is no rest: we had it all
            return
        answer.raise_for_status()
        # 200 is the whole file: the server does not know Range.
        with part.open("ab" if answer.status_code == 206 else "wb") as file:
            for block in answer.iter_raw():
                file.write(block)


# --8<-- [end:download]


# --8<-- [start:demo]
class _Shaky(http.server.BaseHTTPRequestHandler):
    """Breaks the connection after 40 kB, again and again."""

    body = bytes(range(256)) * 400
    etag = '"v1"'
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "bytes=0-")
        begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        rest = self.body[begin:]
        print(f"  {wanted} -> {min(len(rest), 40_000)} of {len(rest)} bytes")
        self.send_response(206 if begin else 200)
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[:40_000])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def main() -> None:
    """Download 102,400 bytes from a server that gives up after 40,000."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Shaky)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder, httpx2.Client() as client:
            url = f"http://127.0.0.1:{server.server_port}/export"
            digest = hashlib.sha256(_Shaky.body).hexdigest()
            path = Path(folder, "export.csv.zst")
            expected = Expected(_Shaky.etag, digest)
            requests = download(
                client, url, path, expected, pause=lambda _: None
            )
            print(f"{path.stat().st_size} bytes in {requests} requests")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
