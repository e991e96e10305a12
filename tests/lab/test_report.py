"""A badge is true: its tests ran, all passed, and the file is the one they ran."""

import hashlib
import json
from pathlib import Path

import pytest

from lab import report
from lab.report import Notes, Outcomes, combine, covered, hashes, totals, verified, write

CONFTEST = 'pytest_plugins = ["lab.report"]\n'
ALL_BUT_ETCD = """
from lab import platform

found = platform._found
platform._found = lambda program: program != "etcd" and found(program)
pytest_plugins = ["lab.platform", "lab.report"]
"""
MODULE = """
import pytest

def test_passes(): pass
def test_counts(record_property): record_property("pages", 3)
@pytest.mark.etcd
def test_needs_etcd(): pass
def test_fails(): assert False
@pytest.fixture
def broken():
    yield
    raise RuntimeError
def test_passes_and_cannot_clean_up(broken): pass
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("gcra", "token_bucket", "unused"):
        path = tmp_path / "snippets" / "rate_limiting" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""{name}"""\n')
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_gcra.py").write_text("from snippets.rate_limiting import gcra\n")
    (tests / "test_bucket.py").write_text(
        "import runpy\nrunpy.run_path('snippets/rate_limiting/token_bucket.py')\n"
    )
    (tests / "test_drill.py").write_text("from snippets.rate_limiting.gcra import Gcra\n")
    (tmp_path / "pyproject.toml").write_text(
        '[dependency-groups]\nsnippets = ["redis>=8.1,<9"]\nlab = ["psycopg[binary]>=3"]\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "source",
    [
        "from snippets.rate_limiting import gcra",
        "from snippets.rate_limiting.gcra import Gcra",
        "import snippets.rate_limiting.gcra as gcra",
        "def f():\n    from snippets.rate_limiting import gcra",
        "PATH = 'snippets/rate_limiting/gcra.py'",
        "run_module('snippets.rate_limiting.gcra')",
    ],
)
def test_a_module_covers_what_it_imports_or_names(source: str) -> None:
    assert "snippets/rate_limiting/gcra.py" in covered(source)


@pytest.mark.parametrize(
    "source", ["# snippets/rate_limiting/gcra.py", "import gcra", "x = 'snippets/rate_limiting'"]
)
def test_a_module_covers_nothing_else(source: str) -> None:
    assert "snippets/rate_limiting/gcra.py" not in covered(source)


def test_a_verified_snippet_has_its_hash_its_tests_and_their_modules(root: Path) -> None:
    outcomes: Outcomes = {
        "tests/test_gcra.py": {"passed": 3, "failed": 0},
        "tests/test_drill.py": {"passed": 2, "failed": 0},
    }
    result = verified(outcomes, hashes(root), {"valkey": "9.1.2"}, root)
    path = root / "snippets/rate_limiting/gcra.py"
    assert result["files"] == {
        "snippets/rate_limiting/gcra.py": {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "tests": 5,
            "modules": ["tests/test_drill.py", "tests/test_gcra.py"],
        }
    }
    assert result["servers"] == {"valkey": "9.1.2"}
    assert set(result["packages"]) == {"psycopg", "redis"}
    assert set(result) == {"date", "python", "platform", "servers", "packages", "files"}


def test_one_failure_anywhere_takes_the_badge(root: Path) -> None:
    outcomes: Outcomes = {
        "tests/test_gcra.py": {"passed": 3, "failed": 0},
        "tests/test_drill.py": {"passed": 2, "failed": 1},
        "tests/test_bucket.py": {"passed": 1, "failed": 0},
    }
    result = verified(outcomes, hashes(root), {}, root)
    assert list(result["files"]) == ["snippets/rate_limiting/token_bucket.py"]


def test_without_a_test_that_ran_there_is_no_badge(root: Path) -> None:
    outcomes: Outcomes = {"tests/test_gcra.py": {"passed": 0, "failed": 0}}
    assert verified(outcomes, hashes(root), {}, root)["files"] == {}


def test_a_file_that_changed_during_the_run_has_no_badge(root: Path) -> None:
    before = hashes(root)
    (root / "snippets/rate_limiting/gcra.py").write_text("changed = True\n")
    outcomes: Outcomes = {"tests/test_gcra.py": {"passed": 3, "failed": 0}}
    assert verified(outcomes, before, {}, root)["files"] == {}


def test_a_module_that_is_gone_or_no_python_speaks_for_nothing(root: Path) -> None:
    (root / "tests/test_gcra.py").write_text("def (")
    outcomes: Outcomes = {
        "tests/test_gcra.py": {"passed": 1, "failed": 0},
        "tests/test_gone.py": {"passed": 1, "failed": 0},
    }
    assert verified(outcomes, hashes(root), {}, root)["files"] == {}


def test_parts_of_a_run_add_up() -> None:
    parallel: Outcomes = {"a": {"passed": 1, "failed": 0}, "b": {"passed": 2, "failed": 1}}
    serial: Outcomes = {"b": {"passed": 3, "failed": 0}}
    assert combine([parallel, serial]) == {
        "a": {"passed": 1, "failed": 0},
        "b": {"passed": 5, "failed": 1},
    }


def test_a_run_is_counted_by_part_and_what_was_left_out_only_once() -> None:
    parallel: Notes = {
        "modules": {"a": {"passed": 4, "failed": 1}, "b": {"passed": 2, "failed": 0}},
        "left_out": {"etcd": 2},
        "counted": {"axe-pages": 10},
    }
    serial: Notes = {
        "modules": {"b": {"passed": 3, "failed": 0}},
        "left_out": {"etcd": 2},
        "counted": {},
    }
    assert totals({"parallel": parallel, "serial": serial}) == {
        "tests": {
            "parallel": {"passed": 6, "failed": 1},
            "serial": {"passed": 3, "failed": 0},
        },
        "left_out": {"etcd": 2},
        "counted": {"axe-pages": 10},
    }


def test_the_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "build" / "verified.json"
    write({"files": {}}, path)
    with pytest.raises(TypeError):
        write({"files": object()}, path)
    assert json.loads(path.read_text()) == {"files": {}}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["-p", "xdist", "-n", "1"]], ids=["alone", "xdist"])
def test_outcomes_are_noted_by_module(pytester: pytest.Pytester, how: list[str]) -> None:
    pytester.makeconftest(ALL_BUT_ETCD)
    pytester.makepyfile(test_module=MODULE, test_broken="import no_such_module")
    pytester.runpytest_subprocess(
        "--outcomes=notes/o.json", "--continue-on-collection-errors", *how
    )
    notes = json.loads((pytester.path / "notes" / "o.json").read_text())
    assert notes["modules"]["test_module.py"] == {"passed": 2, "failed": 2}
    assert notes["modules"]["test_broken.py"]["failed"] == 1
    assert notes["counted"] == {"pages": 3}
    assert notes["left_out"] == {"etcd on PATH (Debian package etcd-server)": 1}


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_notes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_module="def test_stops(): raise KeyboardInterrupt")
    pytester.runpytest_subprocess("--outcomes=notes.json")
    assert not (pytester.path / "notes.json").exists()


@pytest.mark.slow
def test_the_recorder_takes_no_skip_for_a_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_module="import pytest\ndef test_no(): pytest.skip()\n")
    pytester.runpytest_subprocess("--outcomes=notes.json")
    notes = json.loads((pytester.path / "notes.json").read_text())
    assert notes["modules"] == {"test_module.py": {"passed": 0, "failed": 1}}


def test_every_snippet_is_hashed(root: Path) -> None:
    assert len(report.hashes(root)) == 3
