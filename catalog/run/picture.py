"""Draw numbers as SVG: under CPython at build, under Pyodide in a page, and both the same bytes.

Nothing but Python's own library. A position is a whole number of tenths of a pixel, worked out by
fractions; no float is ever printed. Colours are variables of the site, so a picture follows the
palette; a line also has a dash and a marker of its own, and each is named where it ends.
A picture is 380 px wide, which a phone of 360 px shows with letters of 12 px.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Number = int | float | Fraction

WIDTH = 380  # px
LETTER = 89  # tenths of a px that a letter of 14 px takes in the widest font readers have
ROW = 200  # tenths of a px from one row of text to the next
PLOT = 1700  # tenths of a px that lines have in height
LONGEST_NAME = 13  # letters, beside the end of a line
LONGEST_TITLE = 40  # letters, above a panel
LONGEST_BAR = 26  # letters, above a bar
_DASHES = ("", "8 4", "2 3", "12 3 2 3", "5 2", "1 4")
_FRAME = 'fill="none" stroke="var(--chart-grid)"'


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a panel.

    Attributes:
        name: at most 13 letters; stands beside its end.
        points: (x, y), x rising, neither below 0.
        dots: markers at its points in place of a line.
    """

    name: str
    points: Sequence[tuple[Number, Number]]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A panel of lines over one axis from 0.

    Attributes:
        title: what is counted upwards, with its unit; at most 40 letters.
        along: what is counted to the right, with its unit; at most 36 letters.
        lines: one to six.
    """

    title: str
    along: str
    lines: Sequence[Line]

    def __post_init__(self) -> None:
        """Refuse what would not fit, or cannot be drawn."""
        _fits("the title of a panel", self.title, LONGEST_TITLE)
        _fits("the axis of a panel", self.along, LONGEST_TITLE - 4)
        if not 1 <= len(self.lines) <= len(_DASHES):
            raise ValueError(f"a panel has 1 to {len(_DASHES)} lines, not {len(self.lines)}")
        for line in self.lines:
            _fits("the name of a line", line.name, LONGEST_NAME)
            if not line.points:
                raise ValueError(f"the line {line.name!r} has no point")
            for x, y in line.points:
                _positive(line.name, x)
                _positive(line.name, y)


@dataclass(frozen=True, slots=True)
class Bars:
    """A panel of bars that lie, each in one or two parts.

    Attributes:
        title: what is counted, with its unit; at most 40 letters.
        bars: (name of at most 26 letters, its parts), one or more; no part is below 0.
        parts: what the parts are, each at most 36 letters; none where a bar has one.
        marks: (name, value) of what a bar is to be compared with, at most two.
    """

    title: str
    bars: Sequence[tuple[str, Sequence[Number]]]
    parts: Sequence[str] = ()
    marks: Sequence[tuple[str, Number]] = ()

    def __post_init__(self) -> None:
        """Refuse what would not fit, or cannot be drawn."""
        _fits("the title of a panel", self.title, LONGEST_TITLE)
        if not self.bars:
            raise ValueError(f"the panel {self.title!r} has no bar")
        if len(self.marks) > 2:
            raise ValueError(f"a panel has at most 2 marks, not {len(self.marks)}")
        most = len(self.parts) or 1
        if most > 2:
            raise ValueError(f"a bar has at most 2 parts, not {most}")
        for name, values in self.bars:
            _fits("the name of a bar", name, LONGEST_BAR)
            if len(values) != most:
                raise ValueError(f"the bar {name!r} has {len(values)} parts instead of {most}")
            for value in values:
                _positive(name, value)
        for name, value in self.marks:
            _fits("the name of a mark", name, LONGEST_BAR)
            _positive(name, value)
        for part in self.parts:
            _fits("the name of a part", part, LONGEST_TITLE - 4)


Panel = Lines | Bars


def _fits(what: str, text: str, most: int) -> None:
    if not 0 < len(text) <= most:
        raise ValueError(f"{what} has 1 to {most} letters, not {len(text)}: {text!r}")


def _positive(name: str, value: Number) -> None:
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name!r} has the value {value}: a picture shows 0 or more")


# numbers -----------------------------------------------------------------------------------------


def exact(value: Number) -> Fraction:
    """Give a number as a fraction; a float to six decimals.

    What versions of Python add up differently in the last digit is then the same again.
    """
    return Fraction(str(round(value, 6))) if isinstance(value, float) else Fraction(value)


def rounded(value: Fraction) -> int:
    """Round to a whole number, a half upwards."""
    return math.floor(value + Fraction(1, 2))


def number(value: Number) -> str:
    """Write a number in groups of three; what is not whole to three digits, at most three decimals.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as a number")
    fraction = exact(value)
    size = abs(fraction)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    whole, part = divmod(rounded(size * 10**decimals), 10**decimals)
    text = f"{whole:,}"
    if part:
        text += f".{part:0{decimals}}".rstrip("0")
    return f"-{text}" if fraction < 0 and text != "0" else text


