"""A second engine: Firefox runs the pages' code, and keeps what a reader notes."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from catalog.run import kit
from lab import platform
from tests.browser.site import ROOT, Site

HERE = Path(__file__).parent / "firefox"
PAGE = "scenarios/rate-limiting/"
SQL_PAGE = "scenarios/large-datasets/"


def driver() -> Path:
    """Give a folder with puppeteer, fetched by its lock once; Playwright drives another Firefox."""
    lock = HERE / "package-lock.json"
    folder = ROOT / "build" / "firefox" / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    for name in ("package.json", "package-lock.json", "firefox.mjs"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HERE / name, folder)
    if not (folder / "node_modules" / ".package-lock.json").is_file():
        done = subprocess.run(
            [*kit.npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.firefox
def test_firefox_runs_stops_and_keeps(site: Site) -> None:
    job = {
        "firefox": platform.firefox(),
        "site": site.url,
        "page": PAGE,
        "file": "naive_fixed_window.py",
        "sql": SQL_PAGE,
        "step": "1_offset",
    }
    done = subprocess.run(
        [str(kit.node()), str(driver() / "firefox.mjs"), json.dumps(job)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["before"] == []
    assert [url for url in seen["asked"] if not url.startswith((site.url, "data:", "blob:"))] == []
    assert seen["run"] == seen["again"] == seen["after"]
    assert seen["run"].startswith("Finished: ")
    assert "passed" in seen["output"]
    assert seen["tests"] == "Its tests pass: 4 of test_naive_fixed_window.py."
    assert seen["error"] == "ZeroDivisionError on line 1."
    assert seen["stop"] == "Stopped."
    assert seen["rows"] == "Finished: SELECT 10."
    assert seen["explained"] == "Finished: the plan."
    assert "Seq Scan on orders (actual rows=100000.00" in seen["plan"]
    assert seen["kept"] is True
    # Firefox reports a worker that was ended as an error without a text.
    assert [one for one in seen["complaints"] if "undefined" not in one] == []
