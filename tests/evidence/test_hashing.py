"""A hash changes when the code does something else, and at nothing less."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from evidence import hashing
from evidence.hashing import code_hash, file_hash, imported_modules, is_stale, locked_versions

CODE = '''"""What it is."""
class Bucket:
    """What it holds."""
    size: int = 10
    async def fill(self, by: int, /, *, late: bool = False) -> str:
        """How it fills."""
        return f"{self.size + by:>{10}} {late!r}" if by else "ü"
'''
SAME = """# SPDX-License-Identifier: MIT-0
class Bucket:
    size: int = 10

    # --8<-- [start:fill]
    async def fill(self, by: int, /, *, late: bool = False) -> str:
        '''Says something else.'''
        return (
            f"{self.size + by:>{10}} {late!r}" if by else "\\xfc"
        )
"""


def test_comments_layout_and_docstrings_do_not_count() -> None:
    assert code_hash(SAME) == code_hash(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("10\n", "11\n"),
        ("10\n", "10.0\n"),
        ("by else", "late else"),
        ("async def", "def"),
        ("late: bool = False", "late: bool = True"),
        (", /, *", ", *"),
        ('"ü"', 'b"u"'),
        ("!r", "!s"),
        ("+ by", "- by"),
        ("size", "length"),
    ],
)
def test_every_change_of_meaning_counts(old: str, new: str) -> None:
    assert old in CODE
    assert code_hash(CODE.replace(old, new)) != code_hash(CODE)


def test_a_string_that_is_no_docstring_counts() -> None:
    assert code_hash("a = 1\n'x'\n") != code_hash("a = 1\n'y'\n")


def test_lists_do_not_run_into_one_another() -> None:
    assert code_hash("f(a)\nb") != code_hash("f(a, b)")


def test_the_hash_is_the_same_on_every_python(tmp_path: Path) -> None:
    # The other Pythons of this machine, if it has any, must agree; ours always does.
    source = tmp_path / "code.py"
    source.write_text(CODE, encoding="utf-8")
    script = tmp_path / "hash.py"
    shutil.copy(hashing.__file__, tmp_path / "hashing.py")
    script.write_text(
        f"import pathlib, hashing\nprint(hashing.file_hash(pathlib.Path({str(source)!r})))\n"
    )
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        if (python := shutil.which(name)) is None:
            continue
        run = subprocess.run([python, str(script)], capture_output=True, text=True, check=False)
        # A version manager's stand-in may exist without the Python behind it.
        if run.returncode == 0:
            assert run.stdout.strip() == code_hash(CODE), name


def test_the_hash_is_pinned() -> None:
    # Results are recorded on one Python and checked on another: this value may never move.
    assert code_hash(CODE) == "3540e31aed185097a85b273a1c29fc4576d3edf9506bf038ab2ba5dbb4ce8b1f"


def test_other_files_are_hashed_by_their_bytes(tmp_path: Path) -> None:
    script = tmp_path / "add.sql"
    script.write_text("-- one\n")
    before = file_hash(script)
    script.write_text("-- two\n")
    assert file_hash(script) != before


def test_late_imports_and_submodules_are_found() -> None:
    source = "import a.b\nfrom c import d\nfrom . import e\ndef f():\n    import g\n"
    assert imported_modules(source) == {"a.b", "c", "c.d", "g"}


def test_the_lock_is_read_with_extras_markers_and_odd_spelling(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text(
        "Foo.Bar_baz==1.2 \\\n    --hash=sha256:abc\n"
        "dask[dataframe]==2026.8.0 ; python_version >= '3.11' \\\n"
        "# comment==9\n"
    )
    assert locked_versions(tmp_path) == {"foo-bar-baz": "1.2", "dask": "2026.8.0"}


@pytest.fixture
def recorded(repository: Path) -> dict[str, object]:
    return {
        "uses": {"snippets/toy_sums/add.py": file_hash(repository / "snippets/toy_sums/add.py")},
        "harness": hashing.harness_hash(repository),
        "packages": {"pytest": locked_versions(repository)["pytest"]},
    }


def test_a_result_holds_while_nothing_changes(
    repository: Path, recorded: dict[str, object]
) -> None:
    path = repository / "snippets/toy_sums/add.py"
    path.write_text("# a comment\n" + path.read_text())
    assert is_stale(json.loads(json.dumps(recorded)), repository) == []


def test_a_changed_snippet_is_named(repository: Path, recorded: dict[str, object]) -> None:
    path = repository / "snippets/toy_sums/add.py"
    path.write_text(path.read_text().replace("a + b", "a - b"))
    assert is_stale(recorded, repository) == ["snippets/toy_sums/add.py has changed"]


def test_a_snippet_that_is_no_python_any_more_has_changed(
    repository: Path, recorded: dict[str, object]
) -> None:
    (repository / "snippets/toy_sums/add.py").write_text("def (")
    assert is_stale(recorded, repository) == ["snippets/toy_sums/add.py has changed"]


def test_a_missing_snippet_is_named(repository: Path, recorded: dict[str, object]) -> None:
    (repository / "snippets/toy_sums/add.py").unlink()
    assert is_stale(recorded, repository) == ["snippets/toy_sums/add.py is gone"]


def test_a_changed_instrument_is_named(repository: Path, recorded: dict[str, object]) -> None:
    path = repository / "lab/ratio.py"
    path.write_text(path.read_text().replace("gc.collect()", "pass"))
    (reason,) = is_stale(recorded, repository)
    assert reason.startswith("the harness has changed")


def test_a_changed_version_is_named(repository: Path, recorded: dict[str, object]) -> None:
    recorded["packages"] = {"pytest": "1.0", "gone": "2.0"}
    now = locked_versions(repository)["pytest"]
    assert is_stale(recorded, repository) == [
        "package gone was 2.0 and is now not installed",
        f"package pytest was 1.0 and is now {now}",
    ]
