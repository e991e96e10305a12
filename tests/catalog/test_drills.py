"""Drills are found by reading; what is found is what pytest would run."""

from pathlib import Path

from catalog.drills import read_drills


def put(root: Path, text: str) -> None:
    file = root / "tests/scenarios/rate_limiting/test_drill.py"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")


def test_a_drill_tells_its_failure(tmp_path: Path) -> None:
    put(
        tmp_path,
        'def helper():\n    """No."""\n\n\n'
        'async def test_the_limit_holds():\n    """Twice the limit gets in.\n\n    More."""\n',
    )
    (drill,), problems = read_drills(tmp_path)
    assert problems == []
    assert drill.id == "tests/scenarios/rate_limiting/test_drill.py::test_the_limit_holds"
    assert drill.scenario == "rate-limiting"
    assert drill.name == "the limit holds"
    assert drill.failure == "Twice the limit gets in."
    assert drill.line == 5


def test_a_drill_without_words_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "\ndef test_silent():\n    pass\n")
    _, (problem,) = read_drills(tmp_path)
    assert problem.line == 2
    assert "test_silent has no docstring" in problem.what


def test_a_file_that_is_no_python_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "x = 1\ndef test_(:\n")
    drills, (problem,) = read_drills(tmp_path)
    assert drills == ()
    assert problem.line == 2
