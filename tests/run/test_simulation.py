"""What a simulation has to say, what a slider takes, and what a page makes of it."""

import json
import re
import shutil
import types
from pathlib import Path

import pytest

from catalog import simulation
from catalog.expand import expand, read_context
from catalog.load import load
from catalog.markdown import read_document
from catalog.run.picture import Bars
from catalog.run.sliders import Outcome, Slider, Table, checked, declared, show
from catalog.stage import plan
from tests.catalog.repository import ROOT, filled

LIMIT = Slider("limit", "Limit", "requests a minute", low=10, high=200, step=10, start=100)
SOURCE = '''\
"""A simulation."""

from catalog.run.picture import Bars
from catalog.run.sliders import Outcome, Slider, Table

TITLE = "A & B"
QUESTION = "Why?"
MODEL = "All of it."
SLIDERS = (Slider("size", "Size", "rows", 0, 10, 1, start=5),)


def simulate(size: int) -> Outcome:
    """Draw one bar."""
    bars = Bars("rows", [("a", (size,))])
    caption = f"It is {size} & below 11, as far as one can go."
    return Outcome([bars], caption, Table(("a",), [(size,)]))
'''


# sliders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [10, 100, 200])
def test_a_slider_takes_what_it_can_reach(value: int) -> None:
    assert checked([LIMIT], {"limit": value}) == {"limit": value}


@pytest.mark.parametrize("value", [0, 9, 105, 210, -100, True, 100.0, "100", None])
def test_a_slider_refuses_what_it_cannot_reach(value: object) -> None:
    told = f"Limit is {value!r}: it must be a whole number from 10 to 200 in steps of 10"
    with pytest.raises(ValueError, match=re.escape(told)):
        checked([LIMIT], {"limit": value})


@pytest.mark.parametrize(
    ("values", "told"),
    [({}, "'limit' has no value"), ({"limit": 10, "x": 1}, "no slider 'x', but limit")],
)
def test_each_slider_has_a_value_and_no_other_is_known(
    values: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        checked([LIMIT], values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"start": 101}, "cannot reach its start, 101"),
        ({"start": 0}, "cannot reach its start, 0"),
        ({"high": 205}, "cannot reach its high, 205"),
        ({"step": 0}, "a step of 1 or more"),
        ({"low": 200}, "needs low < high"),
    ],
)
def test_a_slider_that_cannot_stand_is_refused(change: dict[str, int], told: str) -> None:
    numbers = {"low": 10, "high": 200, "step": 10, "start": 100} | change
    with pytest.raises(ValueError, match=told):
        Slider("limit", "Limit", "", **numbers)


def test_a_value_is_told_with_label_and_unit() -> None:
    assert LIMIT.told(100) == "Limit: 100 requests a minute"
    assert Slider("n", "Rows", "", 0, 9_000, 1_000, 0).told(9_000) == "Rows: 9,000"


def said(size: int) -> str:
    return f"It is {size} & below 11, as far as one can go."


# modules -----------------------------------------------------------------------------------------


def module(**changes: object) -> types.ModuleType:
    made = types.ModuleType("made")
    exec(SOURCE, made.__dict__)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_what_is_shown_is_what_simulate_gives() -> None:
    start, other = show(module()), show(module(), {"size": 10})
    assert (start["caption"], other["caption"]) == (said(5), said(10))
    assert (start["values"], other["values"]) == ("Size: 5 rows", "Size: 10 rows")
    assert start["table"] == (
        '<table><thead><tr><th scope="col">a</th></tr></thead>'
        "<tbody><tr><td>5</td></tr></tbody></table>"
    )
    assert '<title id="sim-t">A &amp; B</title>' in str(start["svg"])
    assert "It is 5 &amp; below 11" in str(start["svg"])
    assert start["svg"] != other["svg"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"TITLE": " "}, "says its TITLE"),
        ({"QUESTION": ""}, "says its QUESTION"),
        ({"MODEL": ""}, "says its MODEL"),
        ({"SLIDERS": ()}, "has sliders"),
        ({"SLIDERS": ("size",)}, "has sliders"),
        ({"SLIDERS": (LIMIT,)}, r"takes \['size'\], the sliders are \['limit'\]"),
        ({"simulate": None}, r"takes \[\], the sliders are \['size'\]"),
    ],
)
def test_a_module_that_is_no_simulation_is_told_what_it_lacks(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        declared(module(**changes))


def test_a_table_has_as_many_cells_as_columns_and_fits_a_phone() -> None:
    with pytest.raises(ValueError, match="a row of 2 columns has 1 cells"):
        Table(("a", "b"), [(1,)])
    with pytest.raises(ValueError, match="1 to 4 columns, not 5"):
        Table(tuple("abcde"), [])
    with pytest.raises(ValueError, match="one row or more, and this one has none"):
        Table(("a",), [])
    assert "<td>a &lt; b</td><td>1.5</td>" in Table(("a", "b"), [("a < b", 1.5)]).html()


def test_an_outcome_is_drawn_with_its_caption_as_description() -> None:
    caption = f"{'x' * 300}."
    given = Outcome([Bars("t", [("a", (1,))])], caption, Table(("a",), [(1,)]))
    made = module(simulate=lambda size: given)  # noqa: ARG005 - a slider's name
    assert f'<desc id="sim-d">{caption}</desc>' in str(show(made)["svg"])


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        (f"{'x' * 39}.", "the caption has 39 characters, write 40 to 300 and a full stop: 'xx"),
        (f"{'x' * 301}.", "the caption has 301 characters"),
        ("x" * 41, "the caption is no sentence, write plain sentences on one line"),
        (f"{'x' * 40}\nx.", "no sentence"),
        (f"{'x' * 40}<b>.", "without < and >"),
    ],
)
def test_a_caption_that_says_too_little_or_too_much_is_refused(caption: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Outcome([], caption, Table(("a",), [(1,)]))


def test_a_picture_that_is_too_large_for_a_page_is_refused_with_its_values() -> None:
    bars = [Bars(f"t{number}", [("a", (1,))]) for number in range(99)]
    given = Outcome(bars, said(5), Table(("a",), [(1,)]))
    made = module(simulate=lambda size: given)  # noqa: ARG005 - a slider's name
    told = r"the picture has \d\d,\d{3} bytes of 12,000, draw fewer .* \(Size: 5 rows\)"
    with pytest.raises(ValueError, match=told):
        show(made)


# pages -------------------------------------------------------------------------------------------


@pytest.fixture
def scenario(bare: Path) -> Path:
    """A repository with a finished scenario and its simulation."""
    root = filled(bare)
    for name in ("__init__.py", "run/__init__.py", "run/picture.py", "run/sliders.py"):
        target = root / "catalog" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "catalog" / name, target)
    write(root, SOURCE)
    return root


