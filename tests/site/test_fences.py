"""Every Python fence of the site is embedded from tested code, executed here, or exempt."""

import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from catalog.markdown import fences
from catalog.snippets import strip
from tests.browser.site import ROOT
from tests.site.conftest import Built, StagedFences
from tests.site.small import small_repository

KINDS = {"embedded", "executed", "exempt"}


def listings(root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        (root / "build" / "fences.json").read_text(encoding="utf-8")
    )
    return rows


def test_every_python_fence_is_accounted_for(built: Built) -> None:
    found = {
        (page.relative_to(built.root / "build/docs").as_posix(), fence.line)
        for page in (built.root / "build/docs").rglob("*.md")
        for fence in fences(page.read_text(encoding="utf-8"))
        if fence.language in {"python", "py", "python3", "pycon"}
    }
    rows = listings(built.root)
    assert {(row["page"], row["line"]) for row in rows} == found
    assert {row["kind"] for row in rows} <= KINDS
    assert any(row["kind"] == "embedded" for row in rows)


def test_exemptions_have_a_reason_and_fit_the_budget(built: Built) -> None:
    exempt = [row for row in listings(built.root) if row["kind"] == "exempt"]
    settings = tomllib.loads((built.root / "pyproject.toml").read_text(encoding="utf-8"))
    assert all(len(row["reason"]) >= 10 for row in exempt)
    assert len(exempt) == settings["tool"]["firedrill"]["fence-exemptions"]


class Code(HTMLParser):
    """Reads the text of the Python listings of a built page, as a reader would copy it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.depth = 0
        self.in_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = (dict(attrs).get("class") or "").split()
        if tag == "div" and (self.depth or {"language-python", "highlight"} <= set(names)):
            self.depth += 1
        if tag == "code" and self.depth:
            self.in_code = True
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self.depth:
            self.depth -= 1
        if tag == "code":
            self.in_code = False

    def handle_data(self, data: str) -> None:
        if self.in_code:
            self.found[-1] += data


def built_listings(page: Path) -> list[str]:
    reader = Code()
    reader.feed(page.read_text(encoding="utf-8"))
    return [text.removesuffix("\n") for text in reader.found]


def address(staged: str) -> str:
    stem = staged.removesuffix(".md")
    return f"{stem}.html" if stem.endswith("index") else f"{stem}/index.html"


def dedented_in(text: str, source: str) -> bool:
    """Say whether a text is whole lines of a source, perhaps less one common indent."""
    indents = set(re.findall(r"^( *)\S", source, flags=re.MULTILINE))
    wanted = text.split("\n")
    rows = source.split("\n")
    for indent in sorted(indents, key=len):
        shifted = [f"{indent}{line}" if line else "" for line in wanted]
        for start in range(len(rows) - len(shifted) + 1):
            if rows[start : start + len(shifted)] == shifted:
                return True
    return False


@pytest.mark.parametrize("engine", ["mkdocs", "zensical"])
def test_each_listing_is_lines_of_the_tested_file(built: Built, engine: str) -> None:
    site = built.site
    if engine == "zensical":
        done = built.run("site", "--engine", "zensical")
        assert done.returncode == 0, done.stdout + done.stderr
        site = built.root / "build" / "zensical"
    rows = listings(built.root)
    for page in sorted({row["page"] for row in rows}):
        expected = [row for row in rows if row["page"] == page]
        shown = built_listings(site / address(page))
        assert len(shown) == len(expected), page
        for text, row in zip(shown, expected, strict=True):
            if row["kind"] != "embedded":
                continue
            tested = strip((built.root / row["origin"]).read_text(encoding="utf-8"))
            if row["section"]:
                assert dedented_in(text, tested), (page, row)
            else:
                assert f"{text}\n" == tested, (page, row)


def test_downloads_are_the_tested_files_less_markers(built: Built) -> None:
    downloads = sorted((built.site / "code").rglob("*.py"))
    assert len(downloads) == len(list((built.root / "snippets").glob("*/*.py"))) > 0
    for file in downloads:
        source = built.root / "snippets" / file.relative_to(built.site / "code")
        assert file.read_text(encoding="utf-8") == strip(source.read_text(encoding="utf-8"))
        assert "--8<--" not in file.read_text(encoding="utf-8")


def test_fences_in_tabs_and_admonitions_are_seen() -> None:
    text = (
        '=== "Tab"\n\n    ```python\n    a = 1\n    ```\n\n'
        "!!! note\n\n    ```{.python continuation}\n    assert a == 1\n    ```\n"
    )
    tokens = StagedFences().parse(text)
    assert [(token.info, token.content) for token in tokens] == [
        ("python", "a = 1\n"),
        ("python continuation", "assert a == 1\n"),
    ]


@pytest.mark.slow
def test_a_fence_that_raises_type_error_runs_once(pytester: pytest.Pytester) -> None:
    source = Path(__file__).parent / "conftest.py"
    runner = re.search(
        r"class FenceTypeError.*?(?=\n\n\nclass StagingError)",
        source.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert runner is not None
    head = (
        "from pytest_markdown_docs.definitions import FenceTestDefinition\n"
        "from pytest_markdown_docs._runners import DefaultRunner, register_runner\n\n"
    )
    pytester.makeconftest(head + runner[0])
    code = "open('runs', 'a').write('x')\nlen(1)"
    pytester.makefile(".md", page=f"```python\n{code}\n```\n")
    plugin = ("-p", "pytest_markdown_docs.plugin")
    result = pytester.runpytest_subprocess(*plugin, "--markdown-docs", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    assert (pytester.path / "runs").read_text(encoding="utf-8") == "x"


FENCES = """
from pathlib import Path

from tests.site import conftest
from tests.site.conftest import pytest_collect_file, pytest_markdown_docs_markdown_it

conftest.HERE = Path(__file__).parent
conftest.ExecutedFences.root = Path(__file__).parent / "repository"
"""


def run_fences(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Collect the fences of the repository beside the tests, next to a test of something else."""
    pytester.makeconftest(FENCES)
    pytester.makepyfile(test_fences="", test_other="def test_goes_on(): pass")
    files = ("test_fences.py", "test_other.py")
    python_path = ("-o", f"pythonpath={ROOT}")
    plugins = ("-p", "no:cacheprovider", "-p", "pytest_markdown_docs.plugin")
    return pytester.runpytest_subprocess(*plugins, *python_path, *files, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "xdist"])
def test_a_staging_problem_is_one_failing_item(pytester: pytest.Pytester, how: list[str]) -> None:
    (pytester.path / "repository").mkdir()
    result = run_fences(pytester, *how)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*python -m catalog stage failed:*", "*Mend:*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.slow
def test_executed_fences_are_tests_of_their_own(pytester: pytest.Pytester) -> None:
    repository = small_repository(pytester.path / "repository")
    page = "---\ntitle: A\ndescription: A page of fences\n---\n\n"
    good = "```python\nx = 1\n```\n"
    nested = "!!! note\n\n    ```{.python continuation}\n    assert x == 1\n    ```\n"
    (repository / "docs/about/fences.md").write_text(
        f"{page}{good}\n{nested}\n```python\nassert 1 == 2\n```\n", encoding="utf-8"
    )
    result = run_fences(pytester)
    assert result.parseoutcomes() == {"passed": 4, "failed": 1}, result.stdout.str()
    result.stdout.fnmatch_lines(["*FAILED*fences.md*"])
