"""The guard returns what is released, replaces what is forgotten, and names who holds."""

import gc
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from lab.clock import FakeClock
from lab.race import race
from snippets.memory_leaks.resource_scope import AsyncPoolGuard, Ledger, PoolGuard
from tests.scenarios.memory_leaks.conftest import Demo

ONE = "SELECT 1"


@pytest.fixture
def pool(postgres_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[ConnectionPool]:
    caplog.set_level(logging.CRITICAL, "psycopg.pool")  # it warns of what the guard does
    with ConnectionPool(postgres_url, min_size=2, max_size=2, timeout=5) as found:
        found.wait()
        yield found


def available(pool: ConnectionPool) -> int:
    return pool.get_stats()["pool_available"]


def test_a_block_commits_at_its_end_and_rolls_back_on_an_exception(pool: ConnectionPool) -> None:
    guard = PoolGuard(pool)
    with guard.connection() as conn:
        conn.execute("CREATE TABLE kept (n int)")
    with pytest.raises(psycopg.errors.DivisionByZero), guard.connection() as conn:
        conn.execute("INSERT INTO kept SELECT 1 / n FROM generate_series(1, 0, -1) AS n")
    with guard.connection() as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    assert available(pool) == 2
    assert guard.ledger.overdue(0) == []


def test_a_lease_may_be_released_twice(pool: ConnectionPool) -> None:
    guard = PoolGuard(pool)
    lease = guard.checkout()
    guard.release(lease)
    guard.release(lease)
    assert available(pool) == 2
    del lease
    assert not guard.ledger._forgotten  # what was released has not been forgotten


def test_a_lease_of_another_guard_is_not_this_guards(pool: ConnectionPool) -> None:
    """Two guards, as of a primary and a replica: each crosses out its own leases only."""
    here, there = PoolGuard(pool), PoolGuard(pool)
    ours, theirs = here.checkout(), there.checkout()
    here.release(theirs)
    assert available(pool) == 0
    assert len(here.ledger.overdue(0)) == len(there.ledger.overdue(0)) == 1
    here.release(ours)
    there.release(theirs)
    assert available(pool) == 2


def test_the_end_of_the_process_runs_no_finalizer() -> None:
    ledger: Ledger[str] = Ledger()
    lease = ledger.lend("conn")
    assert not ledger._finalizers[lease.number].atexit


def test_a_stack_is_short() -> None:
    ledger: Ledger[str] = Ledger()

    def descend(depth: int) -> object:
        return descend(depth - 1) if depth else ledger.lend("conn")

    lease = descend(20)
    (told,) = ledger.overdue(0)
    assert "[Previous line repeated 5 more times]" in told  # three are shown: 8 of 21 frames
    del lease


def test_what_is_released_while_its_finalizer_runs_is_not_forgotten() -> None:
    ledger: Ledger[str] = Ledger()
    lease = ledger.lend("conn")
    finalizer = ledger._finalizers[lease.number]
    assert ledger.back(lease.number)
    ledger._forgotten.append((lease.number, "conn"))  # as a finalizer does that was quicker
    assert list(ledger.forgotten()) == []
    assert not finalizer.alive


def test_what_another_thread_collected_first_is_no_error() -> None:
    class Raced(deque[tuple[int, str]]):
        def popleft(self) -> tuple[int, str]:
            self.clear()  # the other thread comes between the look and the step
            return super().popleft()

    ledger: Ledger[str] = Ledger()
    ledger._forgotten = Raced([(0, "conn")])
    assert list(ledger.forgotten()) == []


def test_a_report_that_raises_loses_no_connection(pool: ConnectionPool) -> None:
    def report(_: str) -> None:
        raise OSError("the log is full")

    guard = PoolGuard(pool, report=report)
    leases = [guard.checkout(), guard.checkout()]
    leases.clear()
    for _ in range(2):
        with pytest.raises(OSError, match="the log is full"):
            guard.checkout()
    with guard.connection(), guard.connection():  # both places are there
        pass


def test_a_block_allows_what_the_pools_own_block_does(pool: ConnectionPool) -> None:
    for borrow in (pool.connection, PoolGuard(pool).connection):
        with suppress(ZeroDivisionError), borrow() as conn:
            conn.execute("CREATE TABLE IF NOT EXISTS parts (n int)")
            conn.commit()
            conn.execute("INSERT INTO parts VALUES (1)")
            conn.rollback()
            conn.execute("INSERT INTO parts VALUES (2)")
            conn.commit()
            conn.execute("INSERT INTO parts VALUES (3)")
            raise ZeroDivisionError
    with pool.connection() as conn:
        assert conn.execute("SELECT n FROM parts").fetchall() == [(2,), (2,)]
    assert available(pool) == 2


def test_a_forgotten_connection_is_replaced_and_told(pool: ConnectionPool) -> None:
    told: list[str] = []
    guard = PoolGuard(pool, report=told.append)

    def forgets() -> None:
        lease = guard.checkout()
        lease.conn.execute(ONE)

    for _ in range(5):  # more often than the pool has connections
        forgets()
    with guard.connection() as conn:
        assert conn.execute(ONE).fetchone() == (1,)
    assert len(told) == 5
    assert all(one.startswith("never returned: connection held for") for one in told)
    assert all("in forgets" in one for one in told)


def test_a_connection_that_outlived_its_lease_is_never_shared(pool: ConnectionPool) -> None:
    guard = PoolGuard(pool)
    conn = guard.checkout().conn  # the lease is gone, the connection is not
    others = [guard.checkout(), guard.checkout()]
    assert conn not in [one.conn for one in others]
    with pytest.raises(psycopg.OperationalError, match="closed"):
        conn.execute(ONE)


def test_what_is_forgotten_while_others_wait_is_found(pool: ConnectionPool) -> None:
    guard = PoolGuard(pool, report=lambda _: None)
    first = guard.checkout()
    second = [guard.checkout()]
    second[0].conn.execute(ONE)

    getconn = pool.getconn

    def forget_then_time_out(_: float | None = None) -> psycopg.Connection:
        pool.getconn = getconn  # type: ignore[method-assign]
        second.clear()
        raise PoolTimeout("couldn't get a connection after 0.00 sec")

    pool.getconn = forget_then_time_out  # type: ignore[assignment, method-assign]
    third = guard.checkout()
    assert third.conn.execute(ONE).fetchone() == (1,)
    guard.release(first)
    guard.release(third)


def test_a_dry_pool_names_all_who_hold_longest_first(pool: ConnectionPool) -> None:
    clock = FakeClock(0.0)
    guard = PoolGuard(pool, ledger=Ledger(clock))
    leases = [guard.checkout()]
    clock.advance(60)
    leases.append(guard.checkout())
    clock.advance(30)
    with pytest.raises(PoolTimeout, match=r"couldn't get a connection after 0\.05 sec") as caught:
        guard.checkout(timeout=0.05)
    heads = [note.splitlines()[0] for note in caught.value.__notes__]
    assert heads == ["connection held for 90.0 s by:", "connection held for 30.0 s by:"]
    assert [len(guard.ledger.overdue(seconds)) for seconds in (0, 30, 30.1, 90.1)] == [2, 2, 1, 0]
    for lease in leases:
        guard.release(lease)


def test_the_ledger_keeps_no_local_variables(pool: ConnectionPool) -> None:
    class Basket:
        pass

    guard = PoolGuard(pool)

    def borrow() -> object:
        basket = Basket()
        assert isinstance(basket, Basket)
        return guard.checkout()

    kept = borrow()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Basket)]
    del kept


