"""`python -m lab` (`make lab`): addresses to copy, and ctrl-C ends everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.lab import runs

pytestmark = pytest.mark.slow

NAMES = [
    "DATABASE_URL",
    "REDIS_URL",
    "NATS_URL",
    "S3_ENDPOINT_URL",
    "S3_BUCKET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
]


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lab"],
        env=runs.environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(lab: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Signal the whole session, as a terminal does; the rest of output and errors."""
    os.killpg(lab.pid, number)
    return lab.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_lab_prints_addresses_into_a_pipe_and_a_signal_stops_it(number: int) -> None:
    with runs.empty_folder() as folder, start(folder) as lab:
        assert lab.stdout is not None
        lines = [lab.stdout.readline() for _ in NAMES]
        shown = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        assert [line.split()[0] for line in lines] == ["export"] * len(NAMES)
        assert list(shown) == NAMES
        with psycopg.connect(shown["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

        out, errors = end(lab, number)

        assert (lab.returncode, out) == (0, "")
        assert errors.endswith("lab: stopped; nothing of it is left.\n")
        assert "Traceback" not in errors
        assert list(folder.iterdir()) == []


def test_a_signal_while_the_servers_start_stops_them_too() -> None:
    with runs.empty_folder() as folder, start(folder) as lab:
        assert lab.stderr is not None
        assert lab.stderr.readline().startswith("lab: starting")
        runs.wait_for(lambda: list(folder.glob("*/*-*")), "the first server has its folder")
        out, errors = end(lab, signal.SIGINT)
        assert (lab.returncode, out) == (0, "")
        assert "Traceback" not in errors
        assert list(folder.iterdir()) == []


@pytest.mark.linux
def test_a_server_that_dies_is_told_and_ends_the_command() -> None:
    with runs.empty_folder() as folder, start(folder) as lab:
        assert lab.stdout is not None
        for _ in NAMES:
            lab.stdout.readline()
        nats = next(
            pid
            for pid in runs.identities(lab.pid)
            if "nats" in Path(f"/proc/{pid}/comm").read_text()
        )
        os.kill(nats, signal.SIGKILL)
        _, errors = lab.communicate(timeout=60)
        assert lab.returncode == 1
        assert "nats: it has ended" in errors
        assert list(folder.iterdir()) == []


def test_a_missing_program_is_one_message_and_exit_code_1() -> None:
    code = (
        "from lab.servers import binaries; from lab.__main__ import main; import sys;"
        "binaries.nats = lambda: binaries._first('nats', [], [], 'nats-server'); sys.exit(main())"
    )
    with runs.empty_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=runs.environment(folder),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "nats: its program is neither in this environment nor on PATH. Mend: " in done.stderr
        assert "Traceback" not in done.stderr
        assert list(folder.iterdir()) == []
