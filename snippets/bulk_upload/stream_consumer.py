# /// script
# requires-python = ">=3.11"
# dependencies = ["redis>=8.1,<9"]
#
# [tool.firedrill]
# needs = ["redis"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A worker on Redis or Valkey Streams: acknowledge after the work.

A stream's consumer group remembers what was delivered and not acknowledged.
What its consumer does not finish within `min_idle_ms`, another one takes over
(XAUTOCLAIM). After `most` deliveries a message goes to the dead-letter stream
`<stream>:dead`, with the reason.

Delivery is at least once: a handler that is slower than `min_idle_ms` runs
twice at the same time, unless it calls `beat`. So its effect must be one that
doing twice does not change, as in import_worker.py. Enqueueing cannot commit
together with rows in a database: write an outbox row there, or take
skip_locked_queue.py.

A Redis without persistence forgets the queue when it restarts, and a failover
may lose the last messages.

Source: Redis documentation, Streams and XAUTOCLAIM,
https://redis.io/docs/latest/commands/xautoclaim/
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from redis import Redis, RedisError, ResponseError

Fields = dict[str, str]
Beat = Callable[[], None]
Handler = Callable[[Fields, Beat], None]


class TakenOverError(RuntimeError):
    """Another consumer has the message: undo and stop."""


# --8<-- [start:consumer]
class StreamConsumer:
    """One named consumer of a group.

    Args:
        redis: a client with decode_responses=True.
        name: unique to this process, such as host and pid.
        min_idle_ms: after this time without a beat a consumer is presumed
            dead; above the longest time between two beats.
        most: deliveries of one message before it is dead, 1 or more.
    """

    def __init__(  # noqa: PLR0913 - each is a decision of the caller
        self,
        redis: Redis,
        stream: str,
        name: str,
        handler: Handler,
        *,
        group: str = "workers",
        min_idle_ms: int = 30_000,
        most: int = 5,
    ) -> None:
        self._redis, self._stream, self._group = redis, stream, group
        self._name, self._handler = name, handler
        self._idle, self._most = min_idle_ms, most
        self._cursor: Any = "0-0"
        try:
            redis.xgroup_create(stream, group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # it exists: as wanted
                raise

    def run(self, stop: threading.Event, *, block_ms: int = 1000) -> None:
        """Work until `stop` is set; each message is tried, then settled."""
        while not stop.is_set():
            self.step(block_ms)

    def step(self, block_ms: int = 1) -> bool:
        """Handle one message: an orphan first, else a new one.

        Returns:
            False when there was none within `block_ms` milliseconds (not 0,
            which would wait for ever).
        """
        found = self._orphan() or self._fresh(block_ms)
        if not found:
            return False
        id_, fields = found
        try:
            self._handler(fields, lambda: self._beat(id_))
        except TakenOverError:
            pass  # whoever has it now settles it
        except Exception as error:  # noqa: BLE001 - it stays pending: retried
            if self._deliveries(id_) >= self._most:
                self._bury(id_, fields, repr(error))
        else:
            self._settle(id_)
        return True

    def _fresh(self, block_ms: int) -> tuple[str, Fields] | None:
        answer: Any = self._redis.xreadgroup(
            self._group, self._name, {self._stream: ">"}, 1, block_ms
        )
        return answer[0][1][0] if answer else None

    def _orphan(self) -> tuple[str, Fields] | None:
        """Take over a message whose consumer said nothing for too long."""
        while True:
            answer: Any = self._redis.xautoclaim(
                self._stream,
                self._group,
                self._name,
                self._idle,
                self._cursor,
                1,
            )
            # One call looks at ten pending messages: go on there next time.
            self._cursor = answer[0]
            if not answer[1]:
                return None
            id_, fields = answer[1][0]
            if self._deliveries(id_) <= self._most:
                return id_, fields
            # It kills whoever takes it, so nobody came to bury it.
            self._bury(id_, fields, "no consumer lived to tell")

    def _deliveries(self, id_: str) -> int:
        """Count them; 0 when the message is somebody else's by now."""
        rows: Any = self._redis.xpending_range(
            self._stream, self._group, id_, id_, 1, self._name
        )
        return int(rows[0]["times_delivered"]) if rows else 0

    def _beat(self, id_: str) -> None:
        mine: Any = self._redis.xpending_range(
            self._stream, self._group, id_, id_, 1, self._name
        )
        if not mine:
            raise TakenOverError(id_)
        # Not atomic with the look before: who loses the message in between
        # takes it back, and both work on it. The effect must bear that.
        # JUSTID: the idle time starts anew, the deliveries do not count up.
        self._redis.xclaim(
            self._stream, self._group, self._name, 0, [id_], justid=True
        )

    def _bury(self, id_: str, fields: Fields, why: str) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            dead: Any = {**fields, "dead_id": id_, "dead_error": why[:500]}
            pipe.xadd(f"{self._stream}:dead", dead)
            pipe.xack(self._stream, self._group, id_)
            pipe.xdel(self._stream, id_)
            pipe.execute()

    def _settle(self, id_: str) -> None:
        # A stream keeps what was acknowledged: remove it, or memory grows.
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(self._stream, self._group, id_)
            pipe.xdel(self._stream, id_)
            pipe.execute()
            # --8<-- [end:consumer]


# --8<-- [start:demo]
def main() -> None:
    """Let one consumer die with a message, and a poison message be buried."""
    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:1/0"
    stream = f"firedrill:demo:{os.getpid()}"

    def dies(_fields: Fields, _beat: Beat) -> None:
        raise KeyboardInterrupt

    def works(fields: Fields, _beat: Beat) -> None:
        if fields["file"] == "poison":
            raise ValueError("cannot be read")
        print(f"second consumer did {fields['file']}")

    try:
        with Redis.from_url(url, decode_responses=True) as redis:
            try:
                redis.xadd(stream, {"file": "a.csv"})
                redis.xadd(stream, {"file": "poison"})
                try:
                    StreamConsumer(redis, stream, "first", dies).step()
                except KeyboardInterrupt:
                    print("first consumer died with a.csv")
                second = StreamConsumer(
                    redis, stream, "second", works, min_idle_ms=0, most=2
                )
                while second.step():
                    pass
                for _, fields in redis.xrange(f"{stream}:dead"):
                    print(f"dead: {fields['file']}, {fields['dead_error']}")
            finally:
                redis.delete(stream, f"{stream}:dead")
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
