"""Coverage counts what the tests run, in every worker, and what they do not run at all."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = """
def sign(number: int) -> str:
    if number < 0:
        return "-"
    return "+"

def main() -> None:
    print(sign(1))

if __name__ == "__main__":
    main()
"""
ONE = "from snippets.toy import sign\ndef test_minus(): assert sign.sign(-1) == '-'\n"
APART = """
from snippets.toy import apart
def test_it(): assert apart.x() == 1
"""
OTHER = """
import runpy
def test_demo(capsys):
    runpy.run_path("snippets/toy/sign.py", run_name="__main__")
    assert capsys.readouterr().out == "+\\n"
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "xdist"])
def test_branches_are_added_up_over_workers_and_demos(
    pytester: pytest.Pytester, how: list[str]
) -> None:
    pytester.makeconftest('pytest_plugins = ["lab.cover"]')
    text = (ROOT / "pyproject.toml").read_text()
    pytester.makepyprojecttoml(
        "[tool.pytest.ini_options]\npythonpath = ['.']\n"
        "[tool.coverage" + text.partition("[tool.coverage")[2]
    )
    folder = pytester.path / "snippets" / "toy"
    folder.mkdir(parents=True)
    (folder / "sign.py").write_text(SNIPPET)
    (folder / "naive_never_run.py").write_text("x = 1\n")
    (folder / "apart.py").write_text("def x() -> int:\n    return 1\n")
    # A test of the tools runs a snippet between tests of snippets: that is not counted.
    (pytester.path / "tests" / "lab").mkdir(parents=True)
    (pytester.path / "tests" / "lab" / "test_apart.py").write_text(APART)
    pytester.makepyfile(test_one=ONE, test_other=OTHER)
    files = ("test_one.py", "tests/lab/test_apart.py", "test_other.py")
    pytester.runpytest_subprocess("--cover-snippets", *how, *files).assert_outcomes(passed=3)
    data = "--data-file=build/coverage/data"
    pytester.run(sys.executable, "-m", "coverage", "combine", data)
    pytester.run(
        sys.executable, "-m", "coverage", "json", data, "-o", "found.json", "--fail-under=0"
    )
    found = json.loads((pytester.path / "found.json").read_text())
    percents = {
        Path(name).name: file["summary"]["percent_covered"] for name, file in found["files"].items()
    }
    # Of `apart.py` only the `def` counts, which ran when the test was collected.
    assert percents == {"sign.py": 100.0, "naive_never_run.py": 0.0, "apart.py": 50.0}
