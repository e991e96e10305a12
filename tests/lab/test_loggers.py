"""What a test does to logging ends with it."""

import pytest

MODULE = """
    import logging

    def test_first_it_is_taken_over(caplog):
        logging.disable(logging.CRITICAL)
        logging.basicConfig(level=logging.ERROR, force=True)

    def test_then_it_is_as_before(caplog):
        logging.getLogger("somebody").warning("heard")
        assert caplog.messages == ["heard"]
        kinds = {type(one) for one in logging.getLogger().handlers}
        assert logging.StreamHandler not in kinds
"""


@pytest.mark.parametrize(("plugin", "failed"), [(["-p", "lab.loggers"], 0), ([], 1)])
def test_logging_is_put_back(pytester: pytest.Pytester, plugin: list[str], failed: int) -> None:
    pytester.makepyfile(test_module=MODULE)
    result = pytester.runpytest_subprocess(*plugin)
    result.assert_outcomes(passed=2 - failed, failed=failed)
