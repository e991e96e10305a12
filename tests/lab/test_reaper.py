"""Nothing outlives a test run, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from lab import reap, reaper
from lab.errors import ServerUnavailable
from lab.servers.s3 import GRPC, PARTS
from tests.lab import runs

pytestmark = pytest.mark.slow

# Uses every kind of thing that a run can leave behind, tells of it, then waits to be killed.
WITNESS = """
    import json, os, subprocess, threading
    from lab import process, reap, reaper, servers

    def test_waits(postgres_url, redis_url, nats_url, s3):
        pair = servers.postgres_pair()
        pair.freeze_walsender()
        paused = servers.valkey()
        paused.pause()
        proxied = servers.nginx("server { listen 127.0.0.1:{port}; }")
        child = process.spawn(["sleep", "600"])
        plain = subprocess.Popen(["sleep", "600"])
        folder = reaper.current().folder
        now = reap.table()
        mine = reap.family({*reap.marked(str(folder)), os.getpid()}, now)
        urls = [postgres_url, redis_url, nats_url, s3.endpoint_url, pair.url.split(",")[0],
                paused.url, proxied.url]
        with open(os.environ["WITNESS"] + ".part", "w") as file:
            json.dump({"folder": str(folder), "urls": urls,
                       "processes": {p: now[p].born for p in mine}}, file)
        os.rename(os.environ["WITNESS"] + ".part", os.environ["WITNESS"])
        threading.Event().wait(600)
"""


def shared_memory() -> set[str]:
    """Ids of the System V segments in the kernel (Linux)."""
    listing = Path("/proc/sysvipc/shm")
    return (
        {line.split()[1] for line in listing.read_text().splitlines()[1:]}
        if listing.exists()
        else set()
    )


def segments(folder: Path) -> set[str]:
    return {r.read_text().splitlines()[6].split()[1] for r in folder.glob("**/postmaster.pid")}


def sockets_of_seaweedfs(pids: Iterable[int]) -> list[Path]:
    """The files that the SeaweedFS servers among these processes made in /tmp."""
    command = ["ps", "-ww", "-o", "args=", "-p", ",".join(map(str, pids))]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [
        Path(f"/tmp/seaweedfs-{part}-grpc-{int(port) + GRPC}.sock")
        for part, port in re.findall(r" -(\w+)\.port=(\d+)", listing)
        if part in PARTS
    ]


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_kill_9_of_the_run_leaves_no_process_file_port_or_shared_memory(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = runs.write(tmp_path, WITNESS)
    witness = tmp_path / "witness.json"
    with runs.empty_folder() as folder:
        env = runs.environment(folder, WITNESS=str(witness))
        with runs.start(path, *arguments, env=env) as run:
            runs.wait_for(lambda: witness.exists() or run.poll() is not None, "the inner test")
            assert witness.exists(), run.stdout and run.stdout.read()
            seen = json.loads(witness.read_text())
            processes = {int(pid): born for pid, born in seen["processes"].items()}
            processes |= runs.identities(run.pid)
            ports = {int(url.rsplit(":", 1)[1].split("/")[0]) for url in seen["urls"]}
            litter = sockets_of_seaweedfs(processes)
            held = segments(Path(seen["folder"]))
            assert len(runs.living(processes)) > 20, "the witness must see the servers' processes"
            assert len(held) == 3
            assert [path.exists() for path in litter] == [True] * 5, "SeaweedFS's sockets in /tmp"

            run.kill()

            runs.wait_for(lambda: not runs.living(processes), "every process has ended", 15)
            runs.wait_for(lambda: not list(folder.rglob("*")), "every file is gone", 15)
            assert [port for port in ports if somebody_listens(port)] == []
            assert [path for path in litter if path.exists()] == []
            assert held & shared_memory() == set()


def somebody_listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def ctrl_c_heard() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where a shell started these tests with SIGINT ignored."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ended_by_ctrl_c(run: subprocess.Popen[str]) -> int:
    """Press as a person does, again after ten seconds.

    On a loaded machine three of 564 were lost. Why was not seen; Python drops a KeyboardInterrupt
    that comes in a callback of its own, such as one of the import system.
    """
    for _ in range(6):
        os.killpg(run.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return run.wait(10)
    raise AssertionError("it lives on after six times ctrl-C in a minute")


@pytest.mark.usefixtures("ctrl_c_heard")
@pytest.mark.parametrize("seconds", [0.4, 0.9, 1.4, 2.0, 3.0])
def test_ctrl_c_at_any_moment_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    path = runs.write(tmp_path, WITNESS)
    with runs.empty_folder() as folder:
        env = runs.environment(folder, WITNESS=str(tmp_path / "witness.json"))
        with runs.start(path, env=env) as run:
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(seconds)
            before = runs.identities(run.pid)
            assert ended_by_ctrl_c(run) != 0
            runs.wait_for(lambda: not runs.living(before), "every process has ended", 15)
            runs.wait_for(lambda: not list(folder.iterdir()), "every file is gone", 15)


def test_a_run_that_ends_by_itself_has_cleaned_up_before_it_returns(tmp_path: Path) -> None:
    path = runs.write(tmp_path, "def test_all(postgres_url, redis_url, nats_url, s3): pass")
    with runs.empty_folder() as folder:
        done = runs.finish(path, env=runs.environment(folder))
        assert (done.returncode, list(folder.iterdir())) == (0, []), done.stdout


def test_a_folder_that_cannot_be_written_is_told_with_the_mend(tmp_path: Path) -> None:
    path = runs.write(tmp_path, "def test_it(redis_url): pass")
    absent = tmp_path / "absent"
    done = runs.finish(path, env=runs.environment(absent))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"lab: TMPDIR={absent} is not a folder that this user can write" in done.stdout
    assert "Mend: `unset TMPDIR`" in done.stdout
    assert "Traceback" not in done.stdout


def test_close_ends_processes_and_removes_the_folder() -> None:
    code = """
import subprocess, sys
from lab import process, reaper
run = reaper.current()
child = process.spawn(["sleep", "600"])
reaper.close()
print(run.folder.exists(), child.wait(5))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(-signal.SIGKILL)]


def test_a_forked_child_does_not_end_its_parents_run() -> None:
    code = """
import os, sys
from lab import reaper
run = reaper.current()
if os.fork() == 0:
    sys.exit(0)  # runs the exit handlers
os.wait()
print(run.folder.exists())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_process_id_that_was_given_again_is_not_taken_for_the_old_one() -> None:
    with subprocess.Popen(["sleep", "600"]) as innocent:
        estate = reap.Estate("/nowhere")
        message = {"do": "own", "pid": innocent.pid, "born": "an earlier start", "signal": 9}
        estate.hear(json.dumps(message).encode())
        assert innocent.pid not in estate.living()
        innocent.kill()


def test_joining_a_run_that_has_ended_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match=r"has ended\. Mend: start the tests again"):
        reaper.Joined(tmp_path)


def test_born_is_none_for_a_zombie_and_for_nobody() -> None:
    with subprocess.Popen(["true"]) as child:
        runs.wait_for(lambda: reap.born(child.pid) is None, "the child is a zombie")
    assert reap.born(2**22 + 1) is None
