"""What this machine can run, printed and counted: nothing is skipped in silence.

A test that needs more than Python and the wheels says so with a mark (`linux`, `root`, ...). What
this machine cannot run is deselected, and the run's header and footer name the mark, the reason
and the number of tests. No variable switches this: only the machine decides.
"""

import functools
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdist.workermanage import WorkerController


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a test may need of the machine.

    Attributes:
        mark: the pytest mark that says so.
        what: what is needed, in words.
        met: whether this machine has it.
    """

    mark: str
    what: str
    met: bool


def needs() -> list[Need]:
    """List what a test may need, and whether this machine has it."""
    return [
        Need("linux", "Linux (/proc)", sys.platform == "linux"),
        Need("root", "to run as root", os.geteuid() == 0),
        Need("cgroup", "a memory cgroup that may be written", _writable_cgroup()),
        Need("pgbouncer", "pgbouncer on PATH (Debian package)", _found("pgbouncer")),
        Need("firefox", "Firefox on PATH (Debian package firefox-esr)", firefox() != ""),
        Need(
            "webkit", "WebKitGTK and Xvfb (Debian packages webkit2gtk-driver, xvfb)", webkit() != ""
        ),
        Need("etcd", "etcd on PATH (Debian package etcd-server)", _found("etcd")),
    ]


def _found(program: str) -> bool:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
    return shutil.which(program, path=path) is not None


def firefox() -> str:
    """Give the path of Firefox; empty when there is none."""
    mac = "/Applications/Firefox.app/Contents/MacOS/firefox"
    names = ("firefox-esr", "firefox", mac)
    return next((path for name in names if (path := shutil.which(name))), "")


def webkit() -> str:
    """Give the path of WebKitGTK's own browser; empty where it, its driver or Xvfb is missing."""
    browsers = sorted(Path("/usr").glob("lib*/**/webkit2gtk-4.*/MiniBrowser"))
    there = browsers and _found("WebKitWebDriver") and _found("Xvfb")
    return str(browsers[-1]) if there else ""


def _writable_cgroup() -> bool:
    roots = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
    files = [root / "cgroup.procs" for root in roots]
    return sys.platform == "linux" and any(os.access(file, os.W_OK) for file in files)


@functools.cache
def describe() -> str:
    """Name the machine in one line: system, architecture, Python, cores, user."""
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    release = platform.mac_ver()[0] or platform.release()
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    return (
        f"{system} {release} on {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, as {user}"
    )


def packages() -> dict[str, str]:
    """Give the version of every installed distribution, by normalised name, sorted."""
    found = {
        distribution.name.lower().replace("_", "-").replace(".", "-"): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return dict(sorted(found.items()))


def profile() -> list[str]:
    """Give the platform profile, one line each: the machine, then what it cannot run."""
    missing = [f"no {need.mark}: {need.what}" for need in needs() if not need.met]
    return [f"platform: {describe()}", *missing]


DESELECTED = pytest.StashKey[dict[str, int]]()


def in_words(left_out: Mapping[str, int]) -> dict[str, int]:
    """Give the counts of deselected tests by what the tests need, in words, instead of by mark."""
    by_mark = {need.mark: need.what for need in needs()}
    return {by_mark[mark]: count for mark, count in sorted(left_out.items())}


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.stash.setdefault(DESELECTED, {})
    for need in needs():
        config.addinivalue_line("markers", f"{need.mark}: needs {need.what}")


def pytest_report_header() -> list[str]:
    """Print the profile at the top of the run."""
    return profile()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what this machine cannot run, and count it by mark."""
    missing = [need.mark for need in needs() if not need.met]
    counts = config.stash[DESELECTED]
    kept: list[pytest.Item] = []
    deselected: list[pytest.Item] = []
    for item in items:
        lacking = next((mark for mark in missing if item.get_closest_marker(mark)), None)
        if lacking is None:
            kept.append(item)
        else:
            counts[lacking] = counts.get(lacking, 0) + 1
            deselected.append(item)
    if deselected:
        items[:] = kept
        config.hook.pytest_deselected(items=deselected)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand an xdist worker's counts to the controller, which collects nothing itself."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash[DESELECTED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take over a worker's counts; every worker collects the same tests."""
    node.config.stash[DESELECTED].update(node.workeroutput.get("left_out", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out, before the summary line."""
    left_out = config.stash[DESELECTED]
    for what, count in in_words(left_out).items():
        terminalreporter.write_line(
            f"this platform left out {count} of the tests: they need {what}"
        )
