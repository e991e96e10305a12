"""Drills of scenario 1: each loads the naive and the good code alike."""

import asyncio
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lab.eventually import eventually
from lab.memory import peak_rss
from lab.process import spawn
from lab.ratio import interleaved
from lab.story import Story
from snippets.large_datasets import (
    async_backpressure,
    keyset_new_rows,
    naive_new_rows,
    naive_unbounded_queue,
)
from snippets.large_datasets.keyset_pagination import iter_all
from snippets.large_datasets.keyset_postgres import iter_all as iter_all_postgres
from snippets.large_datasets.naive_offset_pagination import ids_by_offset, ids_by_second
from snippets.large_datasets.server_side_cursor import stream_rows

from .queries import page_query

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
MIB = 2**20


@pytest.fixture
def large_url(postgres_url: str) -> str:
    """A database with 300,000 events, as `events` and `orders`; no autovacuum meanwhile."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE events WITH (autovacuum_enabled = off) AS
            SELECT id::int8, (id % 1000)::int4 AS user_id, (id % 700 / 100.0)::numeric(9, 2)
                   AS amount, timestamptz '2026-01-01' + id * interval '1 s' AS created_at
            FROM generate_series(1, 300000) AS id""")
        conn.execute("ALTER TABLE events ADD PRIMARY KEY (id)")
        conn.execute("CREATE INDEX ON events (created_at, id)")
        conn.execute("CREATE VIEW orders AS SELECT *, 'c' AS customer FROM events")
        conn.execute("VACUUM ANALYZE events")
    return postgres_url


READ = {
    "fetchall": "naive_fetch_all.total_by_user(conn)",
    "fetchmany": "naive_fetch_all.total_by_user_fetchmany(conn)",
    "named cursor": "sum(1 for _ in server_side_cursor.stream_rows(conn, QUERY))",
    "chunks": "sum(1 for _ in server_side_cursor.stream_chunks(conn, QUERY))",
    "copy": "sum(1 for _ in copy_out_reader.copy_rows(conn, QUERY))",
    "nothing": "conn.execute('SELECT 1').fetchall()",
}


def memory_of(name: str, url: str) -> int:
    """The peak of a fresh process that reads every event in one way, in bytes."""
    program = f"""
import psycopg
from snippets.large_datasets import copy_out_reader, naive_fetch_all, server_side_cursor
QUERY = "SELECT * FROM events"
with psycopg.connect({url!r}) as conn:
    {READ[name]}
"""
    return peak_rss([sys.executable, "-c", program], baseline=False)


def test_memory_stays_flat_where_fetchall_grows_with_the_table(
    large_url: str, story: Story
) -> None:
    """The process holds the whole table, as objects, and is killed for it."""
    story.scene("one process after another reads 300,000 rows", rows=300_000)
    nothing = memory_of("nothing", large_url)
    used = {name: memory_of(name, large_url) - nothing for name in READ if name != "nothing"}
    told = {name.replace(" ", "_"): f"{bytes_ / MIB:.1f} MiB" for name, bytes_ in used.items()}
    story.naive("fetchall keeps every row; fetchmany keeps the result in libpq", **told)
    assert used["fetchall"] >= 100 * MIB
    assert used["fetchmany"] >= 10 * MIB

    story.good("cursor, chunks and COPY keep a batch", **told)
    for name in ("named cursor", "chunks", "copy"):
        assert used[name] <= 8 * MIB
        assert used["fetchall"] >= 10 * used[name]


