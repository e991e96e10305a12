"""What a module, a class or a default holds stays."""

import logging

from snippets.memory_leaks import naive_globals
from tests.scenarios.memory_leaks.conftest import Demo


def test_a_profile_is_loaded_once_and_kept() -> None:
    first = naive_globals.load_profile(7, 10)
    assert naive_globals.load_profile(7, 10) is first
    assert {7: first} == naive_globals.PROFILES


def test_demo_of_the_globals(demo: Demo) -> None:
    try:
        lines = demo("naive_globals")
    finally:
        logging.getLogger("shop").handlers.clear()
    assert lines == [
        "100 requests each, all of them answered. What is still there:",
        "  module dict          100 profiles",
        "  lru_cache on method  100 reports",
        "  mutable default      100 requests",
        "  stored exceptions    100 frames",
        "  logging handlers     100: each line, 100 times",
    ]
