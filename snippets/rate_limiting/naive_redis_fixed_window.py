# /// script
# requires-python = ">=3.11"
# dependencies = ["redis>=8.1,<9"]
#
# [tool.firedrill]
# needs = ["redis"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""Two fixed-window counters in Redis, as most services first write them.

Both work in a test with one client. `get_then_set` loses counts as soon as two
requests overlap, and splits its count when two servers' clocks disagree.
`incr_then_expire` counts right, but a crash between its two calls leaves a key
that never expires: that client is blocked until somebody deletes the key.
Each call is O(1), one or two round trips. Errors: redis.RedisError.
"""

import os
import sys
import time
from collections.abc import Callable

from redis import Redis, RedisError


# --8<-- [start:race]
def get_then_set(
    redis: Redis,
    key: str,
    limit: int,
    window: int,
    clock: Callable[[], float] = time.time,
) -> bool:
    """Allow at most `limit` requests per `window` seconds, or so it seems."""
    # BUG: every server cuts the windows by its own clock.
    slot = f"{key}:{int(clock() // window)}"
    used = int(redis.get(slot) or 0)
    if used >= limit:
        return False
    # BUG: race: whoever read the same number meanwhile writes the same sum.
    redis.set(slot, used + 1, ex=window)
    return True
    # --8<-- [end:race]


# --8<-- [start:crash]
def incr_then_expire(redis: Redis, key: str, limit: int, window: int) -> bool:
    """Allow at most `limit` requests per `window` seconds, if nothing dies."""
    used = int(redis.incr(key))
    if used == 1:
        # BUG: a crash before this line leaves a counter that never expires.
        redis.expire(key, window)
    return used <= limit
    # --8<-- [end:crash]


def demo(url: str) -> None:
    """Die between INCR and EXPIRE, and ask for the key's time to live."""
    key = f"firedrill:naive:{os.getpid()}"
    with Redis.from_url(url) as redis:
        redis.incr(key)  # the process is killed here, before EXPIRE
        passed = [incr_then_expire(redis, key, 3, 60) for _ in range(5)]
        print(f"limit 3, the killed request counted, five more: {passed}")
        print(f"time to live: {redis.ttl(key)} (-1: this key never expires)")
        redis.delete(key)


def main() -> None:
    """Run the demo against REDIS_URL."""
    url = os.environ.get("REDIS_URL", "")
    try:
        demo(url)
    except (RedisError, ValueError) as error:
        sys.exit(
            f"No Redis at REDIS_URL={url!r} ({error}). For example: docker run"
            " --rm -d -p 127.0.0.1:6379:6379 valkey/valkey;"
            " export REDIS_URL=redis://127.0.0.1:6379/0; then run this file"
            " again (in the Firedrill repository: make lab)"
        )


if __name__ == "__main__":
    main()
