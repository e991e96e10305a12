"""Diagrams and charts: they follow the palette, and a mistake names its line."""

import re
from pathlib import Path

import markdown
import pytest
from pymdownx.superfences import (  # type: ignore[import-untyped] # it has no types
    SuperFencesException,
)

from catalog import chart, d2, figure
from catalog.results import Chart

SPEC: dict[str, object] = {
    "data": {"values": [{"n": 1, "ms": 0.5, "who": "a|b"}, {"n": 2, "ms": 1.0, "who": None}]},
    "mark": "line",
    "encoding": {
        "x": {"field": "n", "type": "quantitative"},
        "y": {"field": "ms", "type": "quantitative"},
        "color": {"field": "who", "type": "nominal"},
    },
}
DIAGRAM = 'direction: right\nclient -> gate: "EVAL gcra (1 RTT)"\ngate -> db: x {style.stroke: red}'


def test_a_diagram_carries_no_styles_fonts_or_colours_of_its_own(tmp_path: Path) -> None:
    picture = d2.compile_diagram(tmp_path, DIAGRAM)
    assert "<style" not in picture
    assert "font-face" not in picture
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', picture)) <= {
        "none", "red", "white", "black"
    }  # fmt: skip
    assert len(picture) < 6000


def test_a_diagram_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = d2.compile_diagram(tmp_path, DIAGRAM)
    monkeypatch.setattr(d2, "_run", None)
    assert d2.compile_diagram(tmp_path, DIAGRAM) == first


def test_every_class_of_a_diagram_has_a_colour_in_both_palettes() -> None:
    styles = (figure.ROOT / "docs/assets/diagrams.css").read_text(encoding="utf-8")
    for scheme in ("", "=slate"):  # the light one is that of paper too
        block = re.search(rf"\[data-md-color-scheme{scheme}\] \{{(.*?)\}}", styles, re.DOTALL)
        assert block is not None
        for used in set(re.findall(r"var\((--(?:d2|chart)-[^)]+)\)", styles)):
            assert f"{used}:" in block[1], (scheme, used)
        for number in range(1, 7):
            assert f"--chart-{number}:" in block[1]


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("a -> b\nx: {shape: nope}", 2, 'unknown shape "nope"'),
        ("a: {style.fill: '#123456'}", 1, "colour #123456 does not follow the palette"),
        ("a: |md\n  # text\n|", 1, "text blocks and icons are not supported"),
    ],
)
def test_a_bad_diagram_names_its_line(tmp_path: Path, source: str, line: int, what: str) -> None:
    with pytest.raises(d2.DiagramError) as refused:
        d2.compile_diagram(tmp_path, source)
    assert refused.value.findings[0][0] == line
    assert what in refused.value.findings[0][1]
    assert not (tmp_path / "build/cache/d2").exists()


def test_boxes_are_counted(tmp_path: Path) -> None:
    assert d2.boxes(d2.compile_diagram(tmp_path, DIAGRAM)) == 3


@pytest.mark.slow
def test_a_chart_follows_the_palette(tmp_path: Path) -> None:
    picture = chart.draw(tmp_path, Chart(spec=SPEC))
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", picture) == []
    assert "var(--chart-fg)" in picture
    assert "var(--chart-1)" in picture
    assert "var(--chart-2)" in picture
    smallest = min(float(size) for size in re.findall(r'font-size="([\d.]+)', picture))
    assert smallest >= 13.1  # shrunk to 92 % before it scrolls: 12 px


@pytest.mark.slow
@pytest.mark.parametrize(("width", "least", "most"), [(170, 300, 380), (560, 500, 900)])
def test_where_labels_take_the_room_of_a_phone_the_plot_gives_way(
    tmp_path: Path, width: int, least: int, most: int
) -> None:
    """A chart drawn for a wide screen stays as it is."""
    way = {"field": "way", "type": "nominal"}
    bars = {
        "data": {"values": [{"way": "a way with quite a long name, INSERT", "ms": 123456}]},
        "mark": "bar",
        "width": width,
        "encoding": {"y": way, "x": {"field": "ms", "type": "quantitative"}},
    }
    picture = chart.draw(tmp_path, Chart(spec=bars))
    match = re.search(r'width="(\d+)"', picture)
    assert match
    assert least <= int(match[1]) <= most


def test_lines_are_told_apart_without_colour(tmp_path: Path) -> None:
    colour = {"field": "who", "type": "nominal", "title": None, "sort": ["a|b", "other"]}
    encoding = SPEC["encoding"]
    assert isinstance(encoding, dict)
    spec = SPEC | {"encoding": encoding | {"color": colour}}
    picture = chart.draw(tmp_path, Chart(spec=spec))
    assert len(re.findall(r">a\|b</text>", picture)) == 1  # one legend, for colour and dash
    dashes = re.findall(r'stroke="var\(--chart-\d\)"[^>]*stroke-dasharray="([^"]+)"', picture)
    dashes += re.findall(r'stroke-dasharray="([^"]+)"[^>]*stroke="var\(--chart-\d\)"', picture)
    assert {"1,0", "8,4"} <= set(dashes)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"mark": "lnie"}, "not Vega-Lite"),
        ({"mark": {"type": "line", "color": "#ff0000"}, "encoding": {}}, "by hand"),
    ],
)
def test_a_bad_chart_is_refused(tmp_path: Path, changed: dict[str, object], what: str) -> None:
    with pytest.raises(chart.ChartError, match=what):
        chart.draw(tmp_path, Chart(spec=SPEC | changed))


def test_a_chart_comes_with_its_numbers() -> None:
    assert chart.table(Chart(spec=SPEC)) == [
        "| n | ms | who |",
        "| ---: | ---: | --- |",
        "| 1 | 0.5 | a\\|b |",
        "| 2 | 1 |  |",
    ]
    assert chart.table(Chart(spec=SPEC, columns=("ms",)))[0] == "| ms |"
    assert chart.table(Chart(spec={"mark": "bar"})) == []


def test_two_figures_of_a_page_share_no_id(tmp_path: Path) -> None:
    md = markdown.Markdown()
    picture = d2.compile_diagram(tmp_path, DIAGRAM)
    made = [
        figure.figure(picture, "d2", figure.unit(md, "d2"), "A <title>", "What it shows")
        for _ in range(2)
    ]
    ids = [set(re.findall(r'\bid="([^"]+)"', one)) for one in made]
    assert ids[0]
    assert not ids[0] & ids[1]
    for one, own in zip(made, ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", one)) <= own
        assert "A &lt;title&gt;" in one


@pytest.mark.parametrize("render", [d2.fence, chart.fence])
def test_a_figure_that_was_not_staged_fails_loudly(
    render: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure, "ROOT", tmp_path)
    assert callable(render)
    options = {"title": "x", "alt": "y"}
    with pytest.raises(SuperFencesException, match="was not staged"):
        render("a -> b", "d2", "d2", options, markdown.Markdown())
