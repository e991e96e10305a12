"""Build the site: stage, let the generator render into a temporary folder, check, swap."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from catalog.html import check_site
from catalog.plugin import STAGED
from catalog.run import kit
from catalog.stage import StageError, alone, stage, undisturbed
from catalog.zensical import read_config

ENGINES = ("mkdocs", "zensical")


def build_site(
    root: Path,
    to: Path | None = None,
    *,
    engine: str = "mkdocs",
    report: Callable[[str], None] = print,
) -> int:
    """Build the site; what was at the target stays until the new one is complete and checked.

    Args:
        root: root of the repository.
        to: folder of the site; `site/` when None (`build/zensical` for the second engine, which
            writes only there).
        engine: mkdocs or zensical.
        report: takes each line of what is said.

    Returns:
        The exit status.

    Raises:
        SetUpError: what runs code in the page cannot be fetched.
        StageError: the target cannot be written.
    """
    if status := stage(root, report=report, fetched=kit.assets(report)):
        return status
    if engine == "zensical":
        command = ["zensical", "build", "--strict", "--clean", "-f", "build/zensical.yml"]
        return _rendered(root, command, report)
    target = (to or root / "site").resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(root / "build" / ".site.lock"):
            recover(target)
            with tempfile.TemporaryDirectory(prefix=_prefix(target), dir=target.parent) as folder:
                made = Path(folder) / "new"
                command = ["mkdocs", "build", "--strict", "--site-dir", str(made)]
                if status := _rendered(root, command, report):
                    return status
                if status := _check(root, made, report):
                    return status
                swap(made, target, Path(folder) / "old")
    except OSError as error:
        what = f"{error.filename or target}: {error.strerror or error}"
        mend = "make the folder writable for you, or name another one with --to"
        raise StageError(f"site: cannot write {what}. Mend: {mend}.") from error
    pages = sum(1 for _ in target.rglob("*.html"))
    report(f"site: {pages} pages in {os.path.relpath(target)}")
    return 0


def _rendered(root: Path, command: list[str], report: Callable[[str], None]) -> int:
    status = render(root, command, report)
    if status:
        report(f"site: {command[0]} refused it; what was built before is unchanged")
    return status


def render(
    root: Path, command: list[str], report: Callable[[str], None], *, serving: bool = False
) -> int:
    """Run a module of this environment over what is staged; report what it says when it fails.

    Args:
        root: root of the repository.
        command: name of the module, and its arguments.
        report: takes what it said.
        serving: the site will be seen on loopback: it names no public address.

    Returns:
        0, or 1 when it failed.
    """
    environment = os.environ | {
        STAGED: "serving" if serving else "1",
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONHASHSEED": "0",
    }
    done = subprocess.run(  # noqa: S603 - our own tools
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        # Not --quiet: with it MkDocs does not count its warnings, and strict mode passes.
        said = [line for line in done.stdout.splitlines() if not line.startswith("INFO")]
        report("\n".join(said).strip())
        return 1
    return 0


def _check(root: Path, made: Path, report: Callable[[str], None]) -> int:
    staged = json.loads((root / "build" / "site.json").read_text(encoding="utf-8"))
    config = read_config(root)
    problems = check_site(
        made,
        staged["sources"],
        site_url=staged["site_url"],
        site_description=str(config.get("site_description", "")),
    )
    for problem in problems:
        report(str(problem))
    if problems:
        report(f"site: {len(problems)} problem(s); what was built before is unchanged")
        return 1
    return 0


def _prefix(target: Path) -> str:
    return f".{target.name}-"


def recover(target: Path) -> None:
    """Clean up after a build that was killed; nobody else may be building.

    A folder cannot be replaced in one step everywhere: between two renames the old site has left
    and the new one has not come. A build killed there leaves the old one beside it, and here it
    returns.
    """
    for left in target.parent.glob(f"{_prefix(target)}*"):
        if not target.exists() and (left / "old").is_dir():
            (left / "old").rename(target)
        shutil.rmtree(left, ignore_errors=True)


def swap(made: Path, target: Path, old: Path) -> None:
    """Put the new folder in the place of the old one; the old one returns if that fails."""
    made.chmod(0o755)
    with undisturbed():
        if target.exists():
            target.rename(old)
        try:
            made.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    shutil.rmtree(old, ignore_errors=True)
