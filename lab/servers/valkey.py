"""Valkey, which speaks the Redis protocol."""

from __future__ import annotations

from lab import reaper
from lab.servers import binaries
from lab.servers.base import HOST, Server, answers, start_on_free_port

DATABASES = 256  # one per test at a time, so that parallel workers never meet


def valkey(*arguments: str) -> Server:
    """Start a Valkey server of your own, in a few hundredths of a second; it keeps nothing on disk.

    Args:
        arguments: command-line settings over the defaults, such as `"--maxmemory", "10mb"`.

    Raises:
        ServerUnavailable: there is no Valkey, or it does not start.
    """
    program = str(binaries.valkey())

    def make(port: int) -> Server:
        return Server(
            "valkey",
            [
                *(program, "--port", str(port), "--bind", HOST, "--databases", str(DATABASES)),
                *("--save", "", "--appendonly", "no", *arguments),
            ],
            url=f"redis://{HOST}:{port}",
            port=port,
            home=reaper.current().subfolder("valkey"),
            ready=lambda: answers(port, b"PING\r\n", b"+PONG"),
        )

    return start_on_free_port(make)
