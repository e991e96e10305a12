"""The Python that runs inside Pyodide, under CPython: what it runs, and what it tells."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.run import glue
from tests.catalog.repository import ROOT

LOOPING = """\
import asyncio


async def work() -> None:
    await asyncio.sleep(0)
    print("worked")


class Kept:
    def run(self) -> None:
        asyncio.run(work())


def main() -> None:
    asyncio.run(work())


if __name__ == "__main__":
    main()
"""


UNTOLD = "class E(Exception):\n    def __str__(self):\n        raise ValueError\n"
CHAIN = "e = None\nfor i in range(3000):\n    n = ValueError(i)\n    n.__cause__, e = e, n\n"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The reader's folder; this process is left as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(glue, "ROOT", tmp_path / "reader")
    yield tmp_path / "reader"
    glue.place({})


def run(text: str) -> glue.Report | None:
    glue.place({"a/x.py": text})
    return glue.run("a/x.py", 512)


def run_awaiting(text: str) -> glue.Report | None:
    glue.place({"a/x.py": text})
    return asyncio.run(glue.run_awaiting("a/x.py", 512))


def test_a_file_runs_as_the_program_in_its_folder(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.modules["__main__"], sys.path[:], sys.argv
    glue.place({"a/x.py": "import y, os, sys\nprint(__name__, y.N, sys.argv)", "a/y.py": "N = 1"})
    assert glue.run("a/x.py", 512) is None
    assert capsys.readouterr().out == "__main__ 1 ['x.py']\n"
    assert (sys.modules["__main__"], sys.path, sys.argv) == before
    assert sorted(file.name for file in reader.rglob("*.py")) == ["x.py", "y.py"]


def test_an_edit_of_what_is_imported_counts_in_the_next_run(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del reader
    for number in (1, 22):
        glue.place(
            {"x.py": "import neighbour\nprint(neighbour.N)", "neighbour.py": f"N = {number}"}
        )
        assert glue.run("x.py", 512) is None
    assert capsys.readouterr().out == "1\n22\n"


def test_an_error_shows_the_readers_lines_and_no_others(reader: Path) -> None:
    del reader
    report = run("import json\n\ndef f():\n    json.loads('{')\n\nf()\n")
    assert report is not None
    assert (report["type"], report["line"]) == ("JSONDecodeError", 4)
    text = str(report["text"])
    assert [line.strip() for line in text.splitlines() if "File" in line] == [
        'File "x.py", line 6, in <module>',
        'File "x.py", line 4, in f',
    ]
    assert text.splitlines()[0] == "Traceback (most recent call last):"
    assert text.splitlines()[-1].startswith("json.decoder.JSONDecodeError: ")


def test_what_led_to_an_error_is_told_as_well(reader: Path) -> None:
    del reader
    report = run(
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e\n"
    )
    assert report is not None
    assert (report["type"], report["line"]) == ("KeyError", 4)
    assert "ZeroDivisionError" in str(report["text"])
    assert "direct cause" in str(report["text"])


@pytest.mark.parametrize(
    ("text", "type_", "line", "told"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError", 2, 'File "x.py", line 2'),
        ("import nowhere_at_all\n", "ModuleNotFoundError", 1, "uv run"),
        ("raise MemoryError\n", "MemoryError", 1, "512 MiB"),
        ('raise RuntimeError("can\'t start new thread")\n', "RuntimeError", 1, "no threads"),
        ("raise SystemExit('bye')\n", "SystemExit", 0, "bye"),
        ("raise SystemExit(3)\n", "SystemExit", 0, "3"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt", 1, "KeyboardInterrupt"),
    ],
)
def test_each_way_to_fail_is_told(
    reader: Path, text: str, type_: str, line: int, told: str
) -> None:
    """Whether `asyncio.run` can wait or not."""
    del reader
    for report in (run(text), run_awaiting(text)):
        assert report is not None
        assert (report["type"], report["line"]) == (type_, line)
        assert told in str(report["text"])


def test_an_exit_without_complaint_is_no_error(reader: Path) -> None:
    del reader
    assert run("raise SystemExit\n") is None
    assert run("raise SystemExit(0)\n") is None


def test_a_loop_is_awaited_where_it_cannot_block(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`asyncio.run` would raise here: a loop runs already, as in a page."""
    del reader
    assert run_awaiting(LOOPING) is None
    assert run_awaiting("import asyncio\nasyncio.run(asyncio.sleep(0))\nprint('too')\n") is None
    assert capsys.readouterr().out == "worked\ntoo\n"


def test_an_error_below_an_awaited_loop_names_its_line(reader: Path) -> None:
    del reader
    report = run_awaiting(LOOPING.replace('print("worked")', "raise KeyError('k')"))
    assert report is not None
    assert (report["type"], report["line"]) == ("KeyError", 6)


def test_tasks_that_are_left_end_with_the_program(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del reader
    text = LOOPING.replace(
        "    await asyncio.sleep(0)\n",
        "    asyncio.get_running_loop().create_task(asyncio.sleep(60), name='left')\n"
        "    await asyncio.sleep(0)\n",
    )

    async def both() -> list[str]:
        glue.place({"x.py": text})
        assert await glue.run_awaiting("x.py", 512) is None
        return [task.get_name() for task in asyncio.all_tasks()]

    assert "left" not in asyncio.run(both())
    assert capsys.readouterr().out == "worked\n"


CHECKER = "def check(m):\n    assert m.N > 1, 'N is too small.'\n    return 'Well done.'\n"


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("N = 2\n", {"solved": True, "text": "Well done.\n"}),
        ("N = 1\n", {"solved": False, "text": "N is too small.\n"}),
    ],
)
def test_an_exercise_is_judged(reader: Path, text: str, report: glue.Report) -> None:
    del reader
    glue.place({"x.py": text, "judge/check.py": CHECKER})
    assert glue.check("x.py", "judge/check.py", 512) == report


