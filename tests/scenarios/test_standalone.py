"""Every snippet runs as its reader runs it: one file, an empty folder, one command."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 30
"""How long a demo may take on a busy machine before it counts as hanging."""


class File(NamedTuple):
    """A snippet, its dependencies, and the servers its demo needs."""

    path: Path
    dependencies: tuple[str, ...]
    needs: tuple[str, ...]


def read(path: Path) -> File:
    """Read the metadata block of a snippet (PEP 723)."""
    block = re.search(r"(?m)^# /// script\n((?:#.*\n)+?)# ///$", path.read_text("utf-8"))
    assert block, f"{path} has no script metadata"
    lines = block[1].splitlines()
    metadata = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    needs = metadata["tool"]["firedrill"]["needs"]
    return File(path, tuple(metadata["dependencies"]), tuple(needs))


FILES = [read(path) for path in sorted((ROOT / "snippets").glob("*/*.py"))]
BY_DEPENDENCIES = {file.dependencies: file for file in FILES}


def name(file: File) -> str:
    """Give a snippet's name in the test report."""
    return f"{file.path.parent.name}-{file.path.stem}"


def environment(request: pytest.FixtureRequest, file: File) -> dict[str, str]:
    """Give the demo what it needs, and nothing of this environment that it might lean on."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "UV_CACHE_DIR", "SSL_CERT_FILE")
    given = {key: os.environ[key] for key in kept if key in os.environ}
    if "postgres" in file.needs:
        given["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    if "redis" in file.needs:
        given["REDIS_URL"] = request.getfixturevalue("redis_url")
    if "nats" in file.needs:
        given["NATS_URL"] = request.getfixturevalue("nats_url")
    if "s3" in file.needs:
        bucket = request.getfixturevalue("s3")
        given["S3_ENDPOINT_URL"] = bucket.endpoint_url
        given["AWS_ACCESS_KEY_ID"] = bucket.access_key
        given["AWS_SECRET_ACCESS_KEY"] = bucket.secret_key
        given["AWS_REGION"] = given["AWS_DEFAULT_REGION"] = bucket.region
    return given


def run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run a demo to its end: it succeeds, says something, and complains about nothing."""
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


@pytest.mark.parametrize("file", FILES, ids=name)
def test_runs_alone_from_an_empty_folder(
    file: File, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = tmp_path / file.path.name
    copy.write_bytes(file.path.read_bytes())
    command = [sys.executable, "-W", "error", copy.name]
    run(command, tmp_path, environment(request, file))
    assert {p.name for p in tmp_path.iterdir()} == {copy.name}


@pytest.mark.parametrize("file", [file for file in FILES if file.needs], ids=name)
def test_without_its_server_it_says_what_to_do_in_one_line(file: File, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, str(file.path)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "make lab" in done.stderr


@pytest.mark.parametrize("file", BY_DEPENDENCIES.values(), ids=name)
def test_runs_by_uv_with_the_locked_versions(
    file: File, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = tmp_path / file.path.name
    copy.write_bytes(file.path.read_bytes())
    pins = re.findall(r"(?m)^[A-Za-z0-9._-]+==[^\s\\]+", (ROOT / "requirements.lock").read_text())
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(pins))
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "run", "--quiet", "--no-project", "--python", sys.executable]
    env = environment(request, file) | {"UV_CONSTRAINT": str(constraints)}
    run([*command, "--script", copy.name], tmp_path, env | {"UV_PYTHON_DOWNLOADS": "never"})
