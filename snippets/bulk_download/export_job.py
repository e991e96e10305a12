# /// script
# requires-python = ">=3.11"
# dependencies = ["asyncpg>=0.32,<1"]
#
# [tool.firedrill]
# needs = ["postgres"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""An export as a job: queued, claimed, cancelled, found and handed out.

The table is the queue; Celery or Dramatiq can carry the wake-up instead, and
the row still says whose export it is and what became of it. A worker holds a
lease: killed, it loses the job to another, which writes to another key. What
a late first worker still does then changes nothing.

Every look at a job names its owner. "Not yours" and "does not exist" are one
answer, or the answer tells who has exports.

Source: https://www.postgresql.org/docs/current/sql-select.html (SKIP LOCKED),
OWASP API1:2023 Broken Object Level Authorization
"""

import asyncio
import json
import logging
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

Pool = Any  # asyncpg.Pool; the package has no types
Client = Any  # of boto3, which makes its classes at run time

LEASE_SECONDS = 60.0
MOST_ATTEMPTS = 3
_LOG = logging.getLogger(__name__)

# --8<-- [start:schema]
# A migration's work. Two processes that start at once do not collide: one
# script is one transaction, and the lock is held until its end.
SCHEMA = """
SELECT pg_advisory_xact_lock(hashtext('exports'));
CREATE TABLE IF NOT EXISTS exports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant text NOT NULL,
    owner text NOT NULL,
    request jsonb NOT NULL,  -- what was asked for, checked
    state text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'running', 'ready', 'failed', 'cancelled', 'expired')),
    attempt int NOT NULL DEFAULT 0,
    lease timestamptz,  -- until when its worker is believed to live, or a
                        -- queued job that failed is to wait
    result jsonb,  -- key, etag, bytes, sha256 and manifest, once ready
    expires timestamptz NOT NULL DEFAULT now() + interval '24 hours'
);
CREATE INDEX IF NOT EXISTS exports_waiting ON exports (expires)
    WHERE state IN ('queued', 'running')"""
# --8<-- [end:schema]


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks, as your authentication found out; never from the request."""

    tenant: str
    user: str


@dataclass(frozen=True, slots=True)
class Job:
    """One export."""

    id: str
    tenant: str
    request: dict[str, Any]
    state: str
    attempt: int
    result: dict[str, Any] | None


_FIELDS = "id::text, tenant, request, state, attempt, result"


def _job(row: Any) -> Job | None:  # noqa: ANN401 - an untyped package's record
    if row is None:
        return None
    request, result = json.loads(row["request"]), row["result"]
    return Job(
        row["id"],
        row["tenant"],
        request,
        row["state"],
        row["attempt"],
        result and json.loads(result),
    )


# --8<-- [start:enqueue]
async def enqueue(
    pool: Pool, who: Who, request: dict[str, Any], *, most: int = 2
) -> Job | None:
    """Queue an export; None when `who.tenant` has `most` under way.

    The same request of the same user again is the job under way: impatient
    clicks and repeated requests are one job.
    """
    what = who.tenant, who.user, json.dumps(request)
    async with pool.acquire() as conn, conn.transaction():
        # One at a time for each tenant, so that two clicks cannot both pass.
        await conn.execute(
            "SELECT pg_advisory_xact_lock(hashtext($1))", who.tenant
        )
        same = await conn.fetchrow(
            f"SELECT {_FIELDS} FROM exports WHERE tenant = $1 AND owner = $2"
            " AND request = $3 AND state IN ('queued', 'running')",
            *what,
        )
        return _job(
            same
            or await conn.fetchrow(
                "INSERT INTO exports (tenant, owner, request)"
                " SELECT $1, $2, $3 WHERE $4 > (SELECT count(*) FROM exports"
                " WHERE tenant = $1 AND state IN ('queued', 'running'))"
                f" RETURNING {_FIELDS}",
                *what,
                most,
            )
        )


# --8<-- [end:enqueue]


