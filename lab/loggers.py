"""Logging as every test finds it: what one test sets up for all is undone after it.

A program may set up logging for its whole process, as a Celery worker does. In a test it is a
guest of a process that runs two thousand others.
"""

import logging
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Put the root logger's level and handlers, and what is disabled, back as they were."""
    root = logging.getLogger()
    level, handlers, disabled = root.level, root.handlers[:], root.manager.disable
    try:
        return (yield)
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        root.manager.disable = disabled
