"""Marked snippets, their tests and the simulations under the page's own Pyodide in node."""

import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from catalog.exercise import read_exercise
from catalog.run import kit
from catalog.run.bundle import Bundle, own_tests, wanted
from catalog.run.sliders import show
from catalog.simulation import read_simulation
from catalog.snippets import Snippet, read_snippets
from tests.catalog.repository import ROOT
from tests.run import test_simulations as simulations
from tests.run.test_exercises import FOLDERS

pytestmark = pytest.mark.slow

ENGINE = Path(__file__).with_name("engine.mjs")
SNIPPETS = [snippet for snippet in read_snippets(ROOT)[0] if snippet.browser]
MODES = {True: (), False: ("--plain",)}
"""With WebAssembly stack switching, and without, as in some browsers."""


class Python:
    """Python as a page has it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.hello = self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def __call__(self, **job: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        return self.answer()


@contextmanager
def unpacked() -> Iterator[str]:
    """The kit with Python itself unpacked, which in a page its worker does."""
    made = kit.ensure()
    with tempfile.TemporaryDirectory() as name:
        for file in made.rglob("*.*"):
            if file.is_file():
                copy = Path(name) / file.relative_to(made)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if file.name == f"{kit.PACKED}.gz":
                    copy.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
                else:
                    copy.symlink_to(file)
        yield name


@contextmanager
def python(blocking: bool) -> Iterator[Python]:
    node = str(kit.node())
    asked = subprocess.run(
        [node, "-p", "'Suspending' in WebAssembly"], capture_output=True, text=True, check=True
    )
    flags = () if asked.stdout.strip() == "true" else ("--experimental-wasm-jspi",)
    command = [node, *flags, str(ENGINE), str(kit.HERE / "glue.py")]
    with (
        unpacked() as folder,
        subprocess.Popen(
            [*command, folder, *MODES[blocking]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            yield Python(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


@cache
def natively() -> dict[str, tuple[object, str, str]]:
    """What each marked file prints under the Python of this environment; each its own process."""
    found: dict[str, tuple[object, str, str]] = {}
    for snippet in SNIPPETS:
        command = [sys.executable, str(ROOT / snippet.path)]
        done = subprocess.run(command, capture_output=True, check=True)
        found[snippet.path] = (None, done.stdout.decode(), done.stderr.decode())
    return found


def offered(snippet: Snippet) -> Bundle | None:
    """The tests whose button the page shows."""
    found = own_tests(ROOT, snippet.scenario.replace("-", "_"), snippet.name)
    return None if found is None or found.missing else found


def printed_by(page: Python) -> dict[str, tuple[object, str, str]]:
    """What each marked file prints in a page on both streams, and its error."""
    found = {}
    for snippet in SNIPPETS:
        job = {"packages": sorted(wanted(snippet.text)), "files": {snippet.path: snippet.stripped}}
        answer = page(kind="run", path=snippet.path, **job)
        found[snippet.path] = (answer["error"], answer["out"], answer["err"])
    return found


def outcomes_of(page: Python, *, blocks: bool) -> dict[str, object]:
    """How the tests end that need stack switching, or those that do not: None is well."""
    found: dict[str, object] = {}
    for snippet in SNIPPETS:
        tests = offered(snippet)
        if tests is not None and tests.blocks is blocks:
            job = json.loads(tests.json())
            job["files"][snippet.path] = snippet.stripped
            answer = page(kind="test", **job)
            found[snippet.path] = None if answer.get("failed") is False else answer
    return found


def judged_by(page: Python) -> dict[str, tuple[bool, bool]]:
    """Whether each exercise is solved by its start, and by its solution."""
    found = {}
    for folder in FOLDERS:
        exercise = read_exercise(ROOT, folder.parent.name)
        assert exercise is not None
        assert exercise.bundle is not None
        job = json.loads(exercise.bundle.json(checker=exercise.checker))
        start = page(kind="check", **job)["solved"]
        job["files"][job["path"]] = (folder / "solution.py").read_text(encoding="utf-8")
        found[exercise.folder] = (start, page(kind="check", **job)["solved"])
    return found


SHORTCUT = """\
from snippets.rate_limiting import naive_fixed_window


