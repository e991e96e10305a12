"""A Chromium for the tests: found, else installed, else asked for by its exact command.

`python -m lab.browser` makes sure there is one and prints where it is.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MAC_APPS = (
    "Chromium.app/Contents/MacOS/Chromium",
    "Google Chrome.app/Contents/MacOS/Google Chrome",
)
APT = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]
PLAYWRIGHT = [sys.executable, "-m", "playwright", "install", "chromium"]
_ASK_PLAYWRIGHT = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""


class BrowserUnavailable(RuntimeError):
    """There is no browser and it cannot be installed from here; the text carries the command."""


@functools.cache
def executable() -> Path | None:
    """Give the browser to start: the system's, else Playwright's own; `None` when there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    if sys.platform == "darwin":
        for app in MAC_APPS:
            if (path := Path("/Applications") / app).exists():
                return path
    return _of_playwright()


def options() -> dict[str, object]:
    """Give the arguments for Playwright's `chromium.launch`.

    The sandbox is off for root only, under whom Chromium refuses to start with it.

    Raises:
        BrowserUnavailable: there is none; the text says how to get one.
    """
    path = executable()
    if path is None:
        raise BrowserUnavailable(_ask(_install_command()))
    return {"executable_path": str(path), "chromium_sandbox": os.geteuid() != 0}


def ensure() -> Path:
    """Give the browser, and install it first when there is none.

    Debian has a package, which only root can install. Elsewhere Playwright downloads its own.

    Raises:
        BrowserUnavailable: it could not be installed; the text carries the command to run.
    """
    if path := executable():
        return path
    command = _install_command()
    if _is_debian() and os.geteuid() != 0:
        raise BrowserUnavailable(_ask(command))
    print(f"installing a browser, once: {' '.join(command)}", file=sys.stderr, flush=True)
    installed = _run(command)
    if not installed and command is APT:
        # The list of packages may be missing or old.
        installed = _run(["apt-get", "update", "--quiet"]) and _run(command)
    executable.cache_clear()
    path = executable() if installed else None
    if path is None:
        raise BrowserUnavailable(_ask(command))
    return path


def _install_command() -> list[str]:
    return APT if _is_debian() else PLAYWRIGHT


def _is_debian() -> bool:
    # Ubuntu's package of that name only points to a snap.
    release = Path("/etc/os-release")
    return release.exists() and "ID=debian" in release.read_text(encoding="utf-8").splitlines()


def _run(command: list[str]) -> bool:
    """Run an installer quietly, say why when it fails, and give whether it worked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return False
    if done.returncode != 0:
        print(f"{done.stdout}{done.stderr}".strip()[-2000:], file=sys.stderr, flush=True)
    return done.returncode == 0


def _of_playwright() -> Path | None:
    """Ask Playwright, in a process of its own: its driver must not run twice in one process."""
    command = [sys.executable, "-c", _ASK_PLAYWRIGHT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path = Path(done.stdout.strip())
    return path if done.returncode == 0 and path.is_file() else None


def _ask(command: list[str]) -> str:
    words = " ".join(command)
    if command is APT:
        words = f"sudo {words}"
    return f"no Chromium or Chrome on PATH. Mend: {words}"


def main() -> int:
    """Make sure there is a browser, and print where it is."""
    try:
        print(ensure())
    except BrowserUnavailable as error:
        print(f"browser: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