def _short(value: Fraction) -> str:
    """Write the number of an axis: 1.5M, 500k."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{number(value / size)}{letter}"
    return number(value)


def _ticks(most: Fraction) -> list[Fraction]:
    """Give 0 and up to five round numbers, the last at or above the most."""
    if not most:
        return [Fraction(0), Fraction(1)]
    ten = Fraction(1)
    while ten * 10 <= most:
        ten *= 10
    while ten > most:
        ten /= 10
    # 1 to 10 times ten is the most: steps of a fifth, a half, one or two tens.
    step = next(ten * s for s in (Fraction(1, 2), Fraction(1), Fraction(2)) if ten * s * 5 >= most)
    return [step * n for n in range(math.ceil(most / step) + 1)]


# drawing -----------------------------------------------------------------------------------------


def _px(tenths: int) -> str:
    whole, part = divmod(tenths, 10)
    return f"{whole}.{part}" if part else f"{whole}"


def _text(x: int, y: int, text: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{_px(x)}" y="{_px(y)}"{where}>{html.escape(text, quote=False)}</text>'


def _stroke(place: int, width: str = "2.5") -> str:
    dash = f' stroke-dasharray="{_DASHES[place]}"' if _DASHES[place] else ""
    return f'fill="none" stroke="var(--chart-{place + 1})" stroke-width="{width}"{dash}'


def _path(points: Iterable[tuple[int, int]]) -> str:
    return "M" + "L".join(f"{_px(x)} {_px(y)}" for x, y in points)


def _marker(place: int, x: int, y: int, *, small: bool = False) -> str:
    """Draw the marker of a line: a circle, a square, a triangle, a diamond, a cross, a ring."""
    ink = f'fill="var(--chart-{place + 1})"'
    if place in (0, 5):
        ring = f'fill="none" stroke="var(--chart-{place + 1})" stroke-width="2"'
        radius = 24 if small else 40
        return f'<circle cx="{_px(x)}" cy="{_px(y)}" r="{_px(radius)}" {ring if place else ink}/>'
    shapes = {
        1: ((-40, -40), (40, -40), (40, 40), (-40, 40)),
        2: ((0, -50), (50, 40), (-50, 40)),
        3: ((0, -55), (55, 0), (0, 55), (-55, 0)),
        4: ((-15, -50), (15, -50), (15, -15), (50, -15), (50, 15), (15, 15),
            (15, 50), (-15, 50), (-15, 15), (-50, 15), (-50, -15), (-15, -15)),
    }  # fmt: skip
    five = 3 if small else 5
    corners = ((x + dx * five // 5, y + dy * five // 5) for dx, dy in shapes[place])
    return f'<path d="{_path(corners)}Z" {ink}/>'


def draw(panels: Sequence[Panel], title: str, description: str, uid: str = "sim") -> str:
    """Draw panels, one above the other.

    Args:
        panels: one or more.
        title: what the picture is, for those who cannot see it.
        description: what it shows, for those who cannot see it.
        uid: what its ids begin with; no other element of the page may have one that does.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("a picture has one panel or more")
    parts: list[str] = []
    top = 0
    for panel in panels:
        drawn, top = _lines(panel, top) if isinstance(panel, Lines) else _bars(panel, top)
        parts += drawn
    height = top // 10
    return (
        f'<svg class="fd-chart" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" aria-labelledby="{uid}-t {uid}-d">'
        f'<title id="{uid}-t">{html.escape(title, quote=False)}</title>'
        f'<desc id="{uid}-d">{html.escape(description, quote=False)}</desc>'
        f'<g font-size="14" fill="var(--chart-fg)">{"".join(parts)}</g></svg>'
    )