def test_threads_borrow_and_forget_without_losing_a_connection(pool: ConnectionPool) -> None:
    guard = PoolGuard(pool, report=lambda _: None)

    def borrow(number: int) -> int:
        count = 0
        for turn in range(6):
            if (number + turn) % 3 == 0:
                lease = guard.checkout()
                lease.conn.execute(ONE)
                del lease  # and does not release it
            else:
                with guard.connection() as conn:
                    count += conn.execute(ONE).fetchone() == (1,)
        return count

    assert sum(race(4, borrow)) == 16
    with guard.connection(), guard.connection():  # both places are there
        pass
    assert guard.ledger.overdue(0) == []


@pytest.mark.anyio
async def test_the_same_under_asyncio(postgres_url: str) -> None:
    async with AsyncConnectionPool(
        postgres_url, min_size=1, max_size=1, timeout=0.2, open=False
    ) as pool:
        guard = AsyncPoolGuard(pool)
        with suppress(ZeroDivisionError):
            async with guard.connection() as conn:
                await conn.commit()
                await conn.execute("CREATE TABLE kept (n int)")
                raise ZeroDivisionError
        async with guard.connection() as conn:
            found = await conn.execute("SELECT to_regclass('kept')")
            assert await found.fetchone() == (None,)
            with pytest.raises(PoolTimeout, match=r"after 0\.05 sec") as caught:
                async with guard.connection(timeout=0.05):
                    raise AssertionError
        (note,) = caught.value.__notes__
        assert "in test_the_same_under_asyncio" in note
        async with guard.connection() as conn:
            await conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
        async with guard.connection() as conn:
            found = await conn.execute("SELECT n FROM kept")
            assert await found.fetchone() == (7,)
            await conn.rollback()
        assert guard.ledger.overdue(0) == []


def test_demo(demo: Demo, postgres_url: str) -> None:
    try:
        lines = demo("resource_scope", postgres_url)
    finally:
        logging.getLogger("psycopg.pool").setLevel(logging.NOTSET)
    assert lines == [
        "never returned: connection held",
        "replaced, and the pool works: 1",
        "couldn't get a connection after 0.50 sec",
        "  held by keeps",
        "  held by keeps",
        "2 leases in a list: that is the leak",
    ]


def test_says_what_to_do_without_a_server(demo: Demo) -> None:
    with pytest.raises(SystemExit, match="Set DATABASE_URL"):
        demo("resource_scope")