def write(root: Path, text: str) -> None:
    folder = root / "tests/scenarios/twenty_second"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "simulation.py").write_text(text, encoding="utf-8")


def expanded(root: Path) -> tuple[list[str], list[str]]:
    """Lines of the scenario's page, and what is wrong with its simulation."""
    catalog, problems = load(root)
    assert problems == []
    document, _ = read_document(root, "docs/scenarios/twenty-second.md")
    assert document is not None
    found = expand(document, "scenarios/twenty-second.md", read_context(root, catalog))
    wrong = [one for one in found.problems if one.path.endswith("simulation.py")]
    return found.text.split("\n"), [f"{one.line}: {one.what}" for one in wrong]


def test_a_simulation_closes_what_fails_complete_without_a_script(scenario: Path) -> None:
    lines, problems = expanded(scenario)
    assert problems == []
    at = lines.index("### Simulation")
    assert lines.index("## When it fails") < at < lines.index("## Measured")
    (html,) = [line for line in lines if line.startswith('<div class="fd-sim"')]
    shown = show(module())
    for part in ("svg", "table", "values"):
        assert str(shown[part]) in html
    assert f"<figcaption>{said(5).replace('&', '&amp;')}</figcaption>" in html
    assert 'data-fd-sim="../../assets/run/simulations/twenty-second.json"' in html
    assert "<small>All of it.</small>" in lines
    assert "assets/run/start.js" in "\n".join(lines)


def test_the_page_loads_the_files_and_the_sliders(scenario: Path) -> None:
    staged = plan(scenario)
    data = json.loads(staged.files["assets/run/simulations/twenty-second.json"])
    assert data["path"] == "tests/scenarios/twenty_second/simulation.py"
    assert {data["path"], "catalog/run/picture.py"} <= set(data["files"])
    assert [one["name"] for one in data["sliders"]] == ["size"]


def test_a_page_without_a_simulation_is_as_it_was(scenario: Path) -> None:
    (scenario / "tests/scenarios/twenty_second/simulation.py").unlink()
    lines, problems = expanded(scenario)
    assert problems == []
    assert not any("fd-sim" in line or line == "### Simulation" for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("TITLE =", "import psycopg\nTITLE =", "1: imports psycopg, which a page lacks"),
        ("def simulate", "def 1simulate", "12: is no Python: invalid decimal literal"),
        ("    return", "    1 / 0\n    return", "16: fails: ZeroDivisionError: division by zero"),
        ("QUESTION", "ANSWER", "1: fails: ValueError: a simulation says its QUESTION"),
        (", as far", "!\\n as far", "16: fails: ValueError: the caption is no sentence, write"),
        (
            '("a",), [',
            'tuple("abcde"), [',
            "16: fails: ValueError: a table has 1 to 4",
        ),
        ("[bars]", "[bars] * 99", "1: fails: ValueError: the picture has"),
        ("TITLE =", "import snippets.none\nTITLE =", "6: fails: ModuleNotFoundError: No module"),
    ],
)
def test_what_is_wrong_with_a_simulation_is_named(
    scenario: Path, old: str, new: str, told: str
) -> None:
    write(scenario, SOURCE.replace(old, new, 1))
    lines, (problem,) = expanded(scenario)
    assert problem.startswith(told)
    assert "### Simulation" not in lines


def test_one_that_does_not_end_is_ended(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "_SECONDS", 1)
    write(scenario, SOURCE.replace("    return", "    while True:\n        pass\n    return"))
    _, (problem,) = expanded(scenario)
    assert "takes more than 1 s" in problem


def test_one_that_ends_python_is_told(scenario: Path) -> None:
    write(scenario, SOURCE.replace("    return", "    import os\n    os._exit(3)\n    return"))
    _, (problem,) = expanded(scenario)
    assert "it ended with 3" in problem


def test_an_unchanged_one_is_not_run_again(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = expanded(scenario)
    monkeypatch.setattr(simulation, "_run", lambda _: pytest.fail("it ran again"))
    assert expanded(scenario) == first
