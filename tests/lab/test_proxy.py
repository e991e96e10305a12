"""The proxy breaks the network as told, and only so."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from lab.proxy import FaultProxy

Address = tuple[str, int]


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.request.sendall(data)


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that resets is the point of these tests."""


@pytest.fixture
def echo() -> Iterator[Address]:
    """A server that sends back what it gets."""
    with _Threads(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        host, port = server.server_address[:2]
        yield str(host), int(port)
        server.shutdown()


def connect(proxy: FaultProxy, timeout: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout)


def receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def first_byte(proxy: FaultProxy) -> bytes:
    with connect(proxy) as connection:
        return connection.recv(1)


def ask(connection: socket.socket, data: bytes = b"x") -> float:
    """Seconds until the echo of `data` is back."""
    begun = time.perf_counter()
    connection.sendall(data)
    assert receive(connection, len(data)) == data
    return time.perf_counter() - begun


def test_without_a_fault_every_byte_passes(echo: Address) -> None:
    data = bytes(range(256)) * 8192
    with FaultProxy(echo) as proxy, connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert receive(connection, len(data)) == data
        sender.join()


def test_the_end_of_one_direction_is_passed_on_and_the_other_stays_open(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 100) == b"last words"


def test_latency_delays_each_way_until_healed(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy) as connection:
        proxy.latency(0.1)
        delayed = min(ask(connection) for _ in range(2))
        proxy.heal()
        healed = min(ask(connection) for _ in range(5))
    assert delayed >= 0.2
    assert healed < delayed / 2


def test_latency_does_not_add_up_over_chunks_under_way(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy) as connection:
        proxy.latency(0.1)
        begun = time.perf_counter()
        for _ in range(20):
            connection.sendall(b"x")
            threading.Event().wait(0.005)
        receive(connection, 20)
        assert time.perf_counter() - begun < 20 * 0.2 / 2


def test_bandwidth_takes_its_time_for_each_byte(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy) as connection:
        proxy.bandwidth(100_000)
        slow = ask(connection, bytes(20_000))
        proxy.heal()
        whole = ask(connection, bytes(20_000))
    assert slow >= 0.2
    assert whole < slow / 2


def test_a_black_hole_is_silent_and_heals_without_loss(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy, timeout=0.3) as connection:
        ask(connection)
        proxy.black_hole()
        connection.sendall(b"held back")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        with connect(proxy, timeout=0.3) as late:
            late.sendall(b"also")
            with pytest.raises(TimeoutError):
                late.recv(1)
            proxy.heal()
            connection.settimeout(10)
            late.settimeout(10)
            assert receive(connection, 9) == b"held back"
            assert receive(late, 4) == b"also"


def test_reset_after_lets_exactly_that_many_bytes_through(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy) as connection:
        ask(connection, b"before")
        proxy.reset_after(10)
        assert receive_until_reset(connection, b"0123456789abcdef") == b"0123456789"
        proxy.heal()
        with connect(proxy) as fresh:
            ask(fresh, b"0123456789abcdef")


def receive_until_reset(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    got = b""
    try:
        while True:
            more = connection.recv(100)
            assert more, "closed in order, not reset"
            got += more
    except ConnectionResetError:
        return got


def test_cut_resets_what_is_open_and_lets_new_connections_in(echo: Address) -> None:
    with FaultProxy(echo) as proxy, connect(proxy) as first, connect(proxy) as second:
        ask(first)
        ask(second)
        assert proxy.cut() == 2
        for connection in (first, second):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with connect(proxy) as fresh:
            ask(fresh)


def test_a_server_that_is_down_looks_like_a_reset() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with FaultProxy(nobody.getsockname()) as proxy, pytest.raises(ConnectionResetError):
            first_byte(proxy)


def test_leaving_the_block_closes_the_port_and_the_connections(echo: Address) -> None:
    with FaultProxy(echo) as proxy:
        connection = connect(proxy)
        ask(connection)
    with connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_url_changes_host_and_port_only() -> None:
    with FaultProxy(("127.0.0.1", 1)) as proxy:
        url = proxy.url("postgresql://me:pass%40word@db.example:5432/orders?sslmode=disable")
        assert url == (f"postgresql://me:pass%40word@127.0.0.1:{proxy.port}/orders?sslmode=disable")
        assert proxy.url("redis://h:1/3") == f"redis://127.0.0.1:{proxy.port}/3"


@pytest.mark.parametrize(
    ("method", "value"), [("latency", -0.1), ("bandwidth", 0), ("reset_after", -1)]
)
def test_an_impossible_fault_is_refused(method: str, value: float) -> None:
    with FaultProxy(("127.0.0.1", 1)) as proxy, pytest.raises(ValueError, match="must be"):
        getattr(proxy, method)(value)
