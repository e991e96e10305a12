"""Jobs: one owner each, a bound a tenant, and every end has a name."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
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
    job = await enqueue(pool, who, {"columns": ["id"]})
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
        assert job.request == {"columns": ["id"]}
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
    for nonsense in ("", "1", "x' OR true --", str(uuid.uuid4())):
        assert await find(pool, ANN, nonsense) is None
    assert await cancel(pool, ANN, job.id)
    assert not await cancel(pool, ANN, job.id)
    assert await run_one(pool, good) is None


async def test_clicks_at_the_same_moment_do_not_pass_the_bound(pool: Pool) -> None:
    clicks = await asyncio.gather(*(enqueue(pool, ANN, {}, most=2) for _ in range(8)))
    assert sum(job is not None for job in clicks) == 2
    assert await enqueue(pool, EVE, {}) is not None
    await run_one(pool, good)
    assert await enqueue(pool, ANN, {}, most=2) is not None


async def test_workers_at_the_same_moment_take_different_jobs(pool: Pool) -> None:
    jobs = {(await queued(pool, who)).id for who in (ANN, ANN, EVE)}
    done = await asyncio.gather(*(run_one(pool, good) for _ in range(4)))
    assert sorted(job.id for job in done if job) == sorted(jobs)


async def test_an_export_that_fails_is_tried_three_times(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    job = await queued(pool)
    states = [done.state for _ in range(3) if (done := await run_one(pool, bad))]
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


async def test_there_is_no_link_to_a_file_that_is_not_there(client: Client, s3: Bucket) -> None:
    job = Job("7", "acme", {}, "running", 1, None)
    with pytest.raises(ValueError, match="export 7 is running"):
        link(client, s3.name, job, "a.csv")


@pytest.mark.usefixtures("demo_postgres")
def test_the_demo_shows_three_clicks(demo: Demo) -> None:
    assert demo("export_job") == [
        "three clicks: ['queued', 'queued', None]",
        "one worker later: ready",
        "ann asks: ready",
        "eve asks: None",
    ]
