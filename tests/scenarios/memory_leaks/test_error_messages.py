"""Each error message that leads to the page is shown by the failure it stands for."""

import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg_pool import ConnectionPool, PoolTimeout

from lab import servers
from snippets.memory_leaks import naive_pool_checkout

PAGE = Path(__file__).parents[3] / "docs" / "scenarios" / "memory-leaks.md"


def python(code: str, *options: str) -> str:
    """Run a program that fails; give what it writes to stderr."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def lost_task(_: str) -> str:
    return python("""
import asyncio, gc
async def wait():
    await asyncio.get_running_loop().create_future()
async def main():
    asyncio.create_task(wait())
    await asyncio.sleep(0)
    gc.collect()
asyncio.run(main())""")


def failed_task(_: str) -> str:
    return python("""
import asyncio
async def fail():
    1 / 0
async def main():
    asyncio.create_task(fail())
    await asyncio.sleep(0)
asyncio.run(main())""")


def dry_pool(url: str) -> str:
    with ConnectionPool(url, min_size=1, max_size=1, timeout=30) as pool:
        pool.getconn()
        try:
            pool.getconn(timeout=0.05)
        except PoolTimeout as error:
            kind = type(error)
            shown = str(error).replace("0.05", f"{pool.timeout:.2f}")
            return f"{kind.__module__}.{kind.__qualname__}: {shown}"
    return ""


def full_server(_url: str) -> str:
    # One of their own: nobody else's connections are counted, and none is refused.
    with servers.postgres(max_connections="6", max_wal_senders="0") as few, ExitStack() as kept:
        try:
            for _ in range(7):
                kept.enter_context(psycopg.connect(few.url))
        except psycopg.OperationalError as error:
            return str(error)
    return ""


def open_connection(url: str) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        naive_pool_checkout.price_alone(url, 1)
    (warning,) = caught
    return f"{warning.category.__name__}: {warning.message}"


def weak_string(_: str) -> str:
    names: weakref.WeakValueDictionary[int, str] = weakref.WeakValueDictionary()
    try:
        names[1] = "bob"  # what people try
    except TypeError as error:
        return f"TypeError: {error}"
    return ""


def many_sockets(_: str) -> str:
    return python("""
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
kept = [socket.socket() for _ in range(100)]""")


def unclosed_file(_: str) -> str:
    return python("open('/dev/null')", "-X", "dev")


CAUSES: dict[str, Callable[[str], str]] = {
    "Task was destroyed but it is pending!": lost_task,
    "Task exception was never retrieved": failed_task,
    "psycopg_pool.PoolTimeout: couldn't get a connection after 30.00 sec": dry_pool,
    "FATAL:  sorry, too many clients already": full_server,
    "was deleted while still open. Please use 'with' or '.close()' to close the connection"
    " properly": open_connection,
    "TypeError: cannot create weak reference to 'str' object": weak_string,
    "OSError: [Errno 24] Too many open files": many_sockets,
    "ResourceWarning: Enable tracemalloc to get the object allocation traceback": unclosed_file,
}


def test_every_message_of_the_page_is_proved_here() -> None:
    front_matter = PAGE.read_text(encoding="utf-8").split("---\n")[1]
    assert set(yaml.safe_load(front_matter)["error_messages"]) == set(CAUSES)


@pytest.mark.parametrize("message", CAUSES)
def test_the_failure_shows_this_message(message: str, postgres_url: str) -> None:
    assert message in CAUSES[message](postgres_url)
