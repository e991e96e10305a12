"""How memory and connections leak, and what holds under the identical load."""

import asyncio
import gc
import json
import logging
import socket
import sys
import threading
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg_pool import ConnectionPool, PoolTimeout

from lab import servers
from lab.eventually import eventually
from lab.process import spawn
from lab.servers.base import free_port
from lab.story import Story
from snippets.memory_leaks import (
    leak_detector,
    leak_report,
    naive_event_bus,
    naive_globals,
    naive_pool_checkout,
    naive_tasks,
)
from snippets.memory_leaks.bounded_cache import cached_method
from snippets.memory_leaks.recent_errors import RecentErrors
from snippets.memory_leaks.resource_scope import PoolGuard
from snippets.memory_leaks.task_supervisor import BackgroundTasks
from snippets.memory_leaks.weak_event_bus import EventBus
from tests.scenarios.memory_leaks.cases import SEVEN, SIZE, TWENTY, Case, forget, running
from tests.scenarios.memory_leaks.kinds import COUNT

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
growth = partial(leak_detector.growth_per_call, warmup=60, calls=160)


def freeze() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Collections look at what the test makes, not at pytest; nothing stays for the next."""
    freeze()
    yield
    forget()
    naive_pool_checkout.LAST_ERRORS.clear()
    gc.unfreeze()


# -- a, b: seven leaks -----------------------------------------------------------------------------


def newest(kind: type) -> object:
    return [one for one in gc.get_objects() if type(one) is kind][-1]


@pytest.mark.parametrize("name", SEVEN)
def test_each_of_the_seven_leaks_is_found_by_line_and_by_holder(name: str, story: Story) -> None:
    """Each request of 10,000 bytes stays: after it was answered, for the life of the process."""
    case: Case = SEVEN[name]
    story.scene(name, body_bytes=case.payload)
    with running(case.naive) as call:
        per_call = growth(call)
        story.naive("bytes that each further call leaves behind", bytes=round(per_call))
        assert per_call >= max(250, 0.9 * case.payload)

        with pytest.raises(leak_detector.LeakError) as caught:
            leak_detector.assert_no_leak(call, warmup=20, calls=80)
        lines = str(caught.value).splitlines()
        assert f"/{case.file}:" in lines[1]
        assert lines[1].endswith(f": {case.line}")
        chain = leak_report.referrer_chain(newest(case.kept))
        assert any(step.startswith(case.holder) for step in chain), chain
        where = lines[1].rpartition("/")[2].split(":")
        story.naive(f"made in {where[0]}:{where[1]}, held by {'  '.join(chain)}")
    freeze()  # the chain has looked at everything

    with running(case.good) as call:
        per_call = growth(call)
        story.good("its mend, under the same load", bytes=round(per_call))
        assert per_call <= 200
        leak_detector.assert_no_leak(call, warmup=20, calls=80)


def test_twenty_functions_that_only_look_like_leaks_raise_no_alarm(story: Story) -> None:
    """A cache that fills, a pattern that is compiled, an interned string: all look like leaks.

    Whoever compares memory before and after calls them leaks. A line through eight samples, and
    more looks once the caches are full, do not.
    """
    story.scene("twenty harmless functions, each called a few hundred times")
    accused = [one.__name__ for one in TWENTY if before_and_after(one) > 200]
    story.naive("more memory after than before", accused=len(accused))
    assert "fill_a_cache" in accused
    assert "compile_a_pattern" in accused
    for one in TWENTY:
        leak_detector.assert_no_leak(one, warmup=50, calls=120)
    story.good("the slope, in up to three looks", accused=0)


def before_and_after(fn: Callable[[], object]) -> float:
    """Measure as a first script does."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            fn()
        return (tracemalloc.get_traced_memory()[0] - before) / 50
    finally:
        tracemalloc.stop()


# -- c: tasks --------------------------------------------------------------------------------------


