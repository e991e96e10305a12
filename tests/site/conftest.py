"""The built site and the fences of the staged pages, as tests."""

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it.token import Token
from pytest_markdown_docs._runners import DefaultRunner, register_runner
from pytest_markdown_docs.definitions import FenceTestDefinition
from pytest_markdown_docs.plugin import MarkdownTextFile

from tests.browser.conftest import build
from tests.browser.site import REPO_URL, ROOT, SITE_URL

HERE = Path(__file__).parent


class StagedFences:
    """Stands in for markdown-it: it sees indented fences too, in tabs and admonitions."""

    def parse(self, text: str) -> list[Token]:
        """Give one token for each Python fence that is to be executed."""
        from catalog.markdown import fences  # a fault in it must not end the whole run

        tokens = []
        for fence in fences(text):
            if fence.language not in {"python", "py", "python3"}:
                continue
            words = re.sub(r'[\w-]+="[^"]*"', "", fence.info).strip("{} ").split()[1:]
            tokens.append(
                Token(
                    "fence",
                    "code",
                    0,
                    map=[fence.line - 1, fence.end],
                    info=" ".join(["python", *words]),
                    content=fence.body,
                )
            )
        return tokens


class FenceTypeError(Exception):
    """A TypeError inside a fence; as such it would make the plugin run the fence again."""


@register_runner(default=True)
class Once(DefaultRunner):
    """Executes a fence once, whatever it raises."""

    def runtest(
        self,
        test: FenceTestDefinition,
        args: dict[str, object],
        *,
        asyncio_runner: object = None,
    ) -> None:
        """Run the fence; a TypeError leaves under another name."""
        try:
            super().runtest(test, args, asyncio_runner=asyncio_runner)
        except TypeError as error:
            raise FenceTypeError(str(error)).with_traceback(error.__traceback__) from error


class StagingError(Exception):
    """The site cannot be staged."""


class Staged(pytest.Item):
    """Fails when the site cannot be staged: nothing else can be said about its fences."""

    said = ""

    def runtest(self) -> None:
        """Fail with what staging said."""
        if self.said:
            raise StagingError(self.said)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        """Show what staging said, and no traceback: the fault is in the words, not in a test."""
        if isinstance(excinfo.value, StagingError):
            return f"python -m catalog stage failed:\n{excinfo.value}"
        return str(super().repr_failure(excinfo, style=style))  # type: ignore[arg-type] # as given

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name this item in the report."""
        return self.path, 0, self.name


class ExecutedFences(pytest.File):
    """Collects the staged pages that have a fence to execute, and whether they could be staged.

    Staging runs in a process of its own: a fault in it fails one item, never the collection.
    """

    root = ROOT

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        command = [sys.executable, "-m", "catalog", "--root", str(self.root), "stage", "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
        item = Staged.from_parent(self, name="every_page_is_staged")
        item.said = (done.stderr.strip() or "no reason given") if done.returncode else ""
        yield item
        if done.returncode:
            return
        rows = json.loads((self.root / "build" / "fences.json").read_text(encoding="utf-8"))
        for page in sorted({row["page"] for row in rows if row["kind"] == "executed"}):
            yield MarkdownPage.from_parent(self, path=self.root / "build" / "docs" / page)


class MarkdownPage(MarkdownTextFile):
    """One staged page; its embedded fences are tested where their code is."""

    def collect(self) -> Iterable[pytest.Item]:
        assert isinstance(self.parent, ExecutedFences)
        build = self.parent.root / "build"
        rows = json.loads((build / "fences.json").read_text(encoding="utf-8"))
        page = self.path.relative_to(build / "docs").as_posix()
        lines = {row["line"] for row in rows if row["page"] == page and row["kind"] == "executed"}
        for item in super().collect():  # type: ignore[no-untyped-call] # the plugin has no types
            if item.test_definition.start_line in lines:
                yield item


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the executed fences beside the test that accounts for them."""
    if file_path == HERE / "test_fences.py":
        return ExecutedFences.from_parent(parent, path=file_path)
    return None


def pytest_markdown_docs_markdown_it() -> StagedFences:
    """Give the plugin our reader of fences."""
    return StagedFences()


@dataclass(frozen=True, slots=True)
class Built:
    """A copy of the repository with its site built.

    Attributes:
        root: the copy.
        site: its `site/`.
        site_url: the public address it was built for; empty for none.
    """

    root: Path
    site: Path
    site_url: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m catalog ...` in the copy, at the same address."""
        return subprocess.run(
            [sys.executable, "-m", "catalog", *arguments],
            cwd=self.root,
            env=os.environ | {"SITE_URL": self.site_url, "REPO_URL": REPO_URL},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Built:
    """The site below a sub-path, built once for all workers; the browser tests read it too."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    copy = shared / "firedrill"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = shared / "site.outcome"
        if not outcome.exists():
            outcome.write_text(build(copy), encoding="utf-8")
        assert outcome.read_text(encoding="utf-8") == ""
    return Built(copy, copy / "site", SITE_URL)
