"""Every simulation: at the ends of each slider, with bad values, at build as in this process."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from catalog.run.sliders import BYTES, declared, show
from catalog.simulation import read_simulation
from tests.catalog.repository import ROOT

FILES = sorted((ROOT / "tests" / "scenarios").glob("*/simulation.py"))


def load(file: Path) -> ModuleType:
    return importlib.import_module(f"tests.scenarios.{file.parent.name}.simulation")


def ends(module: ModuleType) -> Iterator[dict[str, int]]:
    """Each slider at its ends, and all of them at once."""
    given = declared(module)
    start = {one.name: one.start for one in given}
    yield start
    yield {one.name: one.low for one in given}
    yield {one.name: one.high for one in given}
    for one in given:
        yield start | {one.name: one.low}
        yield start | {one.name: one.high}


def three(module: ModuleType) -> list[dict[str, int]]:
    """The start, all at the least, all at the most."""
    found = ends(module)
    return [next(found) for _ in range(3)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_each_slider_works_from_end_to_end(file: Path) -> None:
    module = load(file)
    drawn = set()
    for values in ends(module):
        shown = show(module, values)
        svg, table, caption = (str(shown[name]) for name in ("svg", "table", "caption"))
        assert len(svg) < BYTES, values
        ET.fromstring(svg)
        assert not re.search(r"\d\.\d\d|nan|inf\b", svg.replace('"0.8"', "").split("<g ")[1]), (
            values
        )
        assert len(ET.fromstring(table).findall(".//tbody/tr")) > 0
        assert re.fullmatch(r"[^<>\n]{40,300}\.", caption), caption
        drawn.add(svg)
    assert len(drawn) > len(declared(module)), "most moves change the picture"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_a_value_where_no_slider_stands_is_refused(file: Path) -> None:
    module = load(file)
    start = three(module)[0]
    for one in declared(module):
        for bad in (one.low - one.step, one.high + one.step, one.start + 0.5, "1", None):
            with pytest.raises(ValueError, match=re.escape(f"{one.label} is {bad!r}: it must be")):
                show(module, start | {one.name: bad})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_build_shows_what_this_process_shows(file: Path) -> None:
    """In a process of its own, with the files of the page and no others of this repository."""
    found = read_simulation(ROOT, file.parent.name)
    assert found is not None
    assert found.fault == ""
    assert found.shown == show(load(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_it_runs_tested_snippets(file: Path) -> None:
    """The files of its own scenario, by import."""
    found = read_simulation(ROOT, file.parent.name)
    assert found is not None
    folder = f"snippets/{file.parent.name}/"
    assert any(path.startswith(folder) for path in found.bundle.files)
    assert f"from snippets.{file.parent.name}" in file.read_text(encoding="utf-8")