def test_a_background_task_is_neither_lost_nor_kept_for_ever(story: Story) -> None:
    """100 tasks that nobody holds: none survives the next garbage collection.

    Each awaits a future that nothing else refers to, so task and future are one unreachable
    cycle. The usual mend, a list, then keeps all of them with their results.
    """

    async def drill() -> None:
        destroyed: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: destroyed.append(context["message"]))
        futures: weakref.WeakSet[asyncio.Future[None]] = weakref.WeakSet()
        finished: list[int] = []

        async def job(number: int) -> None:
            future = loop.create_future()
            futures.add(future)
            await future
            finished.append(number)

        def answer_all() -> None:
            for future in list(futures):
                future.set_result(None)

        story.scene("100 background tasks wait for an answer; then garbage is collected")
        for number in range(100):
            naive_tasks.fire_and_forget(job(number))
        await asyncio.sleep(0)
        gc.collect()
        alive = len(asyncio.all_tasks()) - 1
        answer_all()
        await asyncio.sleep(0)
        story.naive("create_task() and no reference", alive=alive, finished=len(finished))
        assert (alive, len(finished)) == (0, 0)
        assert destroyed == ["Task was destroyed but it is pending!"] * 100

        async with BackgroundTasks(limit=100) as tasks:
            for number in range(100):
                await tasks.spawn(job(number))
            await asyncio.sleep(0)
            gc.collect()
            answer_all()
        story.good("held until they are done", finished=len(finished), still_held=len(tasks))
        assert len(finished) == 100
        assert len(tasks) == 0

    asyncio.run(drill())


# -- d, e: connections -----------------------------------------------------------------------------


def connections(url: str) -> int:
    """Count the server's connections to this database, without the one that asks."""
    with psycopg.connect(url) as conn:
        (count,) = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone() or (0,)
    return int(count)


def test_a_remembered_exception_does_not_remember_its_connection(
    postgres_url: str, story: Story
) -> None:
    """20 failed requests keep 20 server connections open, and nothing says so.

    The list of the last errors holds the exceptions, they hold their tracebacks, these hold the
    frames, and each frame holds its connection. Clearing the list closes all twenty.
    """
    story.scene("20 requests fail in the database; the errors are kept for a status page")
    for _ in range(20):
        naive_pool_checkout.price_alone(postgres_url, 0)
    leaked = connections(postgres_url)
    story.naive("a list of exceptions", connections=leaked)
    assert leaked == 20
    with pytest.warns(ResourceWarning, match="was deleted while still open"):
        naive_pool_checkout.LAST_ERRORS.clear()
    eventually(lambda: connections(postgres_url) == 0)
    story.naive("the list is cleared", connections=0)

    errors = RecentErrors()
    for _ in range(20):
        try:
            with psycopg.connect(postgres_url) as conn:
                conn.execute("SELECT 100 / %s", [0])
        except psycopg.Error as error:
            errors.record(error)
    left = eventually(lambda: connections(postgres_url) == 0)
    assert left
    (entry,) = errors
    story.good("a with block, and the text of the error", connections=0, errors=entry.count)
    assert entry.count == 20
    assert "DivisionByZero" in entry.text


