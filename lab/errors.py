"""What the laboratory raises when it cannot do its work."""

from __future__ import annotations


class ServerUnavailable(RuntimeError):
    """A real server cannot be had, or does not answer.

    The text is one message a reader can act on: `<server>: <what is wrong>. Mend: <what to do>.`
    """

    def __init__(self, server: str, what: str, mend: str) -> None:
        super().__init__(f"{server}: {what.rstrip('.')}. Mend: {mend.rstrip('.')}.")
        self.server = server
        self.what = what
        self.mend = mend

    def __reduce__(self) -> tuple[type[ServerUnavailable], tuple[str, str, str]]:
        """Keep the three parts when the error travels between two processes of one test run."""
        return type(self), (self.server, self.what, self.mend)


class PortInUse(ServerUnavailable):
    """The loopback port that a server was to listen on belongs to another program."""
