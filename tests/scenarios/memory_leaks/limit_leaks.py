"""The same leaks and harmless functions under pytest-memray; run by name, with `--memray`.

It looks at the test alone and has no warm-up, so each function is called in a fixture before, as
often as `assert_no_leak` calls it before its third look. The limit for each place, 24 kB, is 200
bytes for each of the 120 calls.
"""

from contextlib import ExitStack

import pytest

from tests.scenarios.memory_leaks import cases

STACK = ExitStack()
WARMUP, CALLS = 1250, 120


@pytest.fixture
def call(request: pytest.FixtureRequest) -> cases.Call:
    case = request.param
    fn: cases.Call = cases.SEVEN[case].naive(STACK) if isinstance(case, str) else case
    for _ in range(WARMUP):
        fn()
    return fn


@pytest.mark.limit_leaks("24 KB")
@pytest.mark.parametrize("call", cases.SEVEN, indirect=True)
def test_seven(call: cases.Call) -> None:
    for _ in range(CALLS):
        call()


@pytest.mark.limit_leaks("24 KB")
@pytest.mark.parametrize("call", cases.TWENTY, ids=lambda one: one.__name__, indirect=True)
def test_twenty(call: cases.Call) -> None:
    for _ in range(CALLS):
        call()
