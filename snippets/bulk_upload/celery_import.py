# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "celery[redis]>=5.7,<6",
#   "psycopg[binary]>=3.3.9,<4",
#   "redis>=8.1,<9",
# ]
#
# [tool.firedrill]
# needs = ["redis"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The same import on Celery: slices as tasks, acknowledged when done.

By default Celery acknowledges a task before it runs, and a killed worker
takes it along. `acks_late` acknowledges afterwards; `reject_on_worker_lost`
hands the task back when the process under it was killed, which can go on for
ever; `retry_on_worker_lost` (Celery 5.7) makes that a retry, which is counted
as long as the process above it lives. Delivery is then at least once, which
run_slice of import_worker.py bears: its checkpoint moves only from where it
was read.

With Redis as broker a task that is not acknowledged within
`visibility_timeout` (an hour by default) is delivered again: when it still
runs, and when the whole machine is gone. That is not counted. Keep slices far
below it.

Source: Celery documentation, Tasks and Using Redis,
https://docs.celeryq.dev/en/stable/userguide/tasks.html
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from celery.signals import task_failure

RunSlice = Callable[[str], bool]
Bury = Callable[[str, str], None]


# --8<-- [start:celery]
def make_celery(  # noqa: PLR0913 - each is a decision of the caller
    broker: str,
    run_slice: RunSlice,
    bury: Bury,
    *,
    visibility_timeout: int = 300,
    retries: int = 4,
    pause: float = 5.0,
) -> Celery:
    """Build the application with its one task, `import_slice`.

    Args:
        broker: address of the broker: Redis, Valkey or RabbitMQ.
        run_slice: works on an import for a while; True when it has ended.
        bury: told the import and the reason when it is given up. If it
            raises, the database is away, and the import is sent again.
        visibility_timeout: seconds, well above the longest slice.
        retries: of one slice, after errors and killed workers alike.
        pause: seconds before the first of them, at most; after errors it
            doubles, and is random. A killed worker's retry waits just so long.
    """
    app = Celery("imports", broker=broker)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_retry_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # a long task must not hold the next
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": visibility_timeout},
        task_ignore_result=True,  # the import's row is the result
    )

    @app.task(  # type: ignore[untyped-decorator]
        name="import_slice",
        shared=False,  # of this application only
        autoretry_for=(Exception,),
        max_retries=retries,
        default_retry_delay=pause,  # after a killed worker
        retry_backoff=pause,  # after an error
        retry_backoff_max=visibility_timeout // 2,
        retry_jitter=True,
    )
    def import_slice(import_id: str) -> None:
        if not run_slice(import_id):  # behind all the imports that wait
            app.send_task("import_slice", (import_id,))

    def given_up(
        args: Sequence[str], exception: Exception, **_: object
    ) -> None:
        try:
            bury(args[0], repr(exception))
        except Exception:  # else it would say "running" for ever
            wait = visibility_timeout // 2
            app.send_task("import_slice", args, countdown=wait)
            raise

    task = app.tasks["import_slice"]
    task_failure.connect(given_up, weak=False, sender=task)
    return app
    # --8<-- [end:celery]


# --8<-- [start:wiring]
def build(broker: str, database_url: str) -> Celery:
    """Wire it to import_worker.py beside this file.

    Start workers: celery -A your_module:app worker --concurrency=2
    """
    import time
    from types import SimpleNamespace

    import import_worker
    import psycopg

    nothing: Any = SimpleNamespace(
        beat=lambda _conn: None, complete=lambda _conn: None
    )

    def run_slice(import_id: str) -> bool:
        ends = time.monotonic() + 10.0
        with psycopg.connect(database_url, autocommit=True) as conn:
            try:
                return bool(
                    import_worker.run_slice(
                        conn,
                        import_id,
                        nothing,
                        **import_worker.tools(),
                        until=lambda: time.monotonic() > ends,
                    )
                )
            except import_worker.OvertakenError:
                return True  # another task of this import goes on

    def bury(import_id: str, why: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as conn:
            conn.execute(
                "UPDATE imports SET state = 'failed', error = %s WHERE id = %s"
                " AND state IN ('queued', 'running')",
                (why[:500], import_id),
            )

    return make_celery(broker, run_slice, bury)
    # --8<-- [end:wiring]


# --8<-- [start:demo]
def main() -> None:
    """Work off one import in three slices, by a worker in this process."""
    from celery.contrib.testing.worker import start_worker
    from redis import Redis, RedisError

    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:1/0"
    queue, left, ended = f"firedrill-{os.getpid()}", [3], threading.Event()

    def run_slice(import_id: str) -> bool:
        left[0] -= 1
        print(f"{import_id}: {left[0]} slices left")
        if not left[0]:
            ended.set()
        return not left[0]

    try:
        Redis.from_url(url).ping()
    except (RedisError, ValueError) as error:
        sys.exit(
            f"No Redis at REDIS_URL={url!r} ({error}). For example: docker run"
            " --rm -d -p 127.0.0.1:6379:6379 valkey/valkey;"
            " export REDIS_URL=redis://127.0.0.1:6379/0; then run this file"
            " again (in the Firedrill repository: make lab)"
        )
    app = make_celery(url, run_slice, print)
    app.conf.task_default_queue = queue
    with start_worker(app, pool="solo", perform_ping_check=False):
        app.send_task("import_slice", ("import 7",))
        ended.wait(10)
    app.close()
    with Redis.from_url(url) as redis:
        for key in redis.scan_iter(f"*{queue}*"):
            redis.delete(key)


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
