"""What the naive code does get right: it works for one user, one worker, one good file."""

import asyncio
from collections.abc import Callable

import pytest
from psycopg_pool import AsyncConnectionPool
from redis import Redis

from snippets.bulk_upload import naive_blpop, naive_fire_and_forget, naive_row_by_row
from snippets.bulk_upload.naive_fire_and_forget import Job
from snippets.bulk_upload.naive_select_then_update import claim
from tests.scenarios.bulk_upload.imports import Db, count

Demo = Callable[..., list[str]]
Refused = Callable[[str, str], None]


@pytest.mark.anyio
@pytest.mark.parametrize(("rows", "batches"), [(2500, 3), (2000, 2), (0, 0)])
async def test_whoever_waits_long_enough_finds_the_rows(
    db: Db, db_url: str, rows: int, batches: int
) -> None:
    db.execute("CREATE TABLE customers (id int, email text)")
    job = Job()
    async with AsyncConnectionPool(db_url) as pool:
        await naive_fire_and_forget.import_csv(pool, job, (f"{n},x" for n in range(rows)))
        assert (job.status, len(job.tasks)) == ("completed", batches)
        await asyncio.gather(*job.tasks)
    assert (job.processed, job.failed, job.in_flight) == (rows, 0, 0)
    assert count(db, "customers") == rows
    assert job.percent == (100 if rows else 0)


@pytest.mark.anyio
async def test_a_bad_row_counts_as_its_whole_batch(db: Db, db_url: str) -> None:
    db.execute("CREATE TABLE customers (id int, email text)")
    job = Job(seen=2)
    async with AsyncConnectionPool(db_url) as pool:
        await naive_fire_and_forget.insert(pool, job, [["1", "a"], ["x", "b"]])
    assert (job.processed, job.failed, job.percent) == (0, 2, 100)


def test_row_by_row_stores_and_counts_for_one_worker(db: Db) -> None:
    db.execute("CREATE TABLE contacts (email text, name text)")
    db.execute("CREATE TABLE job (id int, done int)")
    db.execute("INSERT INTO job VALUES (1, 0)")
    assert naive_row_by_row.import_csv(db, 1, ["a@x,A", "b@x,B"]) == 2
    assert naive_row_by_row.read_progress(db, 1) == count(db, "contacts") == 2


def test_one_worker_claims_each_job_once(db: Db) -> None:
    db.execute("CREATE TABLE tasks (id int, state text)")
    db.execute("INSERT INTO tasks VALUES (1, 'ready'), (2, 'ready')")
    assert [claim(db), claim(db), claim(db)] == [1, 2, None]


def test_a_list_gives_each_job_once(redis_url: str) -> None:
    seen: list[str] = []
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        redis.rpush("q", "a", "b")
        assert [naive_blpop.step(redis, "q", seen.append) for _ in range(3)] == [True, True, False]
    assert seen == ["a", "b"]


def test_the_demos_show_the_failures(
    db_url: str, redis_url: str, demo: Demo, refused: Refused
) -> None:
    lines = demo("naive_fire_and_forget", DATABASE_URL=db_url)
    assert lines == ["completed: 0 of 100000 rows stored,", "100 batches in flight"]
    lines = demo("naive_row_by_row", DATABASE_URL=db_url)
    assert lines[-1] == "after the retry: 400 rows of 200"
    lines = demo("naive_select_then_update", DATABASE_URL=db_url)
    assert [line.split()[-1] for line in lines] == ["1", "1"]
    lines = demo("naive_blpop", REDIS_URL=redis_url)
    assert lines[-1] == "left in the queue: ['b.csv', 'c.csv']"
    for name in ("fire_and_forget", "row_by_row", "select_then_update"):
        refused(f"naive_{name}", "DATABASE_URL")
    refused("naive_blpop", "REDIS_URL")
