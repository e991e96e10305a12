"""Pictures of numbers: what stands in them, and that nothing else does."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.run.picture import (
    LETTER,
    WIDTH,
    Bars,
    Line,
    Lines,
    Number,
    draw,
    exact,
    number,
    rounded,
)

NUMBERS = st.one_of(
    st.integers(0, 10**12), st.floats(0, 10**9), st.fractions(0, 10**6, max_denominator=999)
)
SMALL = st.one_of(st.integers(0, 10_000), st.floats(0, 10_000))


def texts(svg: str) -> list[tuple[float, float, str]]:
    """Left end, right end in px, in the widest font, and the words of each label."""
    found = []
    for text in ET.fromstring(svg).iter("text"):
        words = text.text or ""
        width = len(words) * LETTER / 10
        x = float(text.attrib["x"])
        shift = {"middle": width / 2, "end": width}.get(text.get("text-anchor", ""), 0)
        found.append((x - shift, x - shift + width, words))
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1_000_000, "1,000,000"),
        (270.83, "271"),
        (99.95, "100"),
        (12.349, "12.3"),
        (1.0, "1"),
        (1.085, "1.09"),
        (0.5416, "0.542"),
        (Fraction(1, 3), "0.333"),
        (0.0004, "0"),
        (-0.0004, "0"),
        (-1234, "-1,234"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_a_number_is_written_for_people(value: float | Fraction, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written as a number"):
        number(value)
    for panel in (lambda: Bars("t", [("a", (value,))]), lambda: lines(("a", [(0, value)]))):
        with pytest.raises(ValueError, match="shows 0 or more"):
            panel()


def test_the_last_digit_of_a_float_does_not_count() -> None:
    """Versions of Python add up floats in different ways."""
    assert exact(0.1 + 0.2) == exact(0.3)
    assert rounded(exact(200.49999999999997)) == rounded(exact(200.50000000000003)) == 201


def lines(*given: tuple[str, Sequence[tuple[Number, Number]]]) -> Lines:
    return Lines("what", "along", [Line(name, points) for name, points in given])


@example([[(0, 1)]] * 6)
@settings(max_examples=40)
@given(
    st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), min_size=1, max_size=6)
)
def test_lines_stay_in_the_picture_and_their_names_apart(
    points: list[list[tuple[float, float]]],
) -> None:
    panel = lines(*((f"line number {at}", sorted(one)) for at, one in enumerate(points)))
    svg = draw([panel], "a title", "what it shows")
    root = ET.fromstring(svg)
    height = float(root.attrib["height"])
    for left, right, words in texts(svg):
        assert left >= -1, words
        assert right <= WIDTH + 1, words
    named = sorted(
        float(text.attrib["y"])
        for text in root.iter("text")
        if (text.text or "").startswith("line ")
    )
    assert all(round(b - a, 1) >= 20 for a, b in pairwise(named))
    assert named[0] > float(root.findall(".//text")[0].attrib["y"]) + 20, "below the title"
    for path in root.iter("path"):
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.attrib["d"]):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= height


@settings(max_examples=40)
@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=6), SMALL)
def test_bars_are_as_long_as_their_numbers(values: list[tuple[float, float]], mark: float) -> None:
    bars = [(f"bar {at}", both) for at, both in enumerate(values)]
    svg = draw([Bars("t", bars, parts=("one", "two"), marks=(("mark", mark),))], "t", "d")
    widths = [float(rect.attrib["width"]) for rect in ET.fromstring(svg).iter("rect")]
    assert all(0 <= width <= WIDTH for width in widths)
    sums = [sum(map(exact, both)) for both in values]
    assert len(re.findall(" = ", svg)) == len(sums)


def test_no_float_is_printed_and_no_colour() -> None:
    svg = draw([lines(("a", [(0, 0), (1 / 3, 2 / 3), (0.7, 0.1)]))], "t", "d")
    assert not re.search(r"\d\.\d\d", svg.replace("0.80", ""))
    assert not re.search(r"#[0-9a-f]{3}|rgb|e-\d", svg)
    assert "var(--chart-1)" in svg


def test_a_line_differs_by_dash_and_marker_too() -> None:
    six = lines(*((f"l{at}", [(0, at), (1, at)]) for at in range(6)))
    svg = draw([six], "t", "d")
    drawn = re.findall(r'<path d="[^"]+" stroke-linejoin="round" ([^/]*)/>', svg)
    dashes = [re.findall(r'stroke-dasharray="([^"]*)"', one) for one in drawn]
    assert len(dashes) == 6 == len({str(dash) for dash in dashes})
    shapes = set(re.findall(r'<circle [^>]*r="4" fill="(none|var)', svg))
    for corners in re.findall(r'<path d="M([^"]*)Z"', svg):
        numbers = [[float(one) for one in corner.split()] for corner in corners.split("L")]
        shapes.add(
            str([(round(x - numbers[0][0], 1), round(y - numbers[0][1], 1)) for x, y in numbers])
        )
    assert len(shapes) == 6, "circle, ring, and four shapes of corners"


def test_words_are_escaped_and_ids_are_its_own() -> None:
    svg = draw([Bars("a < b & c", [("<b>", (1,))])], "<title>", "a & b", uid="x")
    root = ET.fromstring(svg)
    assert [words for _, _, words in texts(svg)][:2] == ["a < b & c", "<b>"]
    assert root.attrib["aria-labelledby"] == "x-t x-d"
    assert [one.attrib["id"] for one in root if "id" in one.attrib] == ["x-t", "x-d"]
    assert [one.text for one in root if "id" in one.attrib] == ["<title>", "a & b"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: draw([], "t", "d"), "one panel or more"),
        (lines, "1 to 6 lines, not 0"),
        (lambda: lines(("", [(0, 0)])), "name of a line has 1 to 13 letters"),
        (lambda: lines(("fourteen chars", [(0, 0)])), "not 14: 'fourteen chars'"),
        (lambda: lines(("a", [])), "'a' has no point"),
        (lambda: lines(("a", [(0, -1)])), "'a' has the value -1"),
        (lambda: Lines("t" * 41, "a", [Line("a", [(0, 0)])]), "title of a panel"),
        (lambda: Bars("t", []), "has no bar"),
        (lambda: draw([Bars("t", [("a" * 26, (10**12,))])], "t", "d"), "no room for '1,000,000"),
        (lambda: Bars("t", [("a", (1, 2))]), "has 2 parts instead of 1"),
        (lambda: Bars("t", [("a", (1, 2, 3))], parts=("x", "y", "z")), "at most 2 parts"),
        (lambda: Bars("t", [("a", (1,))], marks=(("m", 1),) * 3), "at most 2 marks"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        make()
