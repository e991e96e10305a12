# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""Five ways to make a module keep what a request should have taken with it.

None of them looks like a global list to which somebody appends. Each is an
idiom that works in review, in the tests, and for the first day.
"""

import logging
from functools import lru_cache


class Request:
    """A request and its body."""

    def __init__(self, user: int, size: int) -> None:
        self.user = user
        self.body = bytes(size)


# --8<-- [start:dict]
PROFILES: dict[int, Request] = {}


def load_profile(user: int, size: int) -> Request:
    """Look a user up, from memory if possible."""
    if user not in PROFILES:
        PROFILES[user] = Request(user, size)  # BUG: no bound, no expiry.
    return PROFILES[user]
    # --8<-- [end:dict]


# --8<-- [start:method]
class Report:
    """One request's report; it lives for one request, or so it seems."""

    def __init__(self, user: int, size: int) -> None:
        self.request = Request(user, size)

    @lru_cache(maxsize=10_000)  # BUG: the key is (self, year): it pins self.
    def total(self, year: int) -> int:
        """Add up a year."""
        return year + len(self.request.body)
        # --8<-- [end:method]


# --8<-- [start:default]
def audit(
    user: int,
    size: int,
    trail: list[Request] = [],  # BUG: one list for all calls, for ever.
) -> list[Request]:
    """Add this request to its trail."""
    trail.append(Request(user, size))
    return trail
    # --8<-- [end:default]


# --8<-- [start:errors]
LAST_ERRORS: list[Exception] = []


def handle(user: int, size: int) -> None:
    """Answer a request that fails, and remember why."""
    request = Request(user, size)
    try:
        raise ValueError(f"no profile for user {request.user}")
    except ValueError as error:
        # BUG: error -> traceback -> this frame -> every local variable.
        LAST_ERRORS.append(error)
        # --8<-- [end:errors]


# --8<-- [start:logger]
def get_logger(name: str) -> logging.Logger:
    """Give a logger that writes to stderr."""
    logger = logging.getLogger(name)
    logger.addHandler(logging.StreamHandler())  # BUG: one more per call.
    return logger
    # --8<-- [end:logger]


# --8<-- [start:demo]
def main() -> None:
    """Answer a hundred requests with each, and count what stays."""
    for user in range(100):
        load_profile(user, 10_000)
        Report(user, 10_000).total(2026)
        audit(user, 10_000)
        handle(user, 10_000)
        get_logger("shop")
    print("100 requests each, all of them answered. What is still there:")
    print(f"  module dict          {len(PROFILES)} profiles")
    print(
        f"  lru_cache on method  {Report.total.cache_info().currsize} reports"
    )
    print(f"  mutable default      {len(audit(0, 0)) - 1} requests")
    print(f"  stored exceptions    {len(LAST_ERRORS)} frames")
    handlers = logging.getLogger("shop").handlers
    print(f"  logging handlers     {len(handlers)}: each line, 100 times")
    # --8<-- [end:demo]


if __name__ == "__main__":
    main()
