"""The adaptor for MkDocs: it stages, then points MkDocs at what was staged. Nothing else."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.livereload import LiveReloadServer
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_WATCHED = ("docs", "snippets", "catalog", "evidence/results", "build/verified.json")
STAGED = "FIREDRILL_STAGED"


class Firedrill(BasePlugin):  # type: ignore[type-arg,no-untyped-call] # MkDocs leaves these open
    """Runs `python -m catalog stage` before each build, so that plain `mkdocs serve` works."""

    def __init__(self) -> None:
        self.serving = False
        self.sources: dict[str, str | None] = {}

    def on_startup(self, *, command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:  # noqa: ARG002
        """Remember whether a server runs: it shows drafts and keeps its own address."""
        self.serving = command == "serve"

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Stage in a child process (edits of catalog/ count at once), then take over its result."""
        root = Path(config.config_file_path or "mkdocs.yml").resolve().parent
        if STAGED not in os.environ:
            command = [sys.executable, "-m", "catalog", "stage", "--quiet"]
            done = subprocess.run(  # noqa: S603 - our own module
                command + (["--drafts"] if self.serving else []),
                cwd=root,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                check=False,
            )
            if done.returncode:
                raise PluginError(done.stderr.strip())
        staged = json.loads((root / "build" / "site.json").read_text(encoding="utf-8"))
        config.docs_dir = str(root / "build" / "docs")
        config.nav = staged["nav"]
        self.sources = staged["sources"]
        config.extra["revision"] = version("firedrill")  # for the link that reports a mistake
        if staged["site_url"] and not self.serving and os.environ.get(STAGED) != "serving":
            config.site_url = staged["site_url"]
        if staged["repo_url"]:
            config.repo_url = staged["repo_url"]
            config.repo_name = staged["repo_url"].rpartition("/")[2]
            config.edit_uri = "edit/main/"
        return config

    def on_pre_page(self, page: Page, *, config: MkDocsConfig, files: Files) -> Page:  # noqa: ARG002
        """Point the edit link at the file the page was written in; a generated page has none."""
        source = self.sources.get(page.file.src_uri)
        page.edit_url = (
            f"{config.repo_url}/edit/main/{source}" if config.repo_url and source else None
        )
        return page

    def on_serve(
        self,
        server: LiveReloadServer,
        *,
        config: MkDocsConfig,
        builder: object,  # noqa: ARG002 - MkDocs passes it by name
    ) -> LiveReloadServer:
        """Watch what is staged from instead of what is staged."""
        root = Path(config.config_file_path or "mkdocs.yml").resolve().parent
        server.unwatch(config.docs_dir)
        for name in _WATCHED:
            if (root / name).exists():
                server.watch(str(root / name))
        host, port = config.dev_addr
        print(f"Firedrill: http://{host}:{port}/ (ctrl-C stops)", flush=True)
        return server
