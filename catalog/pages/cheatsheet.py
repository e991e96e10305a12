"""Every scenario in one breath."""

from catalog.model import Catalog, Part, Scenario
from catalog.pages.sheet import Sheet, crisis, escape, items


def cheatsheet(catalog: Catalog) -> str:
    """Give cheatsheet.md."""
    sheet = Sheet(catalog, "cheatsheet.md")
    steps = ", ".join(f"{one.number} {one.name.lower()}" for one in catalog.template.steps)
    body = [
        (
            '<p class="fd-lead">Every scenario in one breath. Read it the evening before, and say '
            "each in your own words.</p>"
        ),
        f"The [seven steps]({sheet.to('template.md')}): {escape(steps)}.",
        *(_sheet_part(sheet, part) for part in catalog.parts),
    ]
    return sheet.write(
        "Cheat sheet",
        "Every production scenario on one page: what you would say aloud in a minute, to read "
        "the evening before.",
        body,
        boost=0,
    )


def _sheet_part(sheet: Sheet, part: Part) -> str:
    blocks = [f"## Part {part.number}: {escape(part.title)}{crisis(part.fire)}"]
    for one in sheet.catalog.of_part(part.id):
        blocks += [f"### {sheet.scenario(one)}", _breath(sheet, one)]
    return "\n\n".join(blocks)


def _breath(sheet: Sheet, scenario: Scenario) -> str:
    """Give the summary of a finished scenario; of a planned one its techniques in Python."""
    if sheet.catalog.has_page(scenario):
        return scenario.summary
    return items(f"**{escape(one.label)}**: {escape(one.python)}" for one in scenario.techniques)