# --8<-- [start:find]
async def find(pool: Pool, who: Who, job_id: str) -> Job | None:
    """Return a job of this very user; None for anything else."""
    try:
        number = uuid.UUID(job_id)
    except ValueError:
        return None
    return _job(
        await pool.fetchrow(
            f"SELECT {_FIELDS} FROM exports"
            " WHERE id = $1 AND tenant = $2 AND owner = $3",
            number,  # no text: that would use no index
            who.tenant,
            who.user,
        )
    )


async def cancel(pool: Pool, who: Who, job_id: str) -> bool:
    """Cancel a job of this user that is not over; say whether it was so."""
    job = await find(pool, who, job_id)
    status = job and await pool.execute(
        "UPDATE exports SET state = 'cancelled'"
        " WHERE id = $1 AND state IN ('queued', 'running')",
        job.id,
    )
    return status == "UPDATE 1"


def link(client: Client, bucket: str, job: Job, filename: str) -> str:
    """Return an address that opens the finished file for a minute.

    Whoever has the address has the file, so it is made for each download and
    lives long enough to begin one; bytes may flow for longer. It is not for
    single use: what needs that goes through your service. `filename` is plain
    ASCII of yours. Raises ValueError for a client that does not sign by
    version 4, as boto3's do not by default for these addresses in us-east-1:
    boto3.client("s3", config=Config(signature_version="s3v4")).
    """
    if job.result is None:
        raise ValueError(f"export {job.id} is {job.state}, it has no file")
    what = {
        "Bucket": bucket,
        "Key": job.result["key"],
        "ResponseContentDisposition": f'attachment; filename="{filename}"',
    }
    url = str(
        client.generate_presigned_url("get_object", Params=what, ExpiresIn=60)
    )
    if "X-Amz-Signature" not in url:
        raise ValueError("the store would refuse it: sign by version 4")
    return url


# --8<-- [end:find]


# --8<-- [start:run_one]
class WithdrawnError(Exception):
    """The job was cancelled, or its lease ran out and another has it."""


async def run_one(
    pool: Pool,
    export: Callable[[Job], Awaitable[dict[str, Any]]],
    *,
    lease: float = LEASE_SECONDS,
) -> Job | None:
    """Run the next job, if any, and return it as it stands afterwards.

    `export` writes the file and returns the result. It is cancelled when the
    user cancels the job, a third of `lease` seconds later at most. A job
    whose export raises, or whose worker dies, is tried three times; after an
    error first 10, then 20 seconds later, for a failover takes its time.

    Raises what asyncpg raises when the table cannot be reached: go on with
    the next call. The job is then taken up when its lease is over.
    """
    row = await pool.fetchrow(
        "UPDATE exports SET state = 'running', attempt = attempt + 1,"
        " lease = now() + $1 * interval '1 second' WHERE id = (SELECT id"
        " FROM exports WHERE attempt < $2 AND state IN ('queued', 'running')"
        " AND coalesce(lease, now()) <= now()"
        " ORDER BY expires LIMIT 1 FOR UPDATE SKIP LOCKED)"
        f" RETURNING {_FIELDS}",
        lease,
        MOST_ATTEMPTS,
    )
    job = _job(row)
    if job is None:
        return None
    state, result = "ready", None
    try:
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(_keep(pool, job, lease))
            result = await export(job)
            beat.cancel()
    except* WithdrawnError:
        state = "cancelled"
    except* Exception:  # noqa: BLE001 - told, recorded, tried again
        _LOG.exception("export %s, attempt %d", job.id, job.attempt)
        state = "failed" if job.attempt >= MOST_ATTEMPTS else "queued"
    if not await _settle(pool, job, state, result):
        # Too late. A file that was finished is the bucket's to expire.
        state, result = "cancelled", None
    return replace(job, state=state, result=result)


