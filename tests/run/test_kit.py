"""What is fetched for the page: by exact version and hash, once, and with one message if not."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import sql
from catalog.problem import SetUpError
from catalog.run import kit
from tests.catalog.repository import ROOT


def test_the_lock_of_npm_names_hashes_and_no_address() -> None:
    text = (kit.HERE / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: one for name, one in json.loads(text)["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
    assert "://" not in re.sub(r'"url": "[^"]*"', "", text)


def test_wheels_are_those_of_the_lock() -> None:
    """The page's pytest is the pytest of every commit."""
    pinned = re.findall(r"(?m)^([a-z-]+)==\S+", kit.requirements())
    assert pinned == list(kit.WHEELS)
    assert kit.requirements().count("--hash=sha256:") > len(pinned)


@pytest.mark.slow
def test_the_kit_is_made_once_and_complete() -> None:
    made = kit.ensure()
    assets = kit.assets(pytest.fail)  # which would be told of another making
    described = json.loads(assets["assets/run/kit.json"])
    served = [f"{name}.gz" if name == kit.PACKED else name for name in kit.CORE]
    core = {f"assets/run/{described['pyodide']}{name}" for name in served}
    wheels = described["lock"]["packages"].values()
    files = {f"assets/run/wheels/{wheel['file_name']}" for wheel in wheels}
    names = ("kit.json", "postgres.json", "editor.js", "notices.txt")
    own = {f"assets/run/{name}" for name in names}
    postgres = {name for name in assets if name.startswith("assets/run/pglite-")}
    assert set(assets) == core | files | own | postgres
    assert b"@codemirror/view" in assets["assets/run/notices.txt"]
    assert made.name == described["key"]
    for wheel in wheels:
        data = assets[f"assets/run/wheels/{wheel['file_name']}"]
        assert hashlib.sha256(data).hexdigest() == wheel["sha256"]
    assert all(b"://cdn." not in assets[f"assets/run/{name}"] for name in ("kit.json", "editor.js"))


@pytest.mark.slow
def test_the_page_names_what_python_loads() -> None:
    """Scripts as every host sends them, compressed; the rest as it is."""
    assets = kit.assets(pytest.fail)
    described = json.loads(assets["assets/run/kit.json"])
    core = {n: data for n, data in assets.items() if f"/{described['pyodide']}" in n}
    sent = sum(len(gzip.compress(d) if n.endswith(".mjs") else d) for n, d in core.items())
    assert {f"{sent / 1e6:.0f} MB"} == {
        found
        for name in ("run.js", "engine.js")
        for found in re.findall(r"\d+ MB", (ROOT / "docs/assets/run" / name).read_text("utf-8"))
    }


@pytest.mark.slow
@pytest.mark.parametrize("how", ["changed", "lost", "added"])
def test_a_file_that_is_not_as_it_was_made_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    made = tmp_path / "build/run" / kit.key()
    shutil.copytree(kit.ensure(), made)
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    file = made / "wheels" / "other.whl" if how == "added" else made / "editor.js"
    file.unlink() if how == "lost" else file.write_bytes(b"alert()")
    with pytest.raises(SetUpError) as caught:
        kit.assets(pytest.fail)
    assert str(caught.value) == (
        f"run: {file.relative_to(tmp_path)} is not as it was made. "
        "Mend: rm -rf build/run, then run the same command again."
    )


@pytest.mark.slow
def test_the_page_names_what_postgresql_loads() -> None:
    """The size that a reader is told before the press: sent, and unpacked."""
    assets = kit.assets(pytest.fail)
    described = json.loads(assets["assets/run/postgres.json"])
    folder = f"assets/run/{described['pglite']}"
    loaded = {name.removeprefix(folder): assets[name] for name in assets if folder in name}
    assert {f"{name}.gz" for name in kit.POSTGRES} < loaded.keys()
    assert described["version"] in folder
    sent, unpacked = 0, 0
    for name, data in loaded.items():
        packed = name.endswith(".gz")
        sent += len(data if packed else gzip.compress(data))
        unpacked += len(gzip.decompress(data) if packed else data)
    assert f"{sent / 1e6:.1f} MB" == sql.SIZE
    assert f"{unpacked / 1e6:.0f} MB" == sql.UNPACKED
    notices = assets["assets/run/notices.txt"]
    assert b"@electric-sql/pglite" in notices
    assert b"PostgreSQL Global Development Group" in notices


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository for which nothing was fetched yet."""
    shutil.copytree(kit.HERE, tmp_path / "run", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kit, "HERE", tmp_path / "run")
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    kit.requirements()  # cached, from the real lock
    return tmp_path


def refused(empty: Path) -> str:
    said: list[str] = []
    with pytest.raises(SetUpError) as caught:
        kit.ensure(said.append)
    assert said == ["run: fetching Python and PostgreSQL for the page (once)"]
    assert [file.name for file in (empty / "build/run").iterdir()] == [".lock"]
    return str(caught.value)


@pytest.mark.slow
def test_an_index_that_does_not_answer_is_one_message(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(empty / "npm"))
    message = refused(empty)
    assert message.startswith("run: cannot fetch Pyodide, PGlite and the editor from npm: ")
    assert "ECONNREFUSED" in message
    assert message.count("Mend: ") == 1
    assert len(message.splitlines()) == 1


@pytest.mark.slow
def test_a_download_with_another_hash_is_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever checks: here npm, which would fetch again; then pip."""
    monkeypatch.setattr(kit, "_npm", lambda work: (work / "node_modules").mkdir())
    line = re.search(r"iniconfig==[^\n]*\n", kit.requirements())
    assert line is not None
    wrong = f"{line[0]}    --hash=sha256:{'0' * 64}\n"
    monkeypatch.setattr(kit, "requirements", lambda: wrong)
    message = refused(empty)
    assert message.startswith("run: cannot fetch the packages of the page from the Python index: ")
    assert "HASH" in message.upper()
    assert len(message.splitlines()) == 1


def test_the_command_says_it_and_fails(tmp_path: Path) -> None:
    """Without node in the environment nothing can be fetched: one line, and the site stays."""
    code = (
        "import sys; from catalog.run import kit; from catalog.__main__ import main;"
        "from pathlib import Path; kit.ROOT = Path(sys.argv[1]); kit.find_spec = lambda _: None;"
        "sys.exit(main(['--root', sys.argv[1], 'site']))"
    )
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "run: node is missing from this environment. Mend: make"
    )