def _lines(panel: Lines, top: int) -> tuple[list[str], int]:
    """Draw a panel of lines below `top`; give its elements and where it ends."""
    lines = [(line, [(exact(x), exact(y)) for x, y in line.points]) for line in panel.lines]
    along = _ticks(max(x for _, points in lines for x, _ in points))
    upwards = _ticks(max(y for _, points in lines for _, y in points))
    left = max(len(_short(tick)) for tick in upwards) * LETTER + 120
    right = WIDTH * 10 - max(len(line.name) for line in panel.lines) * LETTER - 320
    first = top + ROW + 140
    last = first + PLOT

    def place(x: Fraction, y: Fraction) -> tuple[int, int]:
        return (
            left + rounded(x / along[-1] * (right - left)),
            last - rounded(y / upwards[-1] * PLOT),
        )

    out = [_text(10, top + 150, panel.title)]
    for tick in upwards:
        y = place(Fraction(0), tick)[1]
        out.append(f'<path d="{_path([(left, y), (right, y)])}" {_FRAME}/>')
        out.append(_text(left - 80, y + 50, _short(tick), "end"))
    room = max(len(_short(tick)) for tick in along) * LETTER + 100
    every = math.ceil(room * (len(along) - 1) / (right - left))
    below = last + 190
    numbers = ((place(tick, Fraction(0))[0], _short(tick)) for tick in along[::every])
    out += [_text(x, below, text, "middle") for x, text in numbers]
    out.append(_text(left, below + ROW, panel.along))
    ends = []
    for at, (line, points) in enumerate(lines):
        spots = [place(x, y) for x, y in points]
        if line.dots:
            out += [_marker(at, *spot, small=True) for spot in spots]
        else:
            out.append(f'<path d="{_path(spots)}" stroke-linejoin="round" {_stroke(at)}/>')
            out.append(_marker(at, *spots[-1]))
        ends.append((spots[-1][1], at, spots[-1][0], line.name))
    out += _names(ends, right, first, last)
    return out, below + ROW + 160


def _names(
    ends: Sequence[tuple[int, int, int, str]], right: int, first: int, last: int
) -> list[str]:
    """Name lines beside their ends, one name a row; a thin line leads from the end to its name."""
    wanted = sorted(ends)
    rows: list[int] = []
    for y, *_ in wanted:
        rows.append(max(y, rows[-1] + ROW if rows else first))
    limit = last
    for at in reversed(range(len(rows))):
        rows[at] = min(rows[at], limit)
        limit = rows[at] - ROW
    out = []
    for row, (y, place, x, name) in zip(rows, wanted, strict=True):
        lead = 'fill="none" stroke="var(--chart-fg)" stroke-width="0.8"'
        out.append(f'<path d="{_path([(x, y), (right + 150, row)])}" {lead}/>')
        out.append(_marker(place, right + 210, row))
        out.append(_text(right + 300, row + 50, name))
    return out


def _bars(panel: Bars, top: int) -> tuple[list[str], int]:
    """Draw a panel of bars below `top`; give its elements and where it ends."""
    bars = [(name, [exact(value) for value in values]) for name, values in panel.bars]
    marks = [(name, exact(value)) for name, value in panel.marks]
    most = max([sum(values) for _, values in bars] + [value for _, value in marks]) or Fraction(1)
    full = WIDTH * 10 - 40

    def place(value: Fraction) -> int:
        return 10 + rounded(value / most * full)

    out = [_text(10, top + 150, panel.title)]
    y = top + 150
    for at, part in enumerate(panel.parts):
        y += ROW
        out.append(_rect(10, y - 110, 220, 120, at))
        out.append(_text(320, y, part))
    y += 100
    for name, values in bars:
        told = " + ".join(number(value) for value in values)
        y += ROW
        out.append(_text(10, y, name))
        told += f" = {number(sum(values))}" if len(values) > 1 else ""
        if len(name) + len(told) > LONGEST_TITLE + 2:
            raise ValueError(f"above the bar {name!r} there is no room for {told!r}")
        out.append(_text(WIDTH * 10, y, told, "end"))
        y += 60
        start = Fraction(0)
        for at, value in enumerate(values):
            if value:
                out.append(_rect(place(start), y, place(start + value) - place(start), 140, at))
            start += value
        for at, (_, value) in enumerate(marks):
            x = place(value)
            dash = ' stroke-dasharray="3 2"' if at else ""
            ink = f'fill="none" stroke="var(--chart-fg)" stroke-width="2"{dash}'
            out.append(f'<path d="{_path([(x, y - 40), (x, y + 180)])}" {ink}/>')
        y += 180
    for name, value in marks:
        y += ROW
        x = place(value)
        anchor = "start" if x < WIDTH * 3 else "end" if x > WIDTH * 7 else "middle"
        out.append(_text(x, y, f"{name} {number(value)}", anchor))
    return out, y + 120


def _rect(x: int, y: int, width: int, height: int, place: int) -> str:
    """Draw a part of a bar: the first is full, the second hollow."""
    ink = 'fill="var(--chart-1)"'
    if place:
        ink = 'fill="none" stroke="var(--chart-2)" stroke-width="2"'
        x, y, width, height = x + 10, y + 10, max(0, width - 20), height - 20
    return f'<rect x="{_px(x)}" y="{_px(y)}" width="{_px(width)}" height="{_px(height)}" {ink}/>'
