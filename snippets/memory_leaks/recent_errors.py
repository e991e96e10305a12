# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Remember the last errors without what they hold.

An exception holds its traceback, the traceback holds each frame, and a frame
holds its local variables: the request, the open connection, the password. Keep
the text instead. A recurring error is counted, not kept again, so an attacker
who causes a million errors fills one entry.

The text may hold a secret, as a message quotes what was sent: show it to those
who may read the log. One thread or one event loop: hold a lock where threads
share the object, else counts are lost.

Bound: `maxlen` kinds of error and `max_chars` characters of text each.

Source: https://docs.python.org/3/library/traceback.html
"""

import traceback
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass


# --8<-- [start:core]
@dataclass(slots=True)
class Remembered:
    """One kind of error: its text as of its first time, and how often."""

    text: str
    count: int = 0


class RecentErrors:
    """The last `maxlen` kinds of error.

    A kind is a type and its lines, and type and place of what caused it or of
    what a group is made of: one wrapper may hide many bugs.
    """

    def __init__(self, maxlen: int = 100, max_chars: int = 10_000) -> None:
        if maxlen < 1 or max_chars < 1:
            raise ValueError(f"need 1 or more: {maxlen}, {max_chars}")
        self._kinds: OrderedDict[object, Remembered] = OrderedDict()
        self._maxlen, self._max_chars = maxlen, max_chars

    def record(self, error: BaseException) -> None:
        """Remember what `error` says, and nothing that it refers to."""
        # The innermost line alone is often one of a library that all call.
        kind = _kind(error, lines=20)
        entry = self._kinds.pop(kind, None)
        if entry is None:
            text = "".join(traceback.format_exception(error))
            entry = Remembered(text[-self._max_chars :])
        entry.count += 1
        self._kinds[kind] = entry  # the most recent kind stands last
        if len(self._kinds) > self._maxlen:
            self._kinds.popitem(last=False)

    def __iter__(self) -> Iterator[Remembered]:
        """Yield what is remembered, the oldest first."""
        return iter(list(self._kinds.values()))


def _kind(error: BaseException, lines: int, depth: int = 3) -> object:
    """Name a kind in text and numbers, which hold no frame and no class."""
    where = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    inner: list[BaseException | None] = [error.__cause__]
    if not error.__suppress_context__:
        inner.append(error.__context__)
    if isinstance(error, BaseExceptionGroup):
        inner += error.exceptions[:3]
    return (
        type(error).__qualname__,
        *where[-lines:],
        *(_kind(one, 1, depth - 1) for one in inner if one and depth),
    )
    # --8<-- [end:core]


# --8<-- [start:demo]
def main() -> None:
    """Let a request fail a thousand times, and look what is left of it."""
    import weakref

    class Request:
        body = bytes(10_000)

    def handle(number: int) -> "weakref.ref[Request]":
        request = Request()
        try:
            int(f"request {number}")
        except ValueError as error:
            errors.record(error)
        return weakref.ref(request)

    errors = RecentErrors(maxlen=100)
    requests = [handle(number) for number in range(1000)]
    alive = sum(request() is not None for request in requests)
    (entry,) = errors
    print(f"{entry.count} errors, {alive} requests still alive")
    print(entry.text.splitlines()[-1])
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
