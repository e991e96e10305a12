"""Seven leaks that are really one, with their mend, and twenty functions that only look like one.

Shared by the drill, the peers' tests and the measurements.
"""

import asyncio
import contextvars
import json
import logging
import re
import sqlite3
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from snippets.memory_leaks import (
    bounded_cache,
    naive_event_bus,
    naive_globals,
    naive_tasks,
    task_supervisor,
    weak_event_bus,
)
from snippets.memory_leaks.recent_errors import RecentErrors

SIZE = 10_000
"""Bytes of each request's body."""
USERS = count()
LOGGER = "firedrill.memory_leaks"
Call = Callable[[], object]


class Case(NamedTuple):
    """A leak, its mend under the same load, and what a report must name.

    Attributes:
        naive: makes the call that leaks.
        good: makes the call that does not.
        file: the naive file that allocates what stays.
        line: the source of that line.
        holder: the name, in the chain of referrers, of what keeps it.
        kept: the type of which one more is alive after each call.
        payload: bytes that one call allocates and should free.
    """

    naive: Callable[[ExitStack], Call]
    good: Callable[[ExitStack], Call]
    file: str
    line: str
    holder: str
    kept: type
    payload: int = SIZE


class Profiles:
    """What replaces the module dict: the same look-up, with a bound."""

    @bounded_cache.cached_method(maxsize=50)
    def load(self, user: int) -> naive_globals.Request:
        return naive_globals.Request(user, SIZE)


def audit(trail: list[naive_globals.Request] | None = None) -> list[naive_globals.Request]:
    trail = [] if trail is None else trail
    trail.append(naive_globals.Request(next(USERS), SIZE))
    return trail


def handle(errors: RecentErrors) -> None:
    request = naive_globals.Request(next(USERS), SIZE)
    try:
        int(f"user {request.user}")
    except ValueError as error:
        errors.record(error)


def log_with_user() -> logging.LoggerAdapter[logging.Logger]:
    return logging.LoggerAdapter(logging.getLogger(LOGGER), {"user": next(USERS)})


def _kept_tasks(stack: ExitStack) -> Call:
    runner = stack.enter_context(asyncio.Runner())

    async def request() -> None:
        naive_tasks.fire_and_keep(naive_tasks.answer(SIZE))
        await asyncio.sleep(0)

    return lambda: runner.run(request())


def _supervised_tasks(stack: ExitStack) -> Call:
    runner = stack.enter_context(asyncio.Runner())
    tasks = task_supervisor.BackgroundTasks(limit=10)

    async def request() -> None:
        await tasks.spawn(naive_tasks.answer(SIZE))
        await asyncio.sleep(0)

    return lambda: runner.run(request())


def _good_profiles(_: ExitStack) -> Call:
    profiles = Profiles()
    return lambda: profiles.load(next(USERS))


def _good_errors(_: ExitStack) -> Call:
    errors = RecentErrors()
    return lambda: handle(errors)


BODY = "self.body = bytes(size)"
SEVEN: dict[str, Case] = {
    "event listeners": Case(
        lambda _: lambda: naive_event_bus.PriceRequest(SIZE),
        lambda _: lambda: weak_event_bus.PriceRequest(SIZE),
        "naive_event_bus.py",
        BODY,
        ".BUS",
        naive_event_bus.PriceRequest,
    ),
    "module dict": Case(
        lambda _: lambda: naive_globals.load_profile(next(USERS), SIZE),
        _good_profiles,
        "naive_globals.py",
        BODY,
        ".PROFILES",
        naive_globals.Request,
    ),
    "lru_cache on a method": Case(
        lambda _: lambda: naive_globals.Report(next(USERS), SIZE).total(2026),
        lambda _: lambda: bounded_cache.Report(SIZE).total(2026),
        "naive_globals.py",
        BODY,
        ".total",
        naive_globals.Report,
    ),
    "mutable default": Case(
        lambda _: lambda: naive_globals.audit(next(USERS), SIZE),
        lambda _: audit,
        "naive_globals.py",
        BODY,
        ".__defaults__",
        naive_globals.Request,
    ),
    "stored exceptions": Case(
        lambda _: lambda: naive_globals.handle(next(USERS), SIZE),
        _good_errors,
        "naive_globals.py",
        BODY,
        ".LAST_ERRORS",
        naive_globals.Request,
    ),
    "logging handlers": Case(
        lambda _: lambda: naive_globals.get_logger(LOGGER),
        lambda _: log_with_user,
        "naive_globals.py",
        "logger.addHandler(logging.StreamHandler())  # BUG: one more per call.",
        ".handlers",
        logging.StreamHandler,
        payload=0,  # a handler and its locks: what the interpreter makes of them
    ),
    "finished tasks": Case(
        _kept_tasks,
        _supervised_tasks,
        "naive_tasks.py",
        "return bytes(size)",
        ".TASKS",
        asyncio.Task,
    ),
}


