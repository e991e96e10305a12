"""Find the failure drills of every scenario by reading their syntax tree; nothing is imported."""

import ast
from dataclasses import dataclass
from pathlib import Path

from catalog.problem import Problem
from catalog.source import read_text


@dataclass(frozen=True, slots=True)
class Drill:
    """A test in which the naive code fails and the good code holds under the same load.

    Attributes:
        scenario: id of its scenario, with hyphens.
        id: pytest's node id, `tests/scenarios/rate_limiting/test_drill.py::test_x`.
        path: its file, relative to the root of the repository.
        line: line of its `def`, counted from 1.
        name: its function's name in words, without `test_`.
        failure: first line of its docstring: the failure in plain words.
    """

    scenario: str
    id: str
    path: str
    line: int
    name: str
    failure: str


def read_drills(root: Path) -> tuple[tuple[Drill, ...], list[Problem]]:
    """Give the drills of every `tests/scenarios/<scenario>/test_drill.py`, in file order."""
    drills: list[Drill] = []
    problems: list[Problem] = []
    for file in sorted((root / "tests" / "scenarios").glob("*/test_drill.py")):
        path = file.relative_to(root).as_posix()
        text, found = read_text(root, path)
        problems += found
        if text is None:
            continue
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            what = f"not Python: {error.msg}"
            problems.append(Problem(path, error.lineno or 1, what, "mend the syntax"))
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
                node.name.startswith("test_")
            ):
                drill, missing = _drill(path, node)
                drills.append(drill)
                problems += missing
    return tuple(drills), problems


def _drill(path: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[Drill, list[Problem]]:
    failure = (ast.get_docstring(node) or "").partition("\n")[0].strip()
    drill = Drill(
        scenario=path.split("/")[2].replace("_", "-"),
        id=f"{path}::{node.name}",
        path=path,
        line=node.lineno,
        name=node.name.removeprefix("test_").replace("_", " "),
        failure=failure,
    )
    if failure:
        return drill, []
    mend = "say the failure in plain words on the first line of its docstring"
    return drill, [Problem(path, node.lineno, f"drill {node.name} has no docstring", mend)]
