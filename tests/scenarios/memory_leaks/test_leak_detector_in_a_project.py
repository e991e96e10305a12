"""The fixture works where a reader puts it; a runner measures an async function."""

import asyncio
import gc
from pathlib import Path

import pytest

from snippets.memory_leaks import leak_detector
from snippets.memory_leaks.leak_detector import growth_per_call

KEPT: list[object] = []


async def keep_async() -> None:
    KEPT.append(bytes(10_000))


def test_the_fixture_works_in_a_readers_project(pytester: pytest.Pytester) -> None:
    source = Path(leak_detector.__file__).read_text(encoding="utf-8")
    pytester.makepyfile(
        leak_detector=source,
        conftest='pytest_plugins = ["leak_detector"]',
        test_reader="""
            KEPT = []

            def test_holds(no_leak):
                no_leak(lambda: bytes(1000), warmup=10, calls=80)

            def test_leaks(no_leak):
                no_leak(lambda: KEPT.append(bytes(1000)), warmup=10, calls=80)
        """,
    )
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*LeakError: 1,* bytes per call stay behind:*"])


@pytest.mark.parametrize(("option", "failed"), [("no:logging", 0), ("logging", 1)])
def test_a_route_that_logs_needs_pytest_to_keep_no_records(
    pytester: pytest.Pytester, option: str, failed: int
) -> None:
    pytester.makepyfile(
        leak_detector=Path(leak_detector.__file__).read_text(encoding="utf-8"),
        conftest='pytest_plugins = ["leak_detector"]',
        test_reader="""
            import logging

            def test_logs(no_leak):
                no_leak(lambda: logging.warning("a request"), warmup=10, calls=80)
        """,
    )
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", option)
    done.assert_outcomes(passed=1 - failed, failed=failed)


def test_an_async_function_is_measured_by_a_runner() -> None:
    gc.freeze()  # collections look at the test's own objects only
    with asyncio.Runner() as runner:
        growth = growth_per_call(lambda: runner.run(keep_async()), warmup=10, calls=80)
    assert growth == pytest.approx(10_041, abs=200)
    gc.unfreeze()
