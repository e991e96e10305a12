"""What the tests of memory leaks share: demos as a reader runs them, and a clean slate."""

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SNIPPETS = Path(__file__).parents[3] / "snippets" / "memory_leaks"
Demo = Callable[..., list[str]]


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Run a snippet's demo; give the lines it prints."""

    def run(name: str, url: str = "") -> list[str]:
        monkeypatch.setenv("DATABASE_URL", url)
        runpy.run_path(str(SNIPPETS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """What a naive file keeps is no other test's."""
    yield
    # It starts threads: a page does without, where each test file has a Python of its own.
    cases = sys.modules.get("tests.scenarios.memory_leaks.cases")
    if cases is not None:
        cases.forget()
