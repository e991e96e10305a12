# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg-pool>=3.3,<4", "psycopg[binary]>=3.3.9,<4"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A connection pool that names who does not give back.

`with pool.connection()` everywhere needs no guard: it returns the connection
whatever happens. The guard is for code that cannot be in one block, and for
the day on which you must find the place that is not.

- When the pool runs dry, its PoolTimeout carries the stack of each borrower.
- `overdue(seconds)` tells the same before it runs dry: log it every minute.
- The connection of a lease that was forgotten and collected is closed at the
  next checkout, with a warning, and the pool makes another. It is not used
  again, since somebody may still hold it. The finalizer only takes a note: it
  may run while this very thread holds the pool's lock, and must not raise,
  wait, or touch an event loop.

Cost: one short stack a checkout; no frames, so no local variables are kept.

Source: https://docs.python.org/3/library/weakref.html#weakref.finalize and
https://www.psycopg.org/psycopg3/docs/api/pool.html
"""

import itertools
import logging
import os
import sys
import time
import traceback
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

C = TypeVar("C")
_NUMBERS = itertools.count()  # of all guards: a lease belongs to one
log = logging.getLogger(__name__)
Report = Callable[[str], None]


# --8<-- [start:lease]
class Borrower(NamedTuple):
    """Who holds a connection, and since when."""

    since: float
    stack: traceback.StackSummary

    def told(self, now: float) -> str:
        """Say it in words."""
        stack = "".join(self.stack.format())
        return f"connection held for {now - self.since:.1f} s by:\n{stack}"


class Lease(Generic[C]):
    """A borrowed connection: keep the lease for as long as you use `conn`."""

    def __init__(self, number: int, conn: C) -> None:
        self.number = number
        self.conn = conn


class Ledger(Generic[C]):
    """Who holds what; the pools below keep it, and it needs no lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._borrowers: dict[int, Borrower] = {}
        self._finalizers: dict[int, weakref.finalize[Any, Any]] = {}
        self._forgotten: deque[tuple[int, C]] = deque()

    def lend(self, conn: C) -> Lease[C]:
        """Write down who takes `conn`."""
        number = next(_NUMBERS)
        frames = traceback.walk_stack(sys._getframe(2))  # noqa: SLF001
        stack = traceback.StackSummary.extract(
            frames, limit=8, lookup_lines=False
        )
        stack.reverse()
        self._borrowers[number] = Borrower(self._clock(), stack)
        lease = Lease(number, conn)
        finalizer = weakref.finalize(
            lease, self._forgotten.append, (number, conn)
        )
        finalizer.atexit = False
        self._finalizers[number] = finalizer
        return lease

    def back(self, number: int) -> Borrower | None:
        """Cross a lease out; None when it was before."""
        if finalizer := self._finalizers.pop(number, None):
            finalizer.detach()
        return self._borrowers.pop(number, None)

    def forgotten(self) -> Iterator[tuple[C, str]]:
        """Yield the connections of collected leases, and who took them."""
        while True:
            try:
                number, conn = self._forgotten.popleft()
            except IndexError:  # nothing is left, or another thread took it
                return
            if borrower := self.back(number):
                yield conn, f"never returned: {borrower.told(self._clock())}"

    def overdue(self, seconds: float) -> list[str]:
        """Tell who holds a connection for this long or longer, oldest first."""
        now = self._clock()
        found = list(self._borrowers.values())  # in the order of lending
        return [one.told(now) for one in found if now - one.since >= seconds]
        # --8<-- [end:lease]


# --8<-- [start:guard]
class PoolGuard:
    """A ConnectionPool that knows its borrowers; safe in threads."""

    def __init__(
        self,
        pool: ConnectionPool,
        report: Report = log.warning,
        ledger: Ledger[psycopg.Connection[Any]] | None = None,
    ) -> None:
        self.pool = pool
        self.ledger = ledger or Ledger()
        self._report = report

    def checkout(
        self, timeout: float | None = None
    ) -> Lease[psycopg.Connection[Any]]:
        """Borrow a connection; hand the lease to `release` afterwards.

        A lease that is forgotten during the wait is found at its end; then
        this waits once more, as long at most, for the connection made anew.

        Raises:
            PoolTimeout: none came back; its notes name the borrowers.
        """
        self._collect()
        try:
            conn = self._getconn(timeout)
        except PoolTimeout:
            if not self._collect():
                raise
            conn = self._getconn(timeout)
        return self.ledger.lend(conn)

    def release(self, lease: Lease[psycopg.Connection[Any]]) -> None:
        """Give back; a second time, or to another guard, does nothing."""
        if self.ledger.back(lease.number):
            self.pool.putconn(lease.conn)

    @contextmanager
    def connection(
        self, timeout: float | None = None
    ) -> Iterator[psycopg.Connection[Any]]:
        """Borrow for a block, as `pool.connection()` does: commit at its end.

        An exception rolls back. Do not use the connection after the block.
        """
        lease = self.checkout(timeout)
        try:
            with lease.conn:  # ends the transaction; the pool's are not closed
                yield lease.conn
        finally:
            self.release(lease)

    def _getconn(self, timeout: float | None) -> psycopg.Connection[Any]:
        try:
            return self.pool.getconn(timeout)
        except PoolTimeout as error:
            for told in self.ledger.overdue(0):
                error.add_note(told)
            raise

    def _collect(self) -> int:
        count = 0
        for conn, told in self.ledger.forgotten():
            conn.close()
            self.pool.putconn(conn)  # which replaces a closed one
            self._report(told)  # last: it may raise
            count += 1
        return count
        # --8<-- [end:guard]


# --8<-- [start:async]
class AsyncPoolGuard:
    """The same for an AsyncConnectionPool, by blocks only."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        ledger: Ledger[psycopg.AsyncConnection[Any]] | None = None,
    ) -> None:
        self.pool = pool
        self.ledger = ledger or Ledger()

    @asynccontextmanager
    async def connection(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the pool's own
    ) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Borrow for a block, as `pool.connection()` does: commit at its end.

        An exception rolls back. Do not use the connection after the block.

        Raises:
            PoolTimeout: none came back; its notes name the borrowers.
        """
        try:
            conn = await self.pool.getconn(timeout)
        except PoolTimeout as error:
            for told in self.ledger.overdue(0):
                error.add_note(told)
            raise
        lease = self.ledger.lend(conn)
        try:
            async with conn:
                yield conn
        finally:
            self.ledger.back(lease.number)
            await self.pool.putconn(conn)
            # --8<-- [end:async]


# --8<-- [start:demo]
def main() -> None:
    """Leak both connections of a pool of two, in two ways."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )

    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

    def forgets(guard: PoolGuard) -> None:
        lease = guard.checkout()
        lease.conn.execute("SELECT 1")

    def keeps(guard: PoolGuard) -> object:
        return guard.checkout()

    with ConnectionPool(url, min_size=2, max_size=2, timeout=0.5) as pool:
        guard = PoolGuard(
            pool, report=lambda told: print(told.split(" for")[0])
        )
        forgets(guard)
        with guard.connection() as conn:
            (one,) = conn.execute("SELECT 1").fetchone() or (0,)
            print(f"replaced, and the pool works: {one}")
        kept = [keeps(guard), keeps(guard)]
        try:
            guard.checkout()
        except PoolTimeout as error:
            print(error)
            for note in error.__notes__:
                print("  held by", note.splitlines()[-2].split(" in ")[-1])
        print(f"{len(kept)} leases in a list: that is the leak")


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
