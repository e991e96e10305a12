"""Snippets: what their first lines and markers say, and what copying them gives."""

from pathlib import Path

import pytest

from catalog.snippets import read_sections, read_snippet, read_snippets, strip

GOOD = '''# /// script
# requires-python = ">=3.11"
# dependencies = ["redis>=8.1,<9"]
#
# [tool.firedrill]
# needs = ["redis"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""A counter.

Source: https://example.org
"""


# --8<-- [start:outer]
class Counter:
    """Counts."""

    # --8<-- [start:inner]
    def hit(self) -> int:
        """Count one."""
        return 1
    # --8<-- [end:inner]
# --8<-- [end:outer]
'''


def put(root: Path, text: str, name: str = "counter") -> str:
    path = f"snippets/rate_limiting/{name}.py"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")
    return path


def test_a_snippet_says_what_it_needs(tmp_path: Path) -> None:
    snippet, problems = read_snippet(tmp_path, put(tmp_path, GOOD))
    assert problems == []
    assert snippet is not None
    assert snippet.scenario == "rate-limiting"
    assert snippet.name == "counter"
    assert snippet.module == "snippets.rate_limiting.counter"
    assert snippet.code_path == "code/rate_limiting/counter.py"
    assert snippet.dependencies == ("redis>=8.1,<9",)
    assert snippet.needs == ("redis",)
    assert snippet.browser is False
    assert snippet.title == "A counter"


def test_sections_are_dedented_and_lose_inner_markers(tmp_path: Path) -> None:
    snippet, _ = read_snippet(tmp_path, put(tmp_path, GOOD))
    assert snippet is not None
    inner = snippet.section("inner")
    outer = snippet.section("outer")
    assert inner is not None
    assert inner.text.startswith("def hit(self)")
    assert outer is not None
    assert "--8<--" not in outer.text
    assert snippet.section("nowhere") is None


def test_stripping_takes_markers_and_nothing_else() -> None:
    kept = [line for line in GOOD.splitlines(keepends=True) if "--8<--" not in line]
    assert strip(GOOD) == "".join(kept)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("# --8<-- [start:a]\nx = 1\n", 1, "section 'a' is never closed"),
        ("x = 1\n# --8<-- [end:a]\n", 2, "section 'a' is closed here but not open"),
        ("# --8<-- [start:a]\n\n# --8<-- [end:a]\n", 1, "section 'a' is empty"),
        (
            "# --8<-- [start:a]\nx = 1\n# --8<-- [end:a]\n# --8<-- [start:a]\ny = 1\n",
            4,
            "section 'a' is opened twice (first on line 1)",
        ),
        ("# --8<-- [start:A]\nx = 1\n", 1, "section name 'A' is not lower case"),
    ],
)
def test_a_bad_marker_names_its_line(text: str, line: int, what: str) -> None:
    _, problems = read_sections("snippets/a/b.py", text)
    assert problems[0].line == line
    assert problems[0].what.startswith(what)
    assert problems[0].mend


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('"""No metadata."""\n', 1, "0 blocks of inline script metadata"),
        (f"\n{GOOD}", 2, "the inline script metadata does not start on the first line"),
        (GOOD.replace("browser = false", "browser = nope"), 7, "the inline script metadata"),
        (GOOD + "def broken(:\n", 26, "not Python"),
    ],
)
def test_a_bad_file_names_the_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    put(tmp_path, text)
    _, problems = read_snippets(tmp_path)
    assert problems[0].line == line
    assert problems[0].what.startswith(what)
