"""The numbers that a scenario states: those its drill asserts, and those that were recorded."""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def asserted(scenario: str, drill: str) -> list[object]:
    """Give each literal that a drill compares something with, as it stands in its source.

    Args:
        scenario: its folder.
        drill: name of the test function in its test_drill.py.
    """
    source = (ROOT / "tests" / "scenarios" / scenario / "test_drill.py").read_text("utf-8")
    (function,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == drill
    ]
    found: list[object] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Compare):
            for side in node.comparators:
                try:
                    found.append(ast.literal_eval(side))
                except ValueError:
                    continue
    assert found, f"{drill} compares nothing with a literal"
    return found


def recorded(scenario: str, key: str) -> float:
    """Give a recorded value.

    Args:
        scenario: its id, with hyphens.
        key: as in [[m:<scenario>/<key>]].
    """
    text = (ROOT / "evidence" / "results" / f"{scenario}.json").read_text("utf-8")
    value = json.loads(text)["values"][key]["value"]
    assert isinstance(value, int | float)
    return value
