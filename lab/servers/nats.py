"""NATS with JetStream, the message broker."""

from __future__ import annotations

from lab import reaper
from lab.servers import binaries
from lab.servers.base import HOST, Server, answers, start_on_free_port


def nats(*arguments: str) -> Server:
    """Start a NATS server with JetStream of your own, in a few hundredths of a second.

    Args:
        arguments: command-line settings after the defaults.

    Raises:
        ServerUnavailable: there is no NATS server, or it does not start.
    """
    program = str(binaries.nats())

    def make(port: int) -> Server:
        home = reaper.current().subfolder("nats")
        return Server(
            "nats",
            [
                *(program, "--addr", HOST, "--port", str(port)),
                *("--jetstream", "--store_dir", str(home / "data"), *arguments),
            ],
            url=f"nats://{HOST}:{port}",
            port=port,
            home=home,
            ready=lambda: answers(port, b"", b"INFO {"),
        )

    return start_on_free_port(make)
