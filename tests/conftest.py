"""What every test shares: the plugins, the event loop, the profiles and the automatic marks."""

import inspect
import os

import hypothesis
import pytest

pytest_plugins = [
    "pytester",
    "lab.fixtures",
    "lab.loggers",
    "lab.platform",
    "lab.story",
    "lab.report",
    "lab.cover",
]

hypothesis.settings.register_profile(
    "firedrill",
    # A shared machine is slow at times: that is no property of the code under test.
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    # Nothing is carried from run to run, and CI draws the same examples each time.
    database=None,
    derandomize="CI" in os.environ,
    print_blob=True,
)
hypothesis.settings.load_profile("firedrill")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs of pytest inside a test load no plugin that they do not name: that takes two seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the tests marked `anyio` under asyncio, the loop that the snippets are written for."""
    return "asyncio"


def is_serial(item: pytest.Item) -> bool:
    """Say whether a test must run alone: it is a drill, or it compares times."""
    if item.get_closest_marker("beside"):
        return False
    if item.path.name == "test_drill.py":
        return True
    function = getattr(item, "function", None)
    return function is not None and "interleaved" in inspect.unwrap(function).__code__.co_names


BUILDS = {"built", "site"}
"""Fixtures that build the whole site."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs alone, needs a server or builds the site, before `-m` selects."""
    from lab.fixtures import NEEDS  # a plugin: imported above, it would escape pytest's rewriting

    for item in items:
        if is_serial(item):
            item.add_marker(pytest.mark.serial)
        names = set(getattr(item, "fixturenames", ()))
        if names & NEEDS.keys():
            item.add_marker(pytest.mark.server)
        if names & BUILDS:
            item.add_marker(pytest.mark.slow)
