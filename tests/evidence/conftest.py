"""A small repository to measure in."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = '"""Adds."""\n\n\ndef add(a: int, b: int) -> int:\n    """Add."""\n    return a + b\n'
SCRIPT = '''"""Measures addition."""

from evidence.harness import Run
from snippets.toy_sums import add


def measure(run: Run) -> None:
    """Measure."""
    run.value("sum", add.add(1, 2), "units", note="one and two")
    times = run.compare({"one": lambda: add.add(1, 1), "two": lambda: add.add(2, 2)}, rounds=3)
    run.median("one-call", [second * 1e9 for second in times["one"].seconds], "ns")
    run.chart(
        "sums",
        {
            "data": {"values": [{"of": "one", "is": 2}, {"of": "two", "is": 4}]},
            "mark": "bar",
            "encoding": {
                "x": {"field": "of", "type": "nominal"},
                "y": {"field": "is", "type": "quantitative"},
            },
        },
        columns=["of", "is"],
    )
'''


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Copy the harness and put one scenario, `toy-sums`, beside it."""
    ignore = shutil.ignore_patterns("__pycache__", "results")
    for package in ("evidence", "lab"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    for script in (tmp_path / "evidence").glob("*.py"):
        if script.stem not in {"__init__", "__main__", "child", "harness", "hashing"}:
            script.unlink()
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    (tmp_path / "evidence" / "toy_sums.py").write_text(SCRIPT)
    (tmp_path / "snippets" / "toy_sums").mkdir(parents=True)
    (tmp_path / "snippets" / "toy_sums" / "add.py").write_text(SNIPPET)
    return tmp_path
