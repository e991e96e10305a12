"""Each marked snippet, and its tests, under the page's own Pyodide in node."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from catalog.run import kit
from catalog.run.bundle import Bundle, own_tests
from catalog.snippets import Snippet, read_snippets
from tests.catalog.repository import ROOT

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
def python(blocking: bool) -> Iterator[Python]:
    node = str(kit.node())
    asked = subprocess.run(
        [node, "-p", "'Suspending' in WebAssembly"], capture_output=True, text=True, check=True
    )
    flags = () if asked.stdout.strip() == "true" else ("--experimental-wasm-jspi",)
    command = [node, *flags, str(ENGINE), str(kit.HERE / "glue.py"), str(kit.ensure())]
    with subprocess.Popen(
        [*command, *MODES[blocking]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Python(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


def native(snippet: Snippet) -> str:
    """What the file prints under the Python of this environment."""
    command = [sys.executable, str(ROOT / snippet.path)]
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stdout.decode()


def offered(snippet: Snippet) -> Bundle | None:
    """The tests whose button the page shows."""
    found = own_tests(ROOT, snippet.scenario.replace("-", "_"), snippet.name)
    return None if found is None or found.missing else found


def test_marked_snippets_print_what_they_print_elsewhere() -> None:
    """And their tests pass, wherever the page offers them: with stack switching, and without."""
    expected = {snippet.path: (None, native(snippet)) for snippet in SNIPPETS}
    for blocking in MODES:
        printed: dict[str, tuple[object, str]] = {}
        failed: dict[str, object] = {}
        tested = 0
        with python(blocking) as page:
            assert page.hello["blocking"] is blocking
            for snippet in SNIPPETS:
                answer = page(kind="run", path=snippet.path, files={snippet.path: snippet.stripped})
                printed[snippet.path] = (answer["error"], answer["out"])
                tests = offered(snippet)
                if tests is None or (tests.blocks and not blocking):
                    continue
                job = json.loads(tests.json())
                job["files"][snippet.path] = snippet.stripped
                answer = page(kind="test", **job)
                tested += 1
                if answer.get("failed") is not False:
                    failed[snippet.path] = answer
        assert printed == expected
        assert failed == {}
        assert tested > 0


def test_what_a_page_cannot_give_is_told() -> None:
    """Memory that ends, a module that is not there, output of its own stream."""
    with python(blocking=True) as page:

        def run(text: str) -> dict[str, Any]:
            return page(kind="run", path="x.py", files={"x.py": text})

        bomb = run("kept = []\nwhile True:\n    kept.append(bytearray(10**7))\n")
        assert (bomb["error"]["type"], bomb["error"]["line"]) == ("MemoryError", 3)
        assert "512 MB" in bomb["error"]["text"]
        missing = run("import psycopg\n")
        assert missing["error"]["type"] == "ModuleNotFoundError"
        both = run("import sys\nprint('a')\nprint('b', file=sys.stderr)\n")
        assert (both["error"], both["out"], both["err"]) == (None, "a\n", "b\n")
        broken = SNIPPETS[-1]
        tests = offered(broken)
        assert tests is not None, broken.path
        job = json.loads(tests.json())
        job["files"][broken.path] = broken.stripped.replace("return", "return None and", 3)
        answer = page(kind="test", **job)
        assert answer["failed"] is True
        assert " failed" in answer["out"]
