"""The two kinds of chart that most measurements need, as Vega-Lite: bars, and lines.

They carry what a phone and a reader without colours need: numbers beside the bars, a width that
fits, dashes that the legend shows.
"""

from collections.abc import Sequence
from typing import Any

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

Rows = Sequence[dict[str, Any]]


def bars(  # noqa: PLR0913 - a chart has as many sides
    rows: Rows,
    name: str,
    number: str,
    *,
    width: int,
    digits: str = ",.3~r",
    axis: str = "~s",
    ticks: int = 4,
    as_given: bool = False,
    title: str | None = None,
) -> dict[str, Any]:
    """Specify horizontal bars with their numbers.

    Args:
        rows: one for each bar.
        name: the column that names a bar.
        number: the column that is drawn.
        width: of the plot without names and numbers, in px.
        digits: how the numbers beside the bars are written, as a d3 format.
        axis: how those of the axis are written.
        ticks: about how many numbers the axis has.
        as_given: keep the order of the rows; else the longest bar comes first.
        title: of the names; most need none.
    """
    order = None if as_given else "-x"
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": 26 * len(rows),
        # The longest bar has its number to the right of it.
        "padding": {"left": 18, "right": 44, "top": 5, "bottom": 5},
        "data": {"values": list(rows)},
        "encoding": {
            "y": {"field": name, "type": "nominal", "sort": order, "title": title},
            "x": {
                "field": number,
                "type": "quantitative",
                "axis": {"tickCount": ticks, "format": axis},
            },
        },
        "layer": [
            {"mark": {"type": "bar"}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"text": {"field": number, "type": "quantitative", "format": digits}},
            },
        ],
    }


def lines(  # noqa: PLR0913 - as above
    rows: Rows, x: str, y: str, series: str, *, width: int, log: str = "", decades: range = range(0)
) -> dict[str, Any]:
    """Specify lines with points, one a series.

    Args:
        rows: one for each point.
        x: the column to the right.
        y: the column upward.
        series: the column that names a line.
        width: of the plot without the axis' numbers, in px.
        log: the axes that are logarithmic: "", "x", "y" or "xy".
        decades: exponents of ten that the axis to the right numbers; empty leaves it to Vega,
            which numbers every 1, 2 and 5 of a logarithmic axis.
    """
    axis: dict[str, Any] = {"tickCount": 5, "format": "~s"}
    scale_x, scale_y = ({"scale": {"type": "log"}} if name in log else {} for name in "xy")
    numbered = {"values": [10**n for n in decades]} if decades else {}
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": 230,
        "data": {"values": list(rows)},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": x, "type": "quantitative", "axis": {**axis, **numbered}, **scale_x},
            "y": {"field": y, "type": "quantitative", "axis": axis, **scale_y},
            "color": {
                "field": series,
                "type": "nominal",
                "title": None,
                "sort": list(dict.fromkeys(row[series] for row in rows)),
                "legend": {
                    "columns": 2,
                    "columnPadding": 24,
                    # A stroke, long enough to show its dashes.
                    "symbolType": "stroke",
                    "symbolSize": 900,
                },
            },
        },
    }