SHORTCUTS = {
    "nothing": "",
    "the class": "limiter.Limiter.allow = lambda self: True\n",
    "the name": "limiter.Limiter = type('Limiter', (), {'allow': lambda self: True})\n",
    "the class, later": (
        "def answer():\n    import taught.limiter as again\n"
        "    again.Limiter.allow = lambda self: True\n    return 199\n"
    ),
}


@pytest.mark.parametrize("how", SHORTCUTS)
def test_a_check_runs_the_code_as_it_was(reader: Path, how: str) -> None:
    """Whatever the reader's file makes of its own copy of it, in a folder that is no package."""
    del reader
    limiter = "class Limiter:\n    def allow(self):\n        return False\n"
    check = (
        "from taught.limiter import Limiter\n\n\ndef check(m):\n"
        "    m.answer()\n    assert Limiter().allow(), 'It refuses.'\n"
    )
    text = f"from taught import limiter\ndef answer(): pass\n{SHORTCUTS[how]}"
    glue.place({"x.py": text, "taught/limiter.py": limiter, "judge/check.py": check})
    for _ in range(2):
        report = glue.check("x.py", "judge/check.py", 512)
        assert report == {"solved": False, "text": "It refuses.\n"}


def test_an_exercise_that_raises_is_told_where(reader: Path) -> None:
    del reader
    glue.place({"x.py": "N = 1\nN / 0\n", "judge/check.py": CHECKER})
    report = glue.check("x.py", "judge/check.py", 512)
    assert (report["solved"], report["type"], report["line"]) == (False, "ZeroDivisionError", 2)


def test_an_exercise_blames_the_reader_for_the_readers_lines_only(reader: Path) -> None:
    """An assertion of the reader's own is an error; an error of the check names no line."""
    del reader
    glue.place({"x.py": "N = 2\nassert N < 2\n", "judge/check.py": CHECKER})
    report = glue.check("x.py", "judge/check.py", 512)
    assert (report["solved"], report["type"], report["line"]) == (False, "AssertionError", 2)
    glue.place({"x.py": "\n\nN = None\n", "judge/check.py": CHECKER})
    report = glue.check("x.py", "judge/check.py", 512)
    assert (report["type"], report["line"]) == ("TypeError", 0)
    assert str(report["text"]).startswith("TypeError: ")


@pytest.mark.parametrize(
    ("text", "type_", "line", "told"),
    [
        ("await main()\n", "SyntaxError", 1, "outside function"),
        (f"{UNTOLD}raise E\n", "E", 4, "str() failed"),
        (f"{UNTOLD}raise SystemExit(E())\n", "SystemExit", 0, "str() failed"),
        ("e = SyntaxError('m')\ne.filename = 5\nraise e\n", "SyntaxError", 3, "m"),
        (f"{CHAIN}raise e\n", "ValueError", 5, "characters left out"),
        ("raise ValueError('x' * 30_000)\n", "ValueError", 1, "characters left out"),
        ("try:\n    1 / 0\nexcept ArithmeticError:\n    [][1]\n", "IndexError", 4, "During"),
        ("raise ExceptionGroup('g', [ValueError('in')])\n", "ExceptionGroup", 1, "in"),
    ],
)
def test_an_error_that_is_hard_to_tell_is_told_and_nothing_stays(
    reader: Path, text: str, type_: str, line: int, told: str
) -> None:
    del reader
    before = sys.modules["__main__"], sys.path[:], sys.argv
    for report in (run(text), run_awaiting(text)):
        assert report is not None
        assert (report["type"], report["line"]) == (type_, line)
        assert told in str(report["text"])
        assert len(str(report["text"])) < 21_000
        assert "glue.py" not in str(report["text"])
    assert (sys.modules["__main__"], sys.path, sys.argv) == before


def test_a_second_error_shows_the_second_text(reader: Path) -> None:
    """And what an earlier run left in the folder is gone."""
    for word in ("first", "second"):
        report = run(f"raise KeyError('{word}')  # {word}\n")
        assert report is not None
        assert f"# {word}" in str(report["text"])
        (reader / "left.txt").touch()
    glue.place({"x.py": ""})
    assert [file.name for file in reader.rglob("*")] == ["x.py"]


def test_tests_are_told_in_words_without_times(reader: Path) -> None:
    """In a process of its own: pytest in pytest would share what is loaded."""
    code = (
        "from catalog.run import glue\nfrom pathlib import Path\nimport sys\n"
        "glue.ROOT = Path(sys.argv[1])\nglue.place({'test_x.py': sys.argv[2]})\n"
        "print(glue.test('test_x.py', 512))\n"
    )
    cases = (
        "import pytest\n@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_a_b(n): pass\n"
        "def test_c(): assert [1] == [2]\ndef test_warns():\n    import warnings\n"
        "    warnings.warn('no')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(reader), cases],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    *told, last = done.stdout.splitlines()
    assert told == ["passed  a b (3 cases)"]
    assert last == "{'failed': True, 'passed': 3, 'failures': 2}"
    assert "FAILED  c\n" in done.stderr
    assert "assert [1] == [2]" in done.stderr
    assert "UserWarning: no" in done.stderr
    assert str(reader) not in done.stderr
    assert "-v" not in done.stderr