def test_a_batch_of_one_row_pays_a_round_trip_a_row(postgres_url: str, story: Story) -> None:
    """A server-side cursor that fetches one row at a time waits for the network 5,000 times."""
    with psycopg.connect(postgres_url) as conn:

        def read(batch: int) -> None:
            query = "SELECT n FROM generate_series(1, 5000) AS n"
            assert sum(1 for _ in stream_rows(conn, query, batch=batch)) == 5000

        times = interleaved({"one": lambda: read(1), "many": lambda: read(2000)}, rounds=3)
    ratio = times["one"].best / times["many"].best
    story.naive("itersize=1 reads 5,000 rows", milliseconds=round(times["one"].best * 1000))
    story.good(
        "itersize=2000", milliseconds=round(times["many"].best * 1000, 1), ratio=round(ratio)
    )
    assert ratio >= 10


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    """10,000 events, 2,500 of them in each second, as `events` and as `orders`."""
    conn = sqlite3.connect(":memory:")
    conn.execute(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, created_at INT, paid_at INT)"
    )
    conn.executemany(
        "INSERT INTO orders VALUES (?, 'c', ?, NULL)", [(n, n // 2500) for n in range(10_000)]
    )
    conn.execute("CREATE VIEW events AS SELECT id, created_at FROM orders")
    conn.commit()
    yield conn
    conn.close()


def test_offset_loses_rows_while_others_delete_and_keyset_does_not(
    sqlite: sqlite3.Connection, story: Story
) -> None:
    """Another job archives rows that were read already; OFFSET skips as many that were not."""

    def archive(page: list[int]) -> None:
        gone = [(id_,) for id_ in page[:10]]
        sqlite.executemany("DELETE FROM orders WHERE id = ?", gone)

    story.scene("10,000 rows in pages of 100; 10 read rows are archived after each page")
    naive: list[int] = []
    for page in ids_by_offset(sqlite, 100):
        naive += page
        archive(page)
    sqlite.rollback()
    story.naive("OFFSET reports success", seen=len(naive), lost=10_000 - len(naive))
    assert len(naive) == 9_100

    good: list[int] = []
    page = []
    for order in iter_all(sqlite, "created_at", 100):
        good.append(order.id)
        page.append(order.id)
        if len(page) == 100:
            archive(page)
            page = []
    sqlite.rollback()
    story.good("keyset", seen=len(good), lost=10_000 - len(good))
    assert good == list(range(10_000))


def test_a_key_that_is_not_unique_loses_the_rest_of_each_group(
    sqlite: sqlite3.Connection, story: Story
) -> None:
    """Pages of 500 by created_at alone, 2,500 rows a second: four of five rows are never seen."""
    naive = [id_ for page in ids_by_second(sqlite, 500) for id_ in page]
    story.naive("created_at > last", seen=len(naive), lost=10_000 - len(naive))
    assert len(naive) == 2_000

    good = [order.id for order in iter_all(sqlite, "created_at", 500)]
    story.good("(created_at, id) > (last, last_id)", seen=len(good), lost=10_000 - len(good))
    assert good == list(range(10_000))


def test_a_deep_offset_reads_every_row_before_it(
    large_url: str, sqlite: sqlite3.Connection, story: Story
) -> None:
    """Page 2,900 by OFFSET reads 290,000 rows and throws them away."""
    sent: list[str] = []
    sqlite.set_trace_callback(sent.append)
    assert len(list(islice(ids_by_offset(sqlite, 100), 2))) == 2
    sqlite.set_trace_callback(None)
    assert sent[1].endswith("OFFSET 100")
    by_offset = sent[1].replace("OFFSET 100", "OFFSET 290000")

    with psycopg.connect(large_url) as conn:

        def pages_touched(query: str) -> int:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"
            found = conn.execute(explain.encode()).fetchone()
            assert found is not None
            plan: dict[str, Any] = found[0][0]["Plan"]
            return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

        naive = pages_touched(by_offset)
        deep = ("2026-01-01 02:46:40+00", "10000")  # newest first: 290,000 rows come before it
        good = pages_touched(page_query(conn, deep, 100))
    story.naive("OFFSET 290000", pages_of_8_kB=naive)
    story.good("keyset at the same depth", pages_of_8_kB=good)
    assert good <= 8
    assert naive >= 100 * good


def test_a_long_cursor_stops_vacuum_and_keyset_pages_do_not(
    postgres_url: str, story: Story
) -> None:
    """While a cursor is half read, VACUUM can remove none of 5,000 dead rows."""

    def vacuum(other: psycopg.Connection[Any]) -> tuple[int, int]:
        """Dead rows that VACUUM removed, and that it had to keep, by its own report."""
        said: list[str] = []

        def hear(notice: psycopg.errors.Diagnostic) -> None:
            said.append(notice.message_primary or "")

        other.add_notice_handler(hear)
        other.execute("VACUUM (VERBOSE) orders")
        other.remove_notice_handler(hear)
        found = re.search(
            r"tuples: (\d+) removed, \d+ remain, (\d+) are dead but not yet removable",
            "\n".join(said),
        )
        assert found is not None, said
        return int(found[1]), int(found[2])

    with (
        psycopg.connect(postgres_url, autocommit=True) as conn,
        psycopg.connect(postgres_url, autocommit=True) as other,
    ):
        conn.execute("""
            CREATE TABLE orders WITH (autovacuum_enabled = off) AS
            SELECT id::int8, 'c' AS customer, timestamptz '2026-01-01' AS created_at, 0 AS paid
            FROM generate_series(1, 20000) AS id""")
        conn.execute("CREATE INDEX ON orders (created_at, id)")
        update = "UPDATE orders SET paid = paid + 1 WHERE id <= 5000"

        story.scene("a reader is half way; another session updates 5,000 rows, then VACUUM")
        cursor = stream_rows(conn, "SELECT * FROM orders")
        for _ in range(10_000):
            next(cursor)
        other.execute(update)
        removed, kept = vacuum(other)
        story.naive("a cursor half way", removed=removed, not_yet_removable=kept)
        assert (removed, kept) == (0, 5000)

        cursor.close()
        removed, kept = vacuum(other)
        story.scene("the cursor is closed", removed=removed, not_yet_removable=kept)
        assert (removed, kept) == (5000, 0)

        pages = iter_all_postgres(conn)
        for _ in range(10_000):
            next(pages)
        other.execute(update)
        removed, kept = vacuum(other)
        story.good("keyset pages half way", removed=removed, not_yet_removable=kept)
        assert (removed, kept) == (5000, 0)


def test_a_row_that_commits_late_is_read_once_by_the_reader_with_a_boundary(
    postgres_url: str, story: Story
) -> None:
    """A lower id commits after a higher one was read: the reader by id never sees it."""
    insert = "INSERT INTO orders (customer) VALUES (%s) RETURNING id"
    with (
        psycopg.connect(postgres_url, autocommit=True) as conn,
        psycopg.connect(postgres_url) as slow,
    ):
        conn.execute(
            "CREATE TABLE orders (id bigserial PRIMARY KEY, customer text,"
            " xid xid8 NOT NULL DEFAULT pg_current_xact_id())"
        )
        story.scene("id 1 is written and not committed; id 2 is, and both readers look")
        assert slow.execute(insert, ["late"]).fetchone() == (1,)
        assert conn.execute(insert, ["early"]).fetchone() == (2,)
        naive, last_id = naive_new_rows.new_orders(conn)
        good, position = keyset_new_rows.new_orders(conn)
        assert (naive, good) == ([(2, "early")], [])

        slow.commit()
        story.scene("id 1 commits, id 3 is written, and both go on from their checkpoints")
        conn.execute(insert, ["next"])
        naive += naive_new_rows.new_orders(conn, last_id)[0]
        # Any open transaction of the server holds the boundary back, those of other tests too.
        eventually(lambda: len(keyset_new_rows.new_orders(conn, position)[0]) == 3, 30)
        good += keyset_new_rows.new_orders(conn, position)[0]
        story.naive("id > last", ids=str([row[0] for row in naive]))
        assert [row[0] for row in naive] == [2, 3]

        story.good("below the oldest open transaction", ids=str([row[0] for row in good]))
        assert [row[0] for row in good] == [1, 2, 3]


async def test_a_bounded_queue_makes_the_producer_wait(story: Story) -> None:
    """Slow workers and an unbounded queue: every item waits in memory."""

    async def rows() -> AsyncGenerator[int, None]:
        for number in range(5_000):
            yield number

    async def slow(_: int) -> None:
        await asyncio.sleep(0.001)

    naive = await naive_unbounded_queue.run(rows(), slow, workers=50)
    story.naive("asyncio.Queue() without a bound, 5,000 items", high_watermark=naive)
    assert naive == 5_000

    stats = await async_backpressure.run(rows(), slow, workers=50, maxsize=100)
    story.good("asyncio.Queue(100)", items=stats.items, high_watermark=stats.high_watermark)
    assert (stats.items, stats.high_watermark) == (5_000, 100)


JOB = """
import os, signal, sqlite3, sys
from snippets.large_datasets import batched_pipeline, naive_checkpoint
how, path, moment = sys.argv[1:]
conn = sqlite3.connect(path)
conn.execute("CREATE TABLE IF NOT EXISTS totals (user INTEGER PRIMARY KEY, cents INT)")
batches = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def source(position):
    return ((n, (n % 7, n)) for n in range(position + 1, 10_001))

def sink(conn, rows):
    global batches
    batches += 1
    conn.executemany("INSERT INTO totals VALUES (?, ?) ON CONFLICT (user)"
                     " DO UPDATE SET cents = cents + excluded.cents", rows)

class Mortal(batched_pipeline.Checkpoint):
    def save(self, position):
        if batches == 5 and moment == "before the checkpoint":
            die()
        super().save(position)
        if batches == 5 and moment == "after the checkpoint":
            die()

checkpoint = Mortal(conn, "job")
if how == "good":
    batched_pipeline.process(source, sink, checkpoint, 500)
else:
    def save(position):
        with conn:
            checkpoint.save(position)
    naive_checkpoint.process(source, sink, conn, checkpoint.load, save, 500)
"""


@pytest.mark.parametrize("moment", ["before the checkpoint", "after the checkpoint"])
def test_a_killed_job_goes_on_without_doing_a_batch_twice(
    tmp_path: Path, story: Story, moment: str
) -> None:
    """SIGKILL in the fifth batch of twenty, then a restart: is every amount counted once?"""

    def run(how: str, moment: str) -> int:
        path = str(tmp_path / f"{how}.db")
        with spawn([sys.executable, "-c", JOB, how, path, moment]) as child:
            output, _ = child.communicate(timeout=60)
        assert output == ""
        return int(child.returncode)

    def total(how: str) -> int:
        with sqlite3.connect(tmp_path / f"{how}.db") as conn:
            cents = conn.execute("SELECT sum(cents) FROM totals").fetchone()[0]
        conn.close()
        return int(cents)

    clean = sum(range(10_001))
    again = sum(range(2_001, 2_501))  # the fifth batch
    story.scene(f"the job is killed {moment} of batch 5, and started again")
    for how in ("naive", "good"):
        assert run(how, moment) == -signal.SIGKILL
        assert run(how, "never") == 0
    story.naive("effect, commit, then checkpoint", total=total("naive"), right=clean)
    assert total("naive") == clean + again

    story.good("checkpoint in the batch's transaction", total=total("good"), right=clean)
    assert total("good") == clean