def forget() -> None:
    """Let go of everything that the naive files keep."""
    naive_event_bus.BUS.listeners.clear()
    naive_globals.PROFILES.clear()
    naive_globals.Report.total.cache_clear()
    (trail,) = naive_globals.audit.__defaults__ or ([],)
    trail.clear()
    naive_globals.LAST_ERRORS.clear()
    logging.getLogger(LOGGER).handlers.clear()
    naive_tasks.TASKS.clear()


@contextmanager
def running(make: Callable[[ExitStack], Call]) -> Iterator[Call]:
    """Give the call; forget what it left afterwards."""
    with ExitStack() as stack:
        stack.callback(forget)
        yield make(stack)


# -- twenty that only look like a leak -------------------------------------------------------------

VARIABLE = contextvars.ContextVar[object]("variable")
WEAK = weakref.WeakValueDictionary[int, "Node"]()
LAST: deque[bytes] = deque(maxlen=100)
CHURN: dict[int, bytes] = {}
PROFILES = Profiles()
BUFFER = bytearray()
FORMATTER = logging.Formatter("%(asctime)s %(message)s")


class Node:
    """Refers to itself; with a finalizer, which once made cycles immortal."""

    def __init__(self) -> None:
        self.body = bytes(SIZE)
        self.me = self

    def __del__(self) -> None:
        self.body = b""


@lru_cache(maxsize=400)
def page(number: int) -> bytes:
    return number.to_bytes(8) + bytes(SIZE)


def fill_a_cache() -> None:
    page(next(USERS))


def compile_a_pattern() -> None:
    re.compile(f"user {next(USERS)}")


def intern_a_string() -> None:
    sys.intern(f"user {next(USERS)}" * 100)


def make_a_cycle() -> None:
    Node()


def keep_the_last_hundred() -> None:
    LAST.append(bytes(SIZE))


def churn_a_dict() -> None:
    number = next(USERS)
    CHURN[number] = bytes(SIZE)
    CHURN.pop(number - 50, None)


def catch_an_exception() -> None:
    body = bytes(SIZE)
    with suppress(ZeroDivisionError):
        len(body) / 0


def read_json() -> None:
    json.loads(json.dumps({f"key {next(USERS)}": list(range(100))}))


def register_weakly() -> None:
    node = Node()
    WEAK[next(USERS)] = node


def set_a_context_variable() -> None:
    contextvars.copy_context().run(VARIABLE.set, bytes(SIZE))


def format_a_log_line() -> None:
    # Not through a logger: the log capture of pytest keeps each record.
    FORMATTER.format(logging.makeLogRecord({"msg": "user %s", "args": (next(USERS),)}))


def abandon_a_generator() -> None:
    def blocks() -> Iterator[bytes]:
        while True:
            yield bytes(SIZE)

    next(blocks())


def run_a_thread() -> None:
    thread = threading.Thread(target=bytes, args=(SIZE,))
    thread.start()
    thread.join()


def run_an_event_loop() -> None:
    asyncio.run(naive_tasks.answer(SIZE))


def parse_a_date() -> None:
    datetime.strptime(f"2026-11-{next(USERS) % 28 + 1} +0000", "%Y-%m-%d %z")


def make_a_class() -> None:
    type(f"Model{next(USERS)}", (), {"body": bytes(SIZE)})


def load_a_profile() -> None:
    PROFILES.load(next(USERS))


def query_sqlite() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("SELECT zeroblob(10000)").fetchone()
    connection.close()


def grow_and_clear_a_buffer() -> None:
    BUFFER.extend(bytes(SIZE))
    if len(BUFFER) > 20 * SIZE:
        BUFFER.clear()


def subscribe_weakly() -> None:
    weak_event_bus.PriceRequest(SIZE)


TWENTY: tuple[Call, ...] = (
    fill_a_cache,
    compile_a_pattern,
    intern_a_string,
    make_a_cycle,
    keep_the_last_hundred,
    churn_a_dict,
    catch_an_exception,
    read_json,
    register_weakly,
    set_a_context_variable,
    format_a_log_line,
    abandon_a_generator,
    run_a_thread,
    run_an_event_loop,
    parse_a_date,
    make_a_class,
    load_a_profile,
    query_sqlite,
    grow_and_clear_a_buffer,
    subscribe_weakly,
)