async def _keep(pool: Pool, job: Job, lease: float) -> None:
    """Extend the lease again and again; raise once the job is not ours."""
    while True:
        await asyncio.sleep(lease / 3)
        status = await pool.execute(
            "UPDATE exports SET lease = now() + $1 * interval '1 second'"
            " WHERE id = $2 AND attempt = $3 AND state = 'running'",
            lease,
            job.id,
            job.attempt,
        )
        if status != "UPDATE 1":
            raise WithdrawnError(f"export {job.id}")


async def _settle(
    pool: Pool, job: Job, state: str, result: dict[str, Any] | None
) -> bool:
    """Record the outcome and tell it, unless the job is ours no longer."""
    status = await pool.execute(
        "WITH done AS (UPDATE exports SET state = $1, result = $2,"
        " lease = now() + interval '5 s' * 2 ^ attempt,"
        " expires = now() + interval '24 hours'"
        " WHERE id = $3 AND attempt = $4 AND state = 'running'"
        " RETURNING id) SELECT pg_notify('exports', id::text) FROM done",
        state,
        None if result is None else json.dumps(result),
        job.id,
        job.attempt,
    )
    return bool(status == "SELECT 1")


# --8<-- [end:run_one]


# --8<-- [start:expire]
async def expire(pool: Pool, client: Client, bucket: str) -> int:
    """Delete files past their time; return how many. Run it every hour.

    It also gives up jobs whose last worker died.

    A lifecycle rule of the bucket is the second net: this one also says so to
    the user. The file goes first, so a failure leaves a row to try again, and
    stops no other.
    """
    await pool.execute(
        "UPDATE exports SET state = 'failed'"
        " WHERE state = 'running' AND attempt >= $1 AND lease < now()",
        MOST_ATTEMPTS,
    )
    rows = await pool.fetch(
        "SELECT id, result ->> 'key' AS key FROM exports"
        " WHERE state = 'ready' AND expires < now()"
    )
    gone = []
    for row in rows:
        try:
            await asyncio.to_thread(
                client.delete_object, Bucket=bucket, Key=row["key"]
            )
            gone.append(row["id"])
        except Exception:  # noqa: BLE001 - told, and tried in an hour
            _LOG.exception("file of export %s", row["id"])
    await pool.execute(
        "UPDATE exports SET state = 'expired' WHERE id = ANY($1)", gone
    )
    return len(gone)


# --8<-- [end:expire]


# --8<-- [start:demo]
async def demo(url: str) -> None:
    """Click three times, run what was queued, ask as somebody else."""
    ann, eve = Who("acme", "ann"), Who("acme", "eve")
    name = f"firedrill_{os.getpid()}"
    settings = {"search_path": name}
    async with asyncpg.create_pool(
        url, min_size=1, max_size=2, server_settings=settings
    ) as pool:
        await pool.execute(f"CREATE SCHEMA {name}")
        try:
            await pool.execute(SCHEMA)
            clicks = [await enqueue(pool, ann, {}) for _ in range(3)]
            print(f"three clicks: {len({job and job.id for job in clicks})}")
            two = [await enqueue(pool, ann, {"n": n}) for n in range(2)]
            print(f"two more requests: {[job and job.state for job in two]}")

            async def export(job: Job) -> dict[str, Any]:
                return {"key": f"{job.tenant}/{job.id}/{job.attempt}.csv"}

            done = await run_one(pool, export)
            print(f"one worker later: {done and done.state}")
            job = done and await find(pool, ann, done.id)
            print(f"ann asks: {job and job.state}")
            print(f"eve asks: {done and await find(pool, eve, done.id)}")
        finally:
            await pool.execute(f"DROP SCHEMA {name} CASCADE")


def main() -> None:
    """Run the demo."""
    url = os.environ.get("DATABASE_URL") or sys.exit(
        "Set DATABASE_URL. A server: docker run --rm -p 5432:5432 "
        "-e POSTGRES_PASSWORD=x postgres:18, then "
        "DATABASE_URL=postgresql://postgres:x@127.0.0.1/postgres. "
        "In the Firedrill repository: make lab"
    )
    asyncio.run(demo(url))


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