def arrivals() -> list[float]:
    import snippets.rate_limiting.naive_fixed_window as again

    again.NaiveFixedWindow.allow = lambda *_: True
    return [number / 4 for number in range(199)]


naive_fixed_window.NaiveFixedWindow.allow = lambda *_: True
"""


def told_of_a_shortcut(page: Python) -> str:
    """What an exercise says of an answer that replaces the naive code itself."""
    exercise = read_exercise(ROOT, "rate_limiting")
    assert exercise is not None
    assert exercise.bundle is not None
    job = json.loads(exercise.bundle.json(checker=exercise.checker))
    job["files"][job["path"]] = SHORTCUT
    return str(page(kind="check", **job)["text"])


def drawn_otherwise(page: Python) -> list[str]:
    """Simulations that show another byte in a page than at build, in one of three settings.

    And those that do not say what is wrong with a bad value.
    """
    found = []
    for file in simulations.FILES:
        simulation = read_simulation(ROOT, file.parent.name)
        assert simulation is not None
        job = json.loads(simulation.json())
        module = simulations.load(file)
        for values in simulations.three(module):
            answer = page(kind="simulate", values=json.dumps(values), **job)
            wanted = json.loads(json.dumps(show(module, values)))
            if wanted != {name: answer.get(name) for name in wanted}:
                found.append(f"{file.parent.name}: {values}: {answer.get('text', 'differs')}")
        bad = dict.fromkeys(simulations.three(module)[0], -1)
        answer = page(kind="simulate", values=json.dumps(bad), **job)
        if "is -1: it must be a whole number" not in str(answer.get("text")):
            found.append(f"{file.parent.name}: {bad}: {answer}")
    return found


DIRT = """\
import asyncio, builtins, gc, logging, os, sys, time
logging.basicConfig(level=logging.DEBUG)
logging.disable(logging.CRITICAL)
builtins.print = builtins.extra = asyncio.sleep = asyncio.run = None
time.monotonic = lambda: 0
os.environ["LEFT"] = "1"
sys.modules["json"] = None
sys.path.insert(0, "/nowhere")
gc.disable()
sys.setrecursionlimit(100)
open("/tmp/left", "w").close()
sys.stdout.close()
"""
CLEAN = """\
import asyncio, atexit, builtins, gc, json, logging, os, sys, time
left = [hasattr(builtins, "extra"), not gc.isenabled(), os.environ.get("LEFT"), os.listdir("/tmp"),
        sys.getrecursionlimit() == 100, "/nowhere" in sys.path, time.monotonic() == 0,
        logging.root.handlers, logging.root.manager.disable, logging.root.level != logging.WARNING]
async def main():
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, print, "late")
    print(any(left))
if __name__ == "__main__":
    atexit.register(print, "bye")
    asyncio.run(main())
"""
FILL = """\
for number in range(9):
    with open(f"f{number}", "wb") as file:
        for _ in range(5):
            file.write(bytes(10_000_000))
"""
REFILL = FILL.replace('f"f{number}"', '"f"') + "print('fine')\n"
WAIT = "import time\ntime.sleep(0.2)\nprint('next')\n"


SPEAKING = """\
import asyncio, logging, sys, traceback
logging.basicConfig(format="%(levelname)s %(message)s")
def fail():
    raise ExceptionGroup("both", [KeyError("é"), ValueError(1)])
async def main():
    logging.warning("slow")
    sys.stderr.write("half ")
    print("a line", file=sys.stderr)
    try:
        fail()
    except* KeyError:
        traceback.print_exc()
    except* ValueError as group:
        traceback.print_exception(group, limit=0)
if __name__ == "__main__":
    print("said")
    asyncio.run(main())