def test_a_pool_that_ran_dry_names_who_holds_its_connections(
    postgres_url: str, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    """Two failed requests empty a pool of two, and every request after them gets PoolTimeout."""
    caplog.set_level(logging.ERROR, "psycopg.pool")
    story.scene("a pool of two; two requests raise before putconn()")
    with ConnectionPool(postgres_url, min_size=2, max_size=2, timeout=0.3) as pool:
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                naive_pool_checkout.price(pool, 0)
        with pytest.raises(PoolTimeout) as caught:
            naive_pool_checkout.price(pool, 1)
        story.naive(f"every further request: {caught.value}")
        assert not hasattr(caught.value, "__notes__")

    with ConnectionPool(postgres_url, min_size=2, max_size=2, timeout=0.3) as pool:
        guard = PoolGuard(pool)
        for _ in range(2):
            with (
                pytest.raises(psycopg.errors.DivisionByZero),
                guard.connection() as conn,
            ):
                conn.execute("SELECT 100 / %s", [0])
        with guard.connection() as conn:
            assert conn.execute("SELECT 100 / 1").fetchone() == (100,)
        story.good("in a block: both are back", available=pool.get_stats()["pool_available"])

        leases = [guard.checkout(), guard.checkout()]
        with pytest.raises(PoolTimeout) as caught:
            guard.checkout()
        notes = caught.value.__notes__
        assert len(notes) == len(leases)
        assert all("in test_a_pool_that_ran_dry" in note for note in notes)
        assert all("leases = [guard.checkout(), guard.checkout()]" in note for note in notes)
        story.good("not returned: the error shows the stack of each borrower", stacks=len(notes))
        for lease in leases:
            guard.release(lease)


def test_a_finalizer_never_waits_for_a_lock_that_its_own_thread_holds(
    postgres_url: str, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    """A finalizer that calls putconn() stops the thread for ever.

    The collector may run it in the middle of the pool's own code. Here the server has closed the
    connection, so putconn() orders another one through a queue, and the thread that holds the
    queue's lock waits for itself.
    """
    caplog.set_level(logging.CRITICAL, "psycopg.pool")
    story.scene("a lease on a closed connection dies while its thread is inside the pool's queue")

    class Lease:
        pass

    def dies_inside(pool: ConnectionPool, drop: Callable[[], None]) -> threading.Thread:
        def work() -> None:
            pool._tasks.mutex.acquire()
            drop()
            if not released_by_drill.is_set():
                pool._tasks.mutex.release()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(timeout=0.5)
        return thread

    released_by_drill = threading.Event()
    with ConnectionPool(postgres_url, min_size=1, max_size=1, timeout=5) as pool:
        pool.wait()
        kept = [Lease()]
        conn = pool.getconn()
        conn.close()
        weakref.finalize(kept[0], pool.putconn, conn)
        thread = dies_inside(pool, kept.clear)
        assert thread.is_alive()
        story.naive("weakref.finalize(lease, pool.putconn, conn): waits for itself")
        released_by_drill.set()
        pool._tasks.mutex.release()  # which no other code would do
        thread.join()

        released_by_drill.clear()
        guard = PoolGuard(pool)
        leases = [guard.checkout()]
        leases[0].conn.close()
        thread = dies_inside(pool, leases.clear)
        assert not thread.is_alive()
        with guard.connection() as conn:  # of the pool's only one, so it was replaced
            assert conn.execute("SELECT 1").fetchone() == (1,)
        story.good("the finalizer takes a note, the next checkout acts on it")


# -- f: four kinds ---------------------------------------------------------------------------------


@pytest.mark.linux
@pytest.mark.parametrize("kind", ["reachable", "unreachable", "not_returned", "native"])
def test_four_bugs_with_one_symptom_are_told_apart(kind: str, story: Story) -> None:
    """Resident memory grows by the same 46 MiB, for four reasons with four cures.

    5,000 bodies of 10,000 bytes are: still referred to; in cycles, with the collector off; freed
    and kept by the allocator; taken by a C library. Only the last two look alike to tracemalloc,
    and only the last grows again when the work is repeated.
    """
    command = [sys.executable, "-m", "tests.scenarios.memory_leaks.kinds", kind]
    with spawn(command, cwd=ROOT) as child:
        said, _ = child.communicate(timeout=60)
    seen = json.loads(said)
    story.scene("5,000 bodies of 10,000 bytes", kind=kind)
    story.naive("all that a graph of RSS shows", grown_mib=round(seen["resident"] / MIB))
    assert seen["resident"] > 0.9 * COUNT * SIZE
    story.good("examine() says", kind=seen["kinds"][0], mib=round(seen[kind] / MIB))
    assert seen["kinds"][0] == kind
    assert seen[kind] > 0.9 * COUNT * SIZE
    assert (seen["collected"] == COUNT) == (kind == "unreachable")
    if kind != "unreachable":  # collected, its pages go by themselves where none lies above them
        assert (seen["trimmed"] > 0.9 * COUNT * SIZE) == (kind == "not_returned")


# -- g: hostile keys -------------------------------------------------------------------------------


def test_invented_keys_do_not_fill_the_memory(story: Story) -> None:
    """An attacker sends 1,000 made-up names, and 1,000 entries stay for ever."""
    story.scene("1,000 requests, each with a user, a topic and an error of its own")
    for user in range(1000):
        naive_globals.load_profile(user, 100)
        naive_event_bus.BUS.on(f"topic {user}", lambda _: None)
        naive_globals.handle(user, 100)
    naive = {
        "profiles": len(naive_globals.PROFILES),
        "topics": len(naive_event_bus.BUS.listeners),
        "errors": len(naive_globals.LAST_ERRORS),
    }
    story.naive("entries that stay", **naive)
    assert naive == {"profiles": 1000, "topics": 1000, "errors": 1000}

    computed: list[int] = []

    class Profiles:
        @cached_method(maxsize=50)
        def load(self, user: int) -> int:
            computed.append(user)
            return user

    bus, errors, profiles = EventBus(), RecentErrors(maxlen=100), Profiles()
    for user in range(1000):
        profiles.load(user)
        with bus.subscribe(f"topic {user}", print, strong=True):
            pass
        try:
            int(f"user {user}")
        except ValueError as error:
            errors.record(error)
    for user in range(950, 1000):  # the last fifty are there
        profiles.load(user)
    profiles.load(949)
    good = {"profiles": 1001 - (len(computed) - 950), "topics": len(bus), "errors": len([*errors])}
    good["profiles"] = 50 if computed == [*range(1000), 949] else -1
    story.good("entries that stay", **good)
    assert good == {"profiles": 50, "topics": 0, "errors": 1}


def test_one_listener_that_raises_does_not_silence_the_others(story: Story) -> None:
    """One broken listener, and nobody behind it hears the event."""
    heard: list[str] = []

    def first(_: float) -> None:
        raise ConnectionError("first is broken")

    def second(_: float) -> None:
        heard.append("second")

    story.scene("two listeners; the first one raises")
    bus = naive_event_bus.EventBus()
    bus.on("price", first)
    bus.on("price", second)
    with pytest.raises(ConnectionError):
        bus.emit("price", 1.0)
    story.naive("strong bus", heard=len(heard))
    assert heard == []

    weak = EventBus()
    with (
        weak.subscribe("price", first, strong=True),
        weak.subscribe("price", second, strong=True),
        pytest.raises(ExceptionGroup) as caught,
    ):
        weak.emit("price", 1.0)
    story.good("weak bus: heard, and then raised", heard=len(heard))
    assert heard == ["second"]
    assert [str(one) for one in caught.value.exceptions] == ["first is broken"]


# -- recycling -------------------------------------------------------------------------------------

LIMIT = 25


@contextmanager
def uvicorn(*options: str) -> Iterator[int]:
    """Serve the leaking service; give the port, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.scenarios.memory_leaks.service:app"]
    limit = ["--limit-max-requests", str(LIMIT), "--log-level", "critical"]
    argv = [*command, "--port", str(port), *limit, *options]
    with spawn(argv, cwd=ROOT, capture=False), httpx2.Client(trust_env=False) as client:
        eventually(partial(answered, client, f"http://127.0.0.1:{port}/"), timeout=30.0)
        yield port


def answered(client: httpx2.Client, url: str) -> str:
    try:
        return client.get(url).text
    except httpx2.TransportError:
        return ""


def load(url: str, count: int) -> Counter[str]:
    """Send requests, eight at a time, each on its own connection; count answers by worker."""

    async def send() -> Counter[str]:
        got: Counter[str] = Counter()
        numbers = iter(range(count))
        limits = httpx2.Limits(max_connections=8, max_keepalive_connections=0)
        async with httpx2.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:

            async def one_after_another() -> None:
                for _ in numbers:
                    try:
                        got[(await client.get(url)).text] += 1
                    except httpx2.TransportError:
                        got["lost"] += 1

            await asyncio.gather(*(one_after_another() for _ in range(8)))
        return got

    return asyncio.run(send())


def test_recycling_workers_bounds_a_leak_and_loses_no_request(story: Story) -> None:
    """`--limit-max-requests` without a supervisor ends the service at that request.

    With two workers there is one that starts the other anew. A connection that a worker has taken
    and not read from when it ends is closed unanswered, so a proxy must ask again.
    """
    story.scene("a service that leaks 10 kB a request, recycled after 25 requests", limit=LIMIT)
    with uvicorn() as port:
        alone = load(f"http://127.0.0.1:{port}/", 160)
    story.naive("one process: it ends, and nobody starts it again", lost=alone["lost"])
    assert alone["lost"] > 0

    workers = ("--workers", "2", "--limit-max-requests-jitter", "10")
    config = """
        upstream app { server 127.0.0.1:%d max_fails=0; server 127.0.0.1:%d max_fails=0; }
        server {
            listen 127.0.0.1:{port};
            location / {
                proxy_pass http://app;
                proxy_next_upstream error timeout;
            }
        }"""
    with uvicorn(*workers) as port, ExitStack() as stack:
        waiting = [stack.enter_context(closing(connect(port))) for _ in range(4)]
        proxy = stack.enter_context(servers.nginx(config.replace("%d", str(port))))
        got = load(proxy.url, 160)
        closed = sum(ask(connection) == b"" for connection in waiting)
        story.naive("connections that waited in a recycled worker, closed unread", lost=closed)
        assert closed == len(waiting)
        story.good("two workers behind nginx", lost=got["lost"], workers=len(got))
        assert got["lost"] == 0
        assert got.total() == 160
        assert len(got) > 2  # some began anew


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ask(connection: socket.socket) -> bytes:
    """Send a request on a connection that has waited; give the answer, empty when it is closed."""
    try:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return connection.recv(100)
    except ConnectionError:
        return b""
