"""A recorded chart to inline SVG that follows the site's palette, with its numbers as a table.

`stage` draws every chart into a cache; the renderer of the page only looks it up.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pymdownx.superfences import (  # type: ignore[import-untyped] # it has no types
    SuperFencesException,
)

from catalog import figure
from catalog.results import Chart, format_number, read_results

# Part of the cache key: raise it when the rendering below changes.
_RENDERING = "8"
_WIDTH = 560
_HEIGHT = 260
# What fits a phone without scrolling, at 12 px for the smallest letters; and the least of a plot.
_MOST = 380
_LEAST = 90
# Vega wants literal colours; each of these stands for a variable of docs/assets/diagrams.css.
_VARIABLES = {
    "#010101": "--chart-fg",
    "#020202": "--chart-grid",
    "#030303": "--chart-1",
    "#040404": "--chart-2",
    "#050505": "--chart-3",
    "#060606": "--chart-4",
    "#070707": "--chart-5",
    "#080808": "--chart-6",
}
_FOREGROUND, _GRID, *_SERIES = _VARIABLES
_CONFIG = {
    "background": "transparent",
    "font": "Liberation Sans, Arial, sans-serif",
    "view": {"stroke": None, "continuousWidth": _WIDTH, "continuousHeight": _HEIGHT},
    "mark": {"color": _SERIES[0]},
    "text": {"color": _FOREGROUND, "fontSize": 14},
    "rule": {"color": _FOREGROUND},
    "line": {"strokeWidth": 2.5},
    "axis": {
        "labelColor": _FOREGROUND,
        "titleColor": _FOREGROUND,
        "domainColor": _GRID,
        "tickColor": _GRID,
        "gridColor": _GRID,
        "labelFontSize": 14,
        "titleFontSize": 14,
        "titleFontWeight": "normal",
        "titlePadding": 12,
        "labelLimit": 240,
    },
    "axisQuantitative": {"labelOverlap": "greedy", "labelSeparation": 8},
    "header": {
        "labelColor": _FOREGROUND,
        "titleColor": _FOREGROUND,
        "labelFontSize": 14,
        "titleFontSize": 14,
    },
    "legend": {
        "labelColor": _FOREGROUND,
        "titleColor": _FOREGROUND,
        "labelFontSize": 14,
        "titleFontSize": 14,
        "labelLimit": 260,
        "orient": "bottom",
    },
    "title": {"color": _FOREGROUND, "fontSize": 15},
    "range": {"category": _SERIES, "ordinal": _SERIES},
}

# Lengths of line and gap in pixels, one pair or more for each series.
_DASHES = [[1, 0], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 4]]
_PARTS = {"layer", "hconcat", "vconcat", "concat", "spec"}


class ChartError(ValueError):
    """A recorded chart that cannot be drawn."""


def key(chart: Chart) -> str:
    """Give the name under which a chart is cached."""
    text = json.dumps(chart.spec, sort_keys=True)
    return hashlib.sha256(f"{_RENDERING}\n{text}".encode()).hexdigest()[:20]


def draw(root: Path, chart: Chart) -> str:
    """Give the SVG of a recorded chart, from the cache or by drawing it (about 0.7 s once).

    Raises:
        ChartError: its specification is not Vega-Lite, or sets colours of its own.
    """
    name = key(chart)
    picture = figure.cached(root, "chart", name)
    if picture is None:
        picture = _slim(_svg(chart.spec))
        figure.store(root, "chart", name, picture)
    return picture


def _svg(spec: dict[str, object]) -> str:
    # Half a second of imports that a stage with a warm cache does without.
    import altair as alt
    import jsonschema
    import vl_convert

    try:
        alt.Chart.from_dict(spec)
    except (jsonschema.ValidationError, ValueError, TypeError) as error:
        raise ChartError(f"not Vega-Lite: {str(error).splitlines()[0]}") from error
    plain = {name: value for name, value in _dashed(spec).items() if name != "config"}
    if "layer" in plain or "mark" in plain:
        plain = {"width": _WIDTH, "height": _HEIGHT} | plain
    try:
        svg = str(vl_convert.vegalite_to_svg(plain | {"config": _CONFIG}))
        width = plain.get("width")
        # How long the labels are is known only now: where they take too much, the plot gives way.
        while isinstance(width, int) and _LEAST < width < _WIDTH:
            size = re.search(r'viewBox="0 0 (\d+)', svg)
            over = int(size[1]) - _MOST if size else 0
            if over <= 0:
                break
            width = max(_LEAST, width - over)
            svg = str(vl_convert.vegalite_to_svg(plain | {"width": width, "config": _CONFIG}))
    except ValueError as error:
        raise ChartError(f"cannot be drawn: {str(error).splitlines()[0]}") from error
    return svg


def _dashed(part: dict[str, Any]) -> dict[str, Any]:
    """Draw each series of lines in a dash of its own: colour alone tells nothing to many eyes."""
    made = dict(part)
    for name in _PARTS & part.keys():
        inner = part[name]
        made[name] = [_dashed(one) for one in inner] if isinstance(inner, list) else _dashed(inner)
    mark, encoding = made.get("mark"), made.get("encoding", {})
    kind = mark.get("type") if isinstance(mark, dict) else mark
    colour = encoding.get("color", {})
    if kind == "line" and "field" in colour and "strokeDash" not in encoding:
        series = {name: value for name, value in colour.items() if name not in {"scale", "sort"}}
        # An order written as `sort` keeps Vega-Lite from drawing one legend for both.
        order = {"domain": colour["sort"]} if isinstance(colour.get("sort"), list) else {}
        made["encoding"] = encoding | {
            "color": series | {"scale": colour.get("scale", {}) | order},
            "strokeDash": series | {"scale": {"range": _DASHES} | order},
        }
    return made


def _slim(svg: str) -> str:
    svg = re.sub(r'<text [^>]*opacity="0"[^>]*>[^<]*</text>', "", svg)  # hidden: no room for it
    svg = re.sub(r' (?:aria-[a-z]+|role|pointer-events|font-family)="[^"]*"', "", svg)
    svg = re.sub(r' class="[^"]*"', "", svg)
    for colour, variable in _VARIABLES.items():
        svg = re.sub(rf' (fill|stroke)="{colour}"', rf' \g<1>="var({variable})"', svg)
    literal = re.search(r'(?:fill|stroke|stop-color)="(#[0-9a-fA-F]{3,8}|rgba?\([^"]*)"', svg)
    if literal:
        raise ChartError(f"sets the colour {literal[1]} by hand; leave colours to the site")
    match = re.search(r"<svg [^>]*>", svg)
    if match is None:
        raise ChartError("vl-convert gave no picture")
    box = re.search(r'viewBox="([^"]+)"', match[0])
    if box is None:
        raise ChartError("vl-convert gave a picture without a size")
    width, height = box[1].split()[2:]
    head = f'<svg class="fd-chart" width="{float(width):.0f}" height="{float(height):.0f}"'
    return f'{head} viewBox="{box[1]}">{svg[match.end() :].strip()}'


def rows(chart: Chart) -> list[dict[str, object]]:
    """Give the values inside a recorded chart."""
    data = chart.spec.get("data")
    values: object = data.get("values") if isinstance(data, dict) else None
    if values is None and isinstance(data, dict):
        sets = chart.spec.get("datasets")
        values = sets.get(data.get("name")) if isinstance(sets, dict) else None
    if not isinstance(values, list):
        return []
    return [row for row in values if isinstance(row, dict)]


def table(chart: Chart) -> list[str]:
    """Give the values of a chart as the lines of a Markdown table; none when it holds none."""
    found = rows(chart)
    if not found:
        return []
    columns = chart.columns or tuple(found[0])
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(_rule(c, found) for c in columns)}|"]
    lines += [f"| {' | '.join(_cell(row.get(c)) for c in columns)} |" for row in found]
    return lines


def _rule(column: str, found: list[dict[str, object]]) -> str:
    numeric = all(isinstance(row.get(column), int | float) for row in found)
    return " ---: " if numeric else " --- "


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format_number(value)
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def fence(
    source: str,
    language: str,  # noqa: ARG001 - the interface of superfences
    css_class: str,  # noqa: ARG001
    options: dict[str, str],
    md: object,
    **_: object,
) -> str:
    """Render a `chart` fence of a staged page: look its picture up, fail when it is not there."""
    results, _problems = read_results(figure.ROOT)
    chart = results.chart(source.strip())
    picture = figure.cached(figure.ROOT, "chart", key(chart)) if chart else None
    if picture is None or not {"title", "alt"} <= options.keys():
        raise SuperFencesException(
            f"the chart {source.strip()!r} was not staged; run python -m catalog stage"
        )
    uid = figure.unit(md, "chart")
    return figure.figure(picture, "chart", uid, options["title"], options["alt"])


def validator(
    language: str,  # noqa: ARG001 - the interface of superfences
    inputs: dict[str, str],
    options: dict[str, str],
    attrs: dict[str, str],  # noqa: ARG001
    md: object,  # noqa: ARG001
) -> bool:
    """Take title and alt of a fence; stage has refused any other attribute."""
    options.update(inputs)
    return True