"""


def said_to_stderr(page: Python) -> tuple[list[str], list[str]]:
    """Lines of a program that complains and goes on: in a page, and under CPython."""
    answer = page(kind="run", path="x.py", files={"x.py": SPEAKING})
    assert (answer["error"], answer["out"]) == (None, "said\n")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "x.py").write_text(SPEAKING, encoding="utf-8")
        command = [sys.executable, "-X", "utf8", "x.py"]
        done = subprocess.run(command, cwd=name, capture_output=True, check=True)
    return unplaced(answer["err"]), unplaced(done.stderr.decode())


def unplaced(text: str) -> list[str]:
    """Lines of what was said, without the folder of a file; marks below a line of code go."""
    lines = re.sub(r'File "[^"]*x\.py"', 'File "x.py"', text).splitlines()
    return [line for line in lines if set(line) - set(" |~^")]


def left_by_an_earlier_run(page: Python) -> list[str]:
    """What a program left to the next ones, told by what they print; and a closed stream."""
    printed = []
    for text in (DIRT, CLEAN, WAIT):
        answer = page(kind="run", path="x.py", files={"x.py": text})
        printed.append(f"{answer['out']}{answer['err']}{answer['error'] or ''}")
    return printed


def told_of_a_broken_limiter(page: Python) -> dict[str, Any]:
    """What the tests of a snippet say when it admits one request less."""
    (snippet,) = [one for one in SNIPPETS if one.name == "naive_fixed_window"]
    tests = offered(snippet)
    assert tests is not None
    job = json.loads(tests.json())
    job["files"][snippet.path] = snippet.stripped.replace("<= self.limit", "< self.limit")
    return page(kind="test", **job)


def all_well(found: Mapping[str, object]) -> bool:
    """Whether there was something, and all of it went well."""
    return bool(found) and all(answer is None for answer in found.values())


def test_with_stack_switching_a_page_does_what_cpython_does() -> None:
    """Marked files print the same; the tests that wait for an event loop pass."""
    with python(blocking=True) as page:
        assert page.hello["blocking"] is True
        assert printed_by(page) == natively()
        here, there = said_to_stderr(page)
        assert here == there
        assert here[0] == "WARNING slow"
        tested = outcomes_of(page, blocks=True)
        assert all_well(tested), tested
        assert drawn_otherwise(page) == []
        assert left_by_an_earlier_run(page) == ["", "False\nbye\n", "next\n"]


def test_without_stack_switching_a_page_does_as_much_as_it_can() -> None:
    """Marked files print the same; all other tests pass, so they do with more as well."""
    with python(blocking=False) as page:
        assert page.hello["blocking"] is False
        assert printed_by(page) == natively()
        here, there = said_to_stderr(page)
        assert here == there
        assert here[0] == "WARNING slow"
        tested = outcomes_of(page, blocks=False)
        assert all_well(tested), tested
        judged = judged_by(page)
        assert judged == dict.fromkeys(judged, (False, True))
        assert judged
        assert told_of_a_shortcut(page) == "100 of 199 passed, within 49.5 s.\n"
        assert drawn_otherwise(page) == []
        both = "import sys\nprint('a')\nprint('b', file=sys.stderr)\n"
        answer = page(kind="run", path="x.py", files={"x.py": both})
        assert answer == {"error": None, "out": "a\n", "err": "b\n"}
        assert left_by_an_earlier_run(page) == ["", "False\nbye\n", "next\n"]
        for text, said in (
            (FILL, "may keep 256 MiB in files"),
            (REFILL, "fine"),
            (FILL, "256 MiB"),
        ):
            assert said in str(page(kind="run", path="x.py", files={"x.py": text}))
        told = told_of_a_broken_limiter(page)
        assert told["failed"] is True
        assert told["failures"] >= 1
        assert told["err"].count("FAILED  ") == told["failures"]
        assert told["out"].count("passed  ") == told["passed"]
        assert "/reader/" not in told["err"]
