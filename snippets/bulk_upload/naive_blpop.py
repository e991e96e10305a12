# /// script
# requires-python = ">=3.11"
# dependencies = ["redis>=8.1,<9"]
#
# [tool.firedrill]
# needs = ["redis"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A Redis list as a queue: the job is gone before the work begins.

BLPOP removes what it returns. A worker that is killed, or that raises, takes
its job along, and nothing remembers that there was one.
"""

import os
import sys
from collections.abc import Callable

from redis import Redis, RedisError


# --8<-- [start:step]
def step(redis: Redis, queue: str, handler: Callable[[str], None]) -> bool:
    """Handle one job; False when there was none within a second."""
    # BUG: from here on the job exists in this process only.
    found = redis.blpop([queue], timeout=1)
    if found is None:
        return False
    handler(str(found[1]))
    return True
    # --8<-- [end:step]


# --8<-- [start:demo]
def main() -> None:
    """Let the first of three jobs kill its worker."""
    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:1/0"
    queue = f"firedrill:demo:{os.getpid()}"

    def killed(_job: str) -> None:
        raise KeyboardInterrupt

    try:
        with Redis.from_url(url, decode_responses=True) as redis:
            redis.rpush(queue, "a.csv", "b.csv", "c.csv")
            try:
                step(redis, queue, killed)
            except KeyboardInterrupt:
                print("killed while it worked on a.csv")
            print(f"left in the queue: {redis.lrange(queue, 0, -1)}")
            redis.delete(queue)
    except (RedisError, ValueError) as error:
        sys.exit(
            f"No Redis at REDIS_URL={url!r} ({error}). For example: docker run"
            " --rm -d -p 127.0.0.1:6379:6379 valkey/valkey;"
            " export REDIS_URL=redis://127.0.0.1:6379/0; then run this file"
            " again (in the Firedrill repository: make lab)"
        )


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
