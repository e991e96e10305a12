"""Branch coverage of `snippets/`, in every process that runs tests (`--cover-snippets`).

pytest-xdist runs the tests in workers: each measures itself and leaves a data file of its own,
which `lab.suite` combines. Only code that runs in these processes counts, so that a snippet is
covered by tests that look at what it does; children that run it as a reader would do not count.
Nor do the tests of the site and the tools, in the folders of `APART`: measured, they take up to
twice the time.
"""

from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

DATA = Path("build") / "coverage" / "data"
"""Where the data files go, relative to the root."""

APART = tuple(Path("tests") / name for name in ("browser", "catalog", "evidence", "lab", "site"))
"""Folders whose tests are of no snippet, relative to the root."""

COVERAGE = pytest.StashKey[coverage.Coverage]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--cover-snippets`."""
    parser.addoption(
        "--cover-snippets", action="store_true", help="measure branch coverage of snippets/"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start measuring, before anything of `snippets/` is imported."""
    if config.getoption("--cover-snippets"):
        (config.rootpath / DATA).parent.mkdir(parents=True, exist_ok=True)
        measured = coverage.Coverage(
            data_file=str(config.rootpath / DATA),
            data_suffix=True,
            config_file=str(config.rootpath / "pyproject.toml"),
            # The controller of xdist runs no test and has nothing to say.
            messages=False,
        )
        measured.set_option("run:disable_warnings", ["no-data-collected"])
        measured.start()
        config.stash[COVERAGE] = measured


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Rest while a test runs that is of no snippet."""
    measured = item.config.stash.get(COVERAGE, None)
    apart = any(item.path.is_relative_to(item.config.rootpath / folder) for folder in APART)
    if measured is None or not apart:
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop, and leave the data: a worker may be ended as soon as its session is over."""
    measured = session.config.stash.get(COVERAGE, None)
    if measured is not None:
        measured.stop()
        measured.save()
