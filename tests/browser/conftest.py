"""The built site, Chromium, and pages in it."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from lab.browser import options
from tests.browser.driver import Chromium
from tests.browser.site import REPO_URL, ROOT, SITE_URL, Site, serve


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives the browser."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "build", "site", ".*_cache", ".hypothesis", "__pycache__", ".coverage*"
)


def share_kit(copy: Path) -> None:
    """Let a copy of the repository use what is fetched for pages once."""
    kits = ROOT / "build" / "run"
    kits.mkdir(parents=True, exist_ok=True)
    (copy / "build").mkdir(exist_ok=True)
    (copy / "build" / "run").symlink_to(kits)


def build(folder: Path) -> str:
    """Build the site of a copy of the repository, at a public address below a sub-path.

    A copy, because the address is written into what is staged, and `build/docs` may be served.

    Returns:
        Why it could not be built; empty when it was.
    """
    shutil.copytree(ROOT, folder, ignore=NOT_SOURCE)
    share_kit(folder)
    for kept in ("cache", "verified.json"):
        source = ROOT / "build" / kept
        if source.is_dir():
            shutil.copytree(source, folder / "build" / kept)
        elif source.is_file():
            (folder / "build").mkdir(exist_ok=True)
            shutil.copy2(source, folder / "build" / kept)
    done = subprocess.run(
        [sys.executable, "-m", "catalog", "site"],
        cwd=folder,
        env=os.environ | {"SITE_URL": SITE_URL, "REPO_URL": REPO_URL},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Site]:
    """The site, built once for all workers of this run."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    copy = shared / "firedrill"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = shared / "site.outcome"
        if not outcome.exists():
            outcome.write_text(build(copy), "utf-8")
        assert outcome.read_text("utf-8") == ""
    with serve(copy / "site") as running:
        yield running


@pytest.fixture(scope="session")
def site_url(site: Site) -> str:
    """Address of the home page, with the sub-path and a slash at the end."""
    return site.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    """Chromium, started once in each worker."""
    with sync_playwright() as playwright:
        found = options()
        launched = playwright.chromium.launch(
            executable_path=str(found["executable_path"]),
            chromium_sandbox=bool(found["chromium_sandbox"]),
        )
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield Chromium(launched, loop)
        asyncio._set_running_loop(loop)
        launched.close()
    asyncio._set_running_loop(None)


@pytest.fixture
def page(browser: Chromium) -> Iterator[Page]:
    """An empty page of 1280 x 900 px in a fresh profile, without motion; its search begins late."""
    with browser.context() as context:
        yield context.new_page()
