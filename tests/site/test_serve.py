"""`make serve`: one build for each edit, a broken edit is told and mended, nothing is left."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.serve import snapshot
from tests.browser.site import ROOT
from tests.site.small import small_repository

SECONDS = 120.0
PAGE = "---\ntitle: A page\ndescription: A page that is edited\n---\n\nWords as they were.\n"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """The repository with one small page, and no scenario written yet: it builds in a second."""
    root = small_repository(tmp_path / "repo")
    shutil.rmtree(root / "docs/about")
    (root / "docs/about").mkdir()
    shutil.rmtree(root / "overrides")  # they lead to pages of docs/about
    (root / "overrides").mkdir()
    (root / "docs/about/page.md").write_text(PAGE, encoding="utf-8")
    return root


class Serving:
    """A running `python -m catalog serve`, and what it has said."""

    def __init__(self, root: Path, address: str = "127.0.0.1:0") -> None:
        self.said = ""
        self.child = subprocess.Popen(
            [sys.executable, "-m", "catalog", "serve", address],
            cwd=root,
            env=os.environ | {"SITE_URL": "", "REPO_URL": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def until(self, pattern: str) -> re.Match[str]:
        """Read what it says until a pattern is seen; forget all up to there."""
        assert self.child.stdout is not None
        ends = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.said)):
            ready, _, _ = select.select([self.child.stdout], [], [], ends - time.monotonic())
            assert ready, f"waited {SECONDS} s for {pattern!r} after {self.said!r}"
            new = os.read(self.child.stdout.fileno(), 65536).decode()
            assert new, f"ended before {pattern!r}: {self.said}"
            self.said += new
        self.said = self.said[found.end() :]
        return found

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Interrupt it as a terminal does, with its children; give status and last words."""
        os.killpg(self.child.pid, number)
        rest, _ = self.child.communicate(timeout=SECONDS)
        return self.child.returncode, self.said + rest.decode()


@pytest.fixture
def serving() -> Iterator[Callable[..., Serving]]:
    started: list[Serving] = []

    def start(root: Path, address: str = "127.0.0.1:0") -> Serving:
        started.append(Serving(root, address))
        return started[-1]

    yield start
    for one in started:
        if one.child.poll() is None:
            one.stop(signal.SIGKILL)


def fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


@pytest.mark.slow
def test_an_edit_shows_a_broken_one_is_told_and_the_next_mends_it(
    repo: Path, serving: Callable[..., Serving]
) -> None:
    server = serving(repo)
    url = server.until(r"Firedrill: (http://127\.0\.0\.1:\d+/) \(ctrl-C stops\)\n")[1]
    page = repo / "docs/about/page.md"
    assert "Words as they were." in fetch(f"{url}about/page/")
    server.until(r"serve: built in [\d.]+ s\n")
    for name, old, new, address in (
        ("docs/about/page.md", "Words as they were.", "Words as they are.", "about/page/"),
        ("catalog/pages/finder.py", '"Finder"', '"Found"', "finder/"),
    ):
        file = repo / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        server.until(r"serve: built in [\d.]+ s\n")
        assert new.strip('"\n') in fetch(url + address)
    page.write_text(PAGE + "\n[[nonsense]]\n", encoding="utf-8")
    server.until(r"docs/about/page\.md:8: \[\[nonsense\]\] is not a known directive.*Mend: ")
    server.until(r"stays on show")
    shown = fetch(f"{url}about/page/")
    assert "docs/about/page.md:8: [[nonsense]] is not a known directive" in shown
    assert "Words as they are." in shown
    page.write_text(PAGE, encoding="utf-8")
    server.until(r"serve: built in [\d.]+ s\n")
    shown = fetch(f"{url}about/page/")
    assert "Words as they were." in shown
    assert "nonsense" not in shown
    status, said = server.stop()
    assert (status, said) == (0, "serve: stopped\n")  # no further build, no traceback
    assert list((repo / "build").glob(".serve-*")) == []


def test_whatever_the_site_is_made_from_is_watched() -> None:
    watched = {Path(name).relative_to(ROOT).as_posix() for name in snapshot(ROOT)}
    assert {
        "docs/about/testing.md",
        "docs/assets/firedrill.css",
        "catalog/data/tips.yml",
        "catalog/pages/finder.py",
        "evidence/results/rate-limiting.json",
        "mkdocs.yml",
        "overrides/main.html",
        "pyproject.toml",
        "requirements.lock",
        "snippets/rate_limiting/gcra.py",
        "tests/scenarios/rate_limiting/test_drill.py",
    } <= watched
    assert not any("__pycache__" in name or name.startswith("site/") for name in watched)


@pytest.mark.slow
def test_what_is_broken_at_the_start_is_mended_by_a_save_and_a_second_start_builds_nothing(
    repo: Path, serving: Callable[..., Serving]
) -> None:
    page = repo / "docs/about/page.md"
    page.write_text("---\ntitle: a: b\n---\n", encoding="utf-8")
    server = serving(repo)
    url = server.until(r"Firedrill: (\S+)")[1]
    server.until(r"docs/about/page\.md:2: not valid YAML")
    assert "docs/about/page.md:2: not valid YAML" in fetch(url)
    page.write_text(PAGE, encoding="utf-8")
    server.until(r"serve: built in")
    assert "Words as they were." in fetch(f"{url}about/page/")
    assert server.stop(signal.SIGTERM)[0] == 0
    built = (repo / "build/serve").stat().st_mtime_ns
    again = serving(repo)
    url = again.until(r"Firedrill: (\S+)")[1]
    assert "Words as they were." in fetch(f"{url}about/page/")
    assert again.stop() == (0, " (ctrl-C stops)\nserve: stopped\n")
    assert (repo / "build/serve").stat().st_mtime_ns == built


@pytest.mark.slow
def test_a_port_in_use_or_a_bad_address_is_one_message(
    repo: Path, serving: Callable[..., Serving]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = _ended(serving(repo, f"127.0.0.1:{port}"))
        assert status == 1
        assert re.fullmatch(
            rf"serve: cannot listen on 127\.0\.0\.1:{port}: .*in use\. Mend: .*ADDRESS=.*\n", said
        )
    status, said = _ended(serving(repo, "nowhere"))
    assert status == 1
    assert said.count("\n") == 1
    assert "Mend: make serve ADDRESS=127.0.0.1:8000" in said


def _ended(server: Serving) -> tuple[int, str]:
    said, _ = server.child.communicate(timeout=SECONDS)
    return server.child.returncode, said.decode()
