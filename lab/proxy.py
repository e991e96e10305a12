"""A TCP proxy that breaks the network on command, between a client and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")
CHUNK = 65_536  # bytes read at once
QUEUED = 64  # chunks under way in one direction; then the sender feels back pressure


@dataclass(slots=True)
class _Faults:
    latency: float = 0.0  # seconds, each way
    bandwidth: float | None = None  # bytes per second, each way, each connection
    reset_after: int | None = None  # bytes from the server


class FaultProxy:
    """Forwards a loopback port to `upstream`, and injects faults; a context manager.

    It runs in a thread of its own, so that sync and async code can be tested through it. Each
    fault holds for open and new connections from the moment its method returns until `heal`.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        """Name the server behind the proxy.

        Args:
            upstream: its host and port.
        """
        self._upstream = upstream
        self._faults = _Faults()
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._listening: Future[int] = Future()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._listening.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def url(self, original: str) -> str:
        """The address `original` with host and port replaced by the proxy's."""
        parts = urlsplit(original)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def latency(self, seconds: float) -> None:
        """Delay every byte by `seconds` each way: a round trip takes twice that longer."""
        if seconds < 0:
            raise ValueError(f"latency must be at least 0 seconds, not {seconds}")
        self._do(lambda: setattr(self._faults, "latency", seconds))

    def bandwidth(self, bytes_per_second: float) -> None:
        """Let through at most this many bytes per second, each way, on each connection."""
        if bytes_per_second <= 0:
            raise ValueError(f"bandwidth must be above 0 bytes/s, not {bytes_per_second}")
        self._do(lambda: setattr(self._faults, "bandwidth", bytes_per_second))

    def black_hole(self) -> None:
        """Deliver nothing any more and close nothing: a partition as both ends see it.

        A new connection is accepted (by the kernel) and then silent. `heal` delivers what waited,
        as TCP's retransmission would.
        """
        self._do(self._open.clear)

    def reset_after(self, count: int) -> None:
        """Reset each connection (RST) once `count` more bytes of the server went through it."""
        if count < 0:
            raise ValueError(f"reset_after must be at least 0 bytes, not {count}")

        def change() -> None:
            self._faults.reset_after = count
            for connection in self._connections:
                connection.delivered = 0

        self._do(change)

    def cut(self) -> int:
        """Reset (RST) every open connection, as a crashed host does; returns how many.

        New connections work.
        """

        def change() -> int:
            connections = list(self._connections)
            for connection in connections:
                connection.reset()
            return len(connections)

        return self._do(change)

    def heal(self) -> None:
        """End every fault. Connections that were reset stay so."""

        def change() -> None:
            self._faults.latency = 0.0
            self._faults.bandwidth = self._faults.reset_after = None
            self._open.set()

        self._do(change)

    def _do(self, change: Callable[[], T]) -> T:
        """Run `change` in the proxy's thread and return what it returns."""

        async def run() -> T:
            return change()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await self._ended.wait()
        server.close()
        for connection in list(self._connections):
            connection.reset()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self._faults, self._open, writer)
        self._connections.add(connection)
        try:
            await self._open.wait()
            upstream_reader, upstream = await asyncio.open_connection(*self._upstream)
            connection.writers.append(upstream)
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.forward(reader, upstream, counted=False))
                group.create_task(connection.forward(upstream_reader, writer, counted=True))
        except (OSError, ExceptionGroup):  # the server refuses, or one end has reset
            connection.reset()
        finally:
            self._connections.discard(connection)
            connection.close()


class _Connection:
    """The two sockets of one client, and what goes between them."""

    def __init__(
        self, faults: _Faults, is_open: asyncio.Event, client: asyncio.StreamWriter
    ) -> None:
        self.delivered = 0  # bytes of the server that reached the client, for reset_after
        self.writers = [client]
        self._faults = faults
        self._open = is_open

    def reset(self) -> None:
        """Close both sockets with RST: lingering for zero seconds makes the kernel send it."""
        for writer in self.writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            writer.transport.abort()

    def close(self) -> None:
        """Close both sockets in order."""
        for writer in self.writers:
            writer.close()

    async def forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        """One direction: a task that reads and stamps, this one that delays and writes."""
        # A chunk with the time it is due; b"" is the end, None a reset.
        queue: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(QUEUED)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(reader, queue))
            while True:
                due, data = await queue.get()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
                await self._open.wait()
                if data is None:
                    raise ConnectionResetError
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                await self._write(writer, data, counted=counted)

    async def _read(
        self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes | None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        data: bytes | None = b"-"
        while data:
            try:
                data = await reader.read(CHUNK)
            except ConnectionError:
                data = None
            await queue.put((loop.time() + self._faults.latency, data))

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, *, counted: bool) -> None:
        rest = memoryview(data)
        while rest:
            rate = self._faults.bandwidth
            # A slow link trickles: pieces of a fiftieth of a second.
            piece = rest if rate is None else rest[: max(1, int(rate / 50))]
            if rate is not None:
                await asyncio.sleep(len(piece) / rate)
            await self._open.wait()
            limit = self._faults.reset_after if counted else None
            if limit is not None:
                piece = piece[: max(0, limit - self.delivered)]
            writer.write(piece)
            await writer.drain()
            rest = rest[len(piece) :]
            if counted:
                self.delivered += len(piece)
            if limit is not None and self.delivered >= limit:
                raise ConnectionResetError
