"""What a simulation is: sliders, a function that runs tested code, and what a reader is shown.

A simulation is one file, `tests/scenarios/<id>/simulation.py`, with

* `TITLE`, what its picture is; `QUESTION`, what it answers; `MODEL`, what of it is a model;
* `SLIDERS`, a tuple of one `Slider` or more;
* `simulate`, which takes each slider's value by name and gives an `Outcome`.

The folder decides the page. Imported at build and in the page alike, so it imports nothing but
Python's own library.
"""

import html
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType

from catalog.run.picture import Number, Panel, draw, number

BYTES = 12_000
"""Of a picture, and fewer: it stands in the page."""
CAPTION = (40, 300)
"""Characters of a caption before its last full stop."""


@dataclass(frozen=True, slots=True)
class Slider:
    """What a reader may choose: a whole number.

    Attributes:
        name: the parameter of `simulate` that takes it.
        label: what it is.
        unit: what follows the number; may be empty.
        low: the least.
        high: the most.
        step: from one value to the next, 1 or more.
        start: where it stands first, the value of the drill.

    Raises:
        ValueError: `start` or `high` cannot be reached from `low` by steps.
    """

    name: str
    label: str
    unit: str
    low: int
    high: int
    step: int
    start: int

    def __post_init__(self) -> None:
        """Refuse a slider that cannot stand where it should."""
        if self.step < 1 or self.high <= self.low:
            raise ValueError(f"the slider {self.name!r} needs low < high and a step of 1 or more")
        for what, value in (("start", self.start), ("high", self.high)):
            if value not in self.values:
                raise ValueError(
                    f"the slider {self.name!r} cannot reach its {what}, {value}:"
                    f" it goes from {self.low} to {self.high} in steps of {self.step}"
                )

    @property
    def values(self) -> range:
        """Give where it can stand."""
        return range(self.low, self.high + 1, self.step)

    def told(self, value: int) -> str:
        """Write a value with label and unit: `Limit: 100 requests a minute`."""
        return f"{self.label}: {f'{number(value)} {self.unit}'.rstrip()}"


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a picture, for those who would rather read them.

    Attributes:
        columns: at most four, or it does not fit a phone.
        rows: one or more, each of as many cells as there are columns.

    Raises:
        ValueError: there are no columns, more than four, or no rows; or a row has another number
            of cells.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Number]]

    def __post_init__(self) -> None:
        """Refuse a table that is none."""
        if not 1 <= len(self.columns) <= 4:
            raise ValueError(f"a table has 1 to 4 columns, not {len(self.columns)}")
        if not self.rows:
            raise ValueError("a table has one row or more, and this one has none")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(self.columns)} columns has {len(row)} cells")

    def html(self) -> str:
        """Write it as HTML, on one line."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        rows = (
            "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) for row in self.rows
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: str | Number) -> str:
    return value if isinstance(value, str) else number(value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation gives.

    Attributes:
        panels: the picture, from top to bottom.
        caption: what it shows, in sentences with its numbers; plain text on one line, 40 to 300
            characters and a full stop.
        table: the numbers.

    Raises:
        ValueError: the caption is too short, too long, or no plain sentence.
    """

    panels: Sequence[Panel]
    caption: str
    table: Table

    def __post_init__(self) -> None:
        """Refuse a caption that does not say what is seen."""
        low, high = CAPTION
        found = len(self.caption.removesuffix("."))
        if not low <= found <= high:
            mend = f"write {low} to {high} and a full stop"
            raise ValueError(f"the caption has {found} characters, {mend}: {self.caption!r}")
        if not re.fullmatch(r"[^<>\n]+\.", self.caption):
            mend = "write plain sentences on one line, without < and >, and end with a full stop"
            raise ValueError(f"the caption is no sentence, {mend}: {self.caption!r}")


def declared(module: ModuleType) -> tuple[Slider, ...]:
    """Give the sliders of a simulation.

    Raises:
        ValueError: the module is no simulation; says what it lacks.
    """
    for name in ("TITLE", "QUESTION", "MODEL"):
        if not str(getattr(module, name, "")).strip():
            raise ValueError(f"a simulation says its {name}: {name} = '...'")
    found = getattr(module, "SLIDERS", ())
    if not found or not all(isinstance(one, Slider) for one in found):
        raise ValueError("a simulation has sliders: SLIDERS = (Slider(...), ...)")
    names = [one.name for one in found]
    simulate = getattr(module, "simulate", None)
    takes = list(inspect.signature(simulate).parameters) if callable(simulate) else []
    if takes != names:
        raise ValueError(f"simulate takes {takes}, the sliders are {names}: name them alike")
    return tuple(found)


def checked(given: Sequence[Slider], values: Mapping[str, object]) -> dict[str, int]:
    """Give the values of sliders, each where it can stand.

    Raises:
        ValueError: one is missing, unknown, or where its slider cannot stand.
    """
    known = {one.name for one in given}
    for name in values:
        if name not in known:
            raise ValueError(f"there is no slider {name!r}, but {', '.join(sorted(known))}")
    found = {}
    for one in given:
        if one.name not in values:
            raise ValueError(f"the slider {one.name!r} has no value")
        value = values[one.name]
        if type(value) is not int or value not in one.values:
            raise ValueError(
                f"{one.label} is {value!r}: it must be a whole number from {one.low} to"
                f" {one.high} in steps of {one.step}"
            )
        found[one.name] = value
    return found


def show(module: ModuleType, values: Mapping[str, object] | None = None) -> dict[str, object]:
    """Run a simulation and draw what it gives.

    Args:
        module: the simulation.
        values: where each slider stands; where it starts when None.

    Returns:
        svg, table (HTML), caption and values (plain text); and, to set it up, title, question,
        model and the sliders.

    Raises:
        ValueError: the module is no simulation, a value is none of its slider's, or what it gives
            does not fit a page.
    """
    given = declared(module)
    chosen = {one.name: one.start for one in given} if values is None else checked(given, values)
    outcome: Outcome = module.simulate(**chosen)
    title = str(module.TITLE)
    values_told = "; ".join(one.told(chosen[one.name]) for one in given)
    svg = draw(outcome.panels, title, outcome.caption)
    if (size := len(svg.encode())) >= BYTES:
        mend = "draw fewer panels, lines or points"
        raise ValueError(f"the picture has {size:,} bytes of {BYTES:,}, {mend} ({values_told})")
    return {
        "svg": svg,
        "table": outcome.table.html(),
        "caption": outcome.caption,
        "values": values_told,
        "title": title,
        "question": str(module.QUESTION),
        "model": str(module.MODEL),
        "sliders": [asdict(one) for one in given],
    }
