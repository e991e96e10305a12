"""Jobs: one owner each, a bound a tenant, and every end has a name."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import boto3
import pytest

from lab.servers import Bucket
from snippets.bulk_download import export_job
from snippets.bulk_download.export_job import Job, Who, cancel, enqueue, expire, find, link, run_one
from tests.scenarios.bulk_download.conftest import Client, Demo, Pool

pytestmark = pytest.mark.anyio
ANN, BEN, EVE = Who("acme", "ann"), Who("acme", "ben"), Who("evil", "eve")


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=8) as pool:
        await pool.execute(export_job.SCHEMA)
        yield pool


@pytest.fixture
def client(s3: Bucket) -> Iterator[Any]:
    client = s3.client()
    yield client
    client.close()


async def queued(pool: Pool, who: Who = ANN) -> Job:
    job = await enqueue(pool, who, {"columns": ["id"], "not": str(uuid.uuid4())})
    assert job is not None
    return job


async def state(pool: Pool, job: Job) -> str:
    return str(await pool.fetchval("SELECT state FROM exports WHERE id::text = $1", job.id))


async def good(job: Job) -> dict[str, Any]:
    return {"key": f"{job.tenant}/{job.id}/{job.attempt}", "rows": 3}


async def bad(_: Job) -> dict[str, Any]:
    raise ConnectionError("the database went away")


async def test_a_job_runs_and_its_owner_finds_the_result(pool: Pool) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with pool.acquire() as conn:

        def hear(*told: str) -> None:
            heard.put_nowait(told[-1])

        await conn.add_listener("exports", hear)
        job = await queued(pool)
        assert job.request["columns"] == ["id"]
        done = await run_one(pool, good)
        assert done == await find(pool, ANN, job.id)
        assert done is not None
        assert (done.state, done.result) == ("ready", {"key": f"acme/{job.id}/1", "rows": 3})
        assert await heard.get() == job.id
        await conn.remove_listener("exports", hear)
    assert await run_one(pool, good) is None


async def test_nobody_else_finds_or_cancels_it(pool: Pool) -> None:
    job = await queued(pool)
    for who in (BEN, EVE, Who("evil", "ann")):
        assert await find(pool, who, job.id) is None
        assert not await cancel(pool, who, job.id)
    for nonsense in ("", "1", "a\0b", "\ud800", "x' OR true --", str(uuid.uuid4())):
        assert await find(pool, ANN, nonsense) is None
    assert await cancel(pool, ANN, job.id)
    assert not await cancel(pool, ANN, job.id)
    assert await run_one(pool, good) is None


async def test_clicks_at_the_same_moment_do_not_pass_the_bound(pool: Pool) -> None:
    clicks = await asyncio.gather(*(enqueue(pool, ANN, {"n": n}, most=2) for n in range(8)))
    assert sum(job is not None for job in clicks) == 2
    assert await enqueue(pool, EVE, {}) is not None
    await run_one(pool, good)
    assert await enqueue(pool, ANN, {"n": 8}, most=2) is not None


async def test_the_same_click_again_is_the_same_job_of_the_same_user(pool: Pool) -> None:
    clicks = await asyncio.gather(*(enqueue(pool, ANN, {"n": 1, "m": 2}) for _ in range(4)))
    assert len({job and job.id for job in clicks}) == 1
    for who, request in ((BEN, {"n": 1, "m": 2}), (EVE, {"n": 1, "m": 2}), (EVE, {})):
        other = await enqueue(pool, who, request)
        assert other is not None
        assert other.id != (clicks[0] and clicks[0].id)
    while await run_one(pool, good):
        pass
    again = await enqueue(pool, ANN, {"n": 1, "m": 2})  # what is over is made anew
    assert again is not None
    assert again.id != (clicks[0] and clicks[0].id)


async def test_each_look_at_a_job_is_by_an_index(pool: Pool) -> None:
    await pool.execute(
        "INSERT INTO exports (tenant, owner, request, state)"
        " SELECT 'acme', 'ann', '{}', 'ready' FROM generate_series(1, 5000)"
    )
    await pool.execute("ANALYZE exports")
    job = await queued(pool)
    scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'exports'"
    async with pool.acquire() as conn, conn.transaction():
        before = await conn.fetchval(scans)
        assert await find(conn, ANN, job.id) == job
        assert await cancel(conn, ANN, job.id)
        assert await run_one(conn, good) is None
        assert await conn.fetchval(scans) == before


async def test_workers_at_the_same_moment_take_different_jobs(pool: Pool) -> None:
    jobs = {(await queued(pool, who)).id for who in (ANN, ANN, EVE)}
    done = await asyncio.gather(*(run_one(pool, good) for _ in range(4)))
    assert sorted(job.id for job in done if job) == sorted(jobs)


async def test_an_export_that_fails_is_tried_three_times(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    job = await queued(pool)
    wait = "SELECT extract(epoch FROM lease - now()) FROM exports"
    states = []
    for seconds in (10, 20, 0):
        done = await run_one(pool, bad)
        assert done is not None
        states.append(done.state)
        assert await run_one(pool, bad) is None  # not at once: a failover takes seconds
        if seconds:
            assert seconds - 5 < await pool.fetchval(wait) <= seconds
        await pool.execute("UPDATE exports SET lease = now()")
    assert states == ["queued", "queued", "failed"]
    assert await state(pool, job) == "failed"
    assert await run_one(pool, bad) is None
    assert caplog.text.count("the database went away") >= 3


async def test_a_job_of_a_dead_worker_goes_to_another_and_the_ghost_changes_nothing(
    pool: Pool,
) -> None:
    job = await queued(pool)
    came, go = asyncio.Event(), asyncio.Event()

    async def stalled(job: Job) -> dict[str, Any]:
        came.set()
        await go.wait()
        return await good(job)

    ghost = asyncio.create_task(run_one(pool, stalled))
    await came.wait()
    await pool.execute("UPDATE exports SET lease = now() - interval '1 s'")
    done = await run_one(pool, good)
    assert done is not None
    assert done.result == {"key": f"acme/{job.id}/2", "rows": 3}
    go.set()
    late = await ghost
    assert late is not None
    assert (late.state, late.result) == ("cancelled", None)
    assert await find(pool, ANN, job.id) == done


async def test_a_ghost_that_ends_first_does_not_settle_the_job_of_the_other(pool: Pool) -> None:
    job = await queued(pool)
    goes = [asyncio.Event(), asyncio.Event()]
    came: asyncio.Queue[int] = asyncio.Queue()

    async def stalled(job: Job) -> dict[str, Any]:
        came.put_nowait(job.attempt)
        await goes[job.attempt - 1].wait()
        return await good(job)

    ghost = asyncio.create_task(run_one(pool, stalled))
    assert await came.get() == 1
    await pool.execute("UPDATE exports SET lease = now() - interval '1 s'")
    second = asyncio.create_task(run_one(pool, stalled))
    assert await came.get() == 2
    goes[0].set()
    await ghost
    assert await state(pool, job) == "running"
    goes[1].set()
    done = await second
    assert done is not None
    assert done.result == {"key": f"acme/{job.id}/2", "rows": 3}


async def test_cancelling_stops_a_running_export(pool: Pool) -> None:
    job = await queued(pool)
    came, stopped = asyncio.Event(), asyncio.Event()

    async def endless(_: Job) -> dict[str, Any]:
        came.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        raise AssertionError

    task = asyncio.create_task(run_one(pool, endless, lease=0.15))
    await came.wait()
    await asyncio.sleep(0.2)  # longer than the lease: it was extended
    assert await run_one(pool, good) is None
    assert await cancel(pool, ANN, job.id)
    done = await task
    assert done is not None
    assert done.state == await state(pool, job) == "cancelled"
    assert stopped.is_set()


async def test_a_file_past_its_time_is_deleted_and_dead_jobs_are_given_up(
    pool: Pool, client: Client, s3: Bucket
) -> None:
    old, young, dead = [await queued(pool, who) for who in (ANN, ANN, EVE)]
    for _ in range(2):
        done = await run_one(pool, good)
        assert done is not None
        assert done.result is not None
        client.put_object(Bucket=s3.name, Key=done.result["key"], Body=b"x")
    await pool.execute("UPDATE exports SET expires = now() WHERE id::text = $1", old.id)
    await pool.execute(
        "UPDATE exports SET state = 'running', attempt = 3, lease = now() WHERE id::text = $1",
        dead.id,
    )
    assert await expire(pool, client, s3.name) == 1
    assert [await state(pool, job) for job in (old, young, dead)] == ["expired", "ready", "failed"]
    found = client.list_objects_v2(Bucket=s3.name)["Contents"]
    assert [o["Key"] for o in found] == [f"acme/{young.id}/1"]


async def test_a_claim_that_is_not_committed_yet_is_passed_over(pool: Pool) -> None:
    first, second = await queued(pool), await queued(pool, EVE)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM exports WHERE id = $1 FOR UPDATE", first.id)
        async with asyncio.timeout(10):
            done = await run_one(pool, good)
    assert done is not None
    assert done.id == second.id


async def test_a_job_cancelled_at_its_very_end_is_not_ready(pool: Pool) -> None:
    job = await queued(pool)

    async def cancelled(job: Job) -> dict[str, Any]:
        assert await cancel(pool, ANN, job.id)
        return await good(job)

    done = await run_one(pool, cancelled)
    assert done is not None
    assert (done.state, done.result) == ("cancelled", None)
    assert await state(pool, job) == "cancelled"


async def test_running_jobs_count_and_a_fourth_attempt_is_none(pool: Pool) -> None:
    job = await queued(pool)

    async def more(_: Job) -> dict[str, Any]:
        assert await enqueue(pool, ANN, {"n": 2}, most=1) is None
        return {}

    done = await run_one(pool, more)
    assert done is not None
    assert done.state == "ready"
    await pool.execute("UPDATE exports SET state = 'running', attempt = 3, lease = now()")
    assert await run_one(pool, good) is None
    assert await state(pool, job) == "running"


async def test_the_hourly_look_leaves_what_lives(pool: Pool) -> None:
    living, young = await queued(pool), await queued(pool)
    await pool.execute(
        "UPDATE exports SET expires = now(), attempt = 3, state = CASE id WHEN $1 THEN"
        " 'running' ELSE 'queued' END, lease = now() + interval '1 hour'",
        living.id,
    )
    assert await expire(pool, None, "none") == 0
    assert [await state(pool, job) for job in (living, young)] == ["running", "queued"]


async def test_a_file_that_cannot_be_deleted_stops_no_other(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    stays, goes = [await queued(pool) for _ in range(2)]
    for _ in range(2):
        await run_one(pool, good)
    await pool.execute("UPDATE exports SET expires = now()")

    class Store:
        def delete_object(self, Bucket: str, Key: str) -> None:  # noqa: N803 - boto3's
            assert Bucket == "b"
            if stays.id in Key:
                raise ConnectionError(Key)

    assert await expire(pool, Store(), "b") == 1
    assert [await state(pool, job) for job in (stays, goes)] == ["ready", "expired"]
    assert f"file of export {stays.id}" in caplog.text


async def test_processes_that_start_at_once_make_one_table(postgres_url: str) -> None:
    async with asyncpg.create_pool(postgres_url, min_size=8, max_size=8) as pool:
        await asyncio.gather(*(pool.execute(export_job.SCHEMA) for _ in range(8)))


async def test_a_link_is_to_a_file_that_is_there_and_signed_so_that_the_store_opens_it(
    client: Client, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    job = Job("7", "acme", {}, "running", 1, None)
    with pytest.raises(ValueError, match="export 7 is running"):
        link(client, s3.name, job, "a.csv")
    ready = Job("7", "acme", {}, "ready", 1, {"key": "a"})
    assert "X-Amz-Signature" in link(client, s3.name, ready, "a.csv")
    plain = boto3.client("s3", endpoint_url=s3.endpoint_url, region_name="us-east-1")
    with pytest.raises(ValueError, match="sign by version 4"):
        link(plain, s3.name, ready, "a.csv")
    plain.close()


@pytest.mark.usefixtures("demo_postgres")
def test_the_demo_shows_three_clicks(demo: Demo) -> None:
    assert demo("export_job") == [
        "three clicks: 1",
        "two more requests: ['queued', None]",
        "one worker later: ready",
        "ann asks: ready",
        "eve asks: None",
    ]
