"""Scenarios and the subjects beside them, as a picture: two columns of links, lines between.

The picture says nothing that the page's lists do not say. It is drawn here, without a library;
colours are the page's variables, so it follows the site's switch.
"""

import html
from dataclasses import dataclass

from catalog.load import slug
from catalog.model import Catalog, RelatedRow, Target
from catalog.pages.sheet import Sheet

WIDTH = 680  # units, which are pixels at the desk
ROW = 28  # a link is at least 24 high, also where the picture is scaled to 0.92
TOP = 34
LEFT = 304  # where the names of scenarios end
RIGHT = 420  # where the names of subjects begin
LETTERS = {"left": 37, "right": 31}  # that fit at 13 px in a wide typeface


@dataclass(frozen=True, slots=True)
class Subject:
    """What is studied beside scenarios: a key for the catalog, a name, and where it is told."""

    key: str
    name: str
    address: str


def anchor(row: RelatedRow) -> str:
    """Give the id of a row on the page of related topics."""
    return f"for-{slug(row.label)}"


def key(target: Target) -> str:
    """Give what makes two targets the same subject: the scenario, the concept, else the label."""
    return target.scenario or target.concept or slug(target.label)


def edges(catalog: Catalog) -> list[tuple[str, str]]:
    """Give every pair of a scenario and a subject to study beside it, once."""
    pairs = (
        (scenario, key(target))
        for row in catalog.related
        for scenario in row.scenarios
        for target in row.targets
        if target.scenario != scenario
    )
    return list(dict.fromkeys(pairs))


def subjects(sheet: Sheet) -> list[Subject]:
    """Give every subject once, ordered so that lines cross little: by the mean of its scenarios."""
    catalog = sheet.catalog
    pages = {one.path: one.title for one in catalog.concepts}
    places = {one.id: number for number, one in enumerate(catalog.scenarios)}
    names: dict[str, dict[str, None]] = {}
    addresses: dict[str, str] = {}
    for row in catalog.related:
        for target in row.targets:
            one = key(target)
            label = target.label
            address = f"#{anchor(row)}"
            path = f"concepts/{target.concept}.md"
            if target.scenario is not None:
                scenario = catalog.scenario(target.scenario)
                label = f"{scenario.number} · {scenario.title}"
                if catalog.has_page(scenario):
                    address = sheet.address(f"scenarios/{scenario.id}.md")
            elif path in pages:
                label, address = pages[path], sheet.address(path)
            names.setdefault(one, {})[label] = None
            addresses.setdefault(one, address)
    at: dict[str, list[int]] = {}
    for scenario_id, one in edges(catalog):
        at.setdefault(one, []).append(places[scenario_id])
    order = sorted(at, key=lambda one: (sum(at[one]) / len(at[one]), one))
    return [Subject(one, ", ".join(names[one]), addresses[one]) for one in order]


def graph(sheet: Sheet) -> str:
    """Draw the picture as one block of HTML."""
    catalog = sheet.catalog
    right = subjects(sheet)
    lines = edges(catalog)
    high = max(len(catalog.scenarios), len(right)) * ROW
    left_y = _spread([one.id for one in catalog.scenarios], high)
    right_y = _spread([one.key for one in right], high)
    names = {one.id: one.title for one in catalog.scenarios} | {one.key: one.name for one in right}
    about = (
        f"{len(catalog.scenarios)} scenarios on the left, {len(right)} subjects on the right, "
        f"{len(lines)} lines between them. The lists below say the same."
    )
    first_row = {
        one: f"#{anchor(row)}" for row in reversed(catalog.related) for one in row.scenarios
    }
    drawn = [
        '<figure class="fd-figure fd-graph">',
        '<div class="fd-scroll" role="group" aria-label="Scenarios and subjects" tabindex="0">',
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + high}" '
            f'width="{WIDTH}" style="--fd-width:{WIDTH}px" role="group" '
            'aria-labelledby="graph-t graph-d">'
        ),
        '<title id="graph-t">Scenarios and the subjects beside them</title>',
        f'<desc id="graph-d">{about}</desc>',
        f'<text x="{LEFT}" y="16" text-anchor="end" class="fd-graph__head">Scenario</text>',
        f'<text x="{RIGHT}" y="16" class="fd-graph__head">Subject</text>',
    ]
    for scenario_id, subject in lines:
        a, b, middle = left_y[scenario_id], right_y[subject], (LEFT + RIGHT) // 2
        title = html.escape(f"{names[scenario_id]}: {names[subject]}")
        drawn.append(
            f'<path data-from="{scenario_id}" data-to="{subject}" d="M{LEFT + 6} {a}'
            f'C{middle} {a} {middle} {b} {RIGHT - 6} {b}"><title>{title}</title></path>'
        )
    for one in catalog.scenarios:
        page = sheet.address(f"scenarios/{one.id}.md") if catalog.has_page(one) else None
        name = f"{one.number} · {one.title}"
        place = page or first_row.get(one.id) or sheet.address(f"scenarios/index.md#{one.id}")
        drawn.append(_node(place, name, left_y[one.id], planned=page is None, end=True))
    drawn += [_node(one.address, one.name, right_y[one.key]) for one in right]
    drawn += ["</svg>", "</div>", f"<figcaption>{about}</figcaption>", "</figure>"]
    return "\n".join(drawn)


def _spread(names: list[str], high: int) -> dict[str, int]:
    """Give each name its height, spread evenly over the whole."""
    step = high / max(1, len(names))
    return {name: TOP + round(step * (number + 0.5)) for number, name in enumerate(names)}


def _node(address: str, name: str, y: int, *, planned: bool = False, end: bool = False) -> str:
    """Write one link: a box large enough to hit, and the name, cut where it is too long."""
    most = LETTERS["left" if end else "right"]
    short = name if len(name) <= most else f"{name[: most - 1].rstrip(' -,')}…"
    state = " (planned)" if planned else ""
    x, box, side = (LEFT, 0, ' text-anchor="end"') if end else (RIGHT, RIGHT - 4, "")
    width = LEFT + 4 if end else WIDTH - RIGHT + 4
    kind = ' class="fd-graph__planned"' if planned else ""
    return (
        f'<a href="{html.escape(address)}"{kind}><title>{html.escape(name)}{state}</title>'
        f'<rect x="{box}" y="{y - 13}" width="{width}" height="27"/>'
        f'<text x="{x}" y="{y + 4}"{side}>{html.escape(short)}</text></a>'
    )
