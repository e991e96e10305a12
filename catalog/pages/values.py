"""A page for each value of each facet, so that a link to it works for everybody.

They stay out of search and of the sidebar: the finder leads here, and search leads to the
scenarios themselves.
"""

from collections.abc import Sequence

from catalog.model import Catalog, Scenario
from catalog.pages.facets import Facet, Value, facets, listed, page_of, values_of
from catalog.pages.finder import row
from catalog.pages.sheet import Sheet, count, crisis, escape, items

LONGEST = 160  # characters of a description


def values(catalog: Catalog) -> dict[str, str]:
    """Give every page below finder/ by its staged path."""
    return {
        page_of(facet.id, value.id): _page(catalog, facet, value)
        for facet in facets(catalog)
        for value in facet.values
    }


def _page(catalog: Catalog, facet: Facet, value: Value) -> str:
    sheet = Sheet(catalog, page_of(facet.id, value.id))
    found = [one for one in catalog.scenarios if value.id in values_of(one)[facet.id]]
    narrow = f"{sheet.address('finder.md')}?{facet.id}={value.id}"
    body = [
        f'<p class="fd-lead">{escape(value.about)}</p>' if value.about else "",
        *_own(sheet, facet, value),
        *([] if facet.id == "symptom" else _scenarios(sheet, found)),
        *_questions(sheet, found),
        "## Find others",
        (
            f'<p>Filter further: <a href="{narrow}">this {facet.title.lower()} in the finder</a>, '
            "together with other topics, levels, parts, technologies and symptoms.</p>"
        ),
        items(_other(sheet, facet, one) for one in facet.values if one.id != value.id),
    ]
    return sheet.write(
        _title(facet, value),
        _description(facet, value, found),
        [block for block in body if block],
        boost=0,
    )


def _title(facet: Facet, value: Value) -> str:
    titles = {
        "topic": f"Topic: {value.title}",
        "level": f"Level: {value.title}",
        "part": value.title,
        "technology": f"Scenarios with {value.title}",
        "symptom": value.title,
    }
    return titles[facet.id]


def _description(facet: Facet, value: Value, found: Sequence[Scenario]) -> str:
    """Say what the page leads to, in 50 to 160 characters."""
    openings = {
        "topic": f"{value.title}: production scenarios in Python",
        "level": f"{value.title}: production scenarios in Python",
        "part": f"{value.title}: production scenarios in Python",
        "technology": f"Production scenarios in Python with {value.title}",
        "symptom": f"{value.title}: production scenarios to open",
    }
    said = openings[facet.id]
    for one in found:
        longer = f"{said}{':' if one is found[0] else ','} {one.title}"
        if len(longer) + 1 > LONGEST:
            break
        said = longer
    return f"{said}."


def _own(sheet: Sheet, facet: Facet, value: Value) -> list[str]:
    """Give what the catalog says of this value beside its scenarios."""
    catalog = sheet.catalog
    if facet.id == "topic":
        group = next(one for one in catalog.groups if one.id == value.id)
        return [items(row(sheet, entry) for entry in group.entries if not entry.again)]
    if facet.id == "level":
        return [f"One of the [complexity levels]({sheet.to(f'levels.md#{value.id}')})."]
    if facet.id == "symptom":
        symptom = next(one for one in catalog.symptoms if one.id == value.id)
        lines = [f"Open first: {sheet.scenario(catalog.scenario(symptom.first))}"]
        if symptom.also:
            lines.append(f"Then: {sheet.scenarios(symptom.also)}")
        place = sheet.to(f"oncall/index.md#{value.id}")
        lines.append(f"Not quite what you see? [Ask your way through]({place})")
        return [items(lines)]
    return []


def _scenarios(sheet: Sheet, found: Sequence[Scenario]) -> list[str]:
    return [f"## {count(len(found), 'scenario')}", listed(sheet, found)]


def _questions(sheet: Sheet, found: Sequence[Scenario]) -> list[str]:
    ids = {one.id for one in found}
    asked = [one for one in sheet.catalog.questions if ids & set(one.scenarios)]
    return ["## Asked in interviews", items(sheet.question(one) for one in asked)] if asked else []


def _other(sheet: Sheet, facet: Facet, value: Value) -> str:
    address = sheet.to(page_of(facet.id, value.id))
    return f"[{escape(value.title)}]({address}){crisis(value.fire)}"
