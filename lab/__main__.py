"""`python -m lab` (`make lab`): real servers for the snippets, until ctrl-C.

Standard output gets nothing but `export` lines, to be copied or evaluated; everything else goes to
standard error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING

from lab.errors import ServerUnavailable

if TYPE_CHECKING:
    from lab.servers import Server

BUCKET = "firedrill"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exports(servers: dict[str, Server]) -> Iterator[str]:
    """The shell lines that give the snippets' demos these servers."""
    from lab.servers import S3Server

    bucket = servers["s3"]
    assert isinstance(bucket, S3Server)
    addresses = {
        "DATABASE_URL": servers["postgres"].url,
        "REDIS_URL": f"{servers['valkey'].url}/0",
        "NATS_URL": servers["nats"].url,
        **bucket.bucket(BUCKET).environment(),
    }
    return (f"export {name}={quote(value)}" for name, value in addresses.items())


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(text, file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
    raise KeyboardInterrupt


def _publish(lines: Iterator[str]) -> None:
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # `make lab | head -1` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _watch(servers: dict[str, Server]) -> None:
    nothing = threading.Event()
    while True:
        nothing.wait(1.0)
        for server in servers.values():
            if not server.alive:
                what = f"it has ended; its log ends:\n{server.log()[-1500:]}\n"
                raise ServerUnavailable(server.name, what, "start `make lab` again")


def _start() -> dict[str, Server]:
    from lab.servers import S3Server
    from lab.servers.base import GIVE_UP
    from lab.shared import START

    begun = time.monotonic()
    _say("lab: starting PostgreSQL, Valkey, NATS and S3 ...")
    enough = threading.Event()
    with ThreadPoolExecutor(len(START), initializer=GIVE_UP.set, initargs=(enough,)) as pool:
        try:
            starting = {name: pool.submit(start) for name, start in START.items()}
            servers = {name: future.result() for name, future in starting.items()}
        except BaseException:  # ctrl-C, or one that cannot be had: the others are not waited for
            enough.set()
            raise
    s3 = servers["s3"]
    assert isinstance(s3, S3Server)
    client = s3.bucket(BUCKET).client()
    client.create_bucket(Bucket=BUCKET)
    client.close()
    _say(f"lab: ready after {time.monotonic() - begun:.1f} s. Copy into another terminal:\n")
    return servers


def main() -> int:
    """Start the servers, print their addresses, wait; the exit code: 0 after a signal, else 1."""
    for number in STOPS:
        signal.signal(number, _interrupt)
    code = 0
    try:
        try:
            servers = _start()
            _publish(exports(servers))
            _say("\nlab: ctrl-C stops the servers and removes their data.")
            _watch(servers)
        finally:
            for number in STOPS:  # a second ctrl-C must not leave half of them running
                signal.signal(number, signal.SIG_IGN)
            from lab import reaper

            reaper.close()  # ends whatever was started, however far it came
    except KeyboardInterrupt:
        pass
    except ServerUnavailable as error:
        _say(str(error))
        code = 1
    _say("lab: stopped; nothing of it is left.")
    return code


if __name__ == "__main__":
    sys.exit(main())
