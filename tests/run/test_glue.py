"""The Python that runs inside Pyodide, under CPython: what it runs, and what it tells."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.run import glue

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
        ("raise MemoryError\n", "MemoryError", 1, "512 MB"),
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


def test_an_exercise_that_raises_is_told_where(reader: Path) -> None:
    del reader
    glue.place({"x.py": "N = 1\nN / 0\n", "judge/check.py": CHECKER})
    report = glue.check("x.py", "judge/check.py", 512)
    assert (report["solved"], report["type"], report["line"]) == (False, "ZeroDivisionError", 2)
