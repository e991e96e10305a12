"""Every scenario in one breath: two sides of A4 when printed."""

from collections.abc import Iterable

from catalog.model import Advice, Catalog, Part, Scenario
from catalog.pages.sheet import Sheet, crisis, escape, items


def cheatsheet(catalog: Catalog) -> str:
    """Give cheatsheet.md."""
    sheet = Sheet(catalog, "cheatsheet.md")
    tips = catalog.tips
    body = [
        (
            '<p class="fd-lead">Every scenario in one breath. Read it the evening before, and say '
            "each in your own words. Printed, it fits two sides of A4.</p>"
        ),
        '<div class="fd-sheet" markdown="1">',
        f"## [The seven steps]({sheet.to('template.md')})",
        _steps(catalog),
        *(_sheet_part(sheet, part) for part in catalog.parts),
        "## In the room",
        _labels("Do", tips.during),
        _labels("Avoid", tips.mistakes),
        _labels("Show", tips.signals),
        "</div>",
    ]
    return sheet.write(
        "Cheat sheet",
        "Every production scenario on two sides of A4: what you would say aloud in a minute, to "
        "read the evening before.",
        body,
        boost=0,
    )


def _steps(catalog: Catalog) -> str:
    return "\n".join(
        f"{one.number}. **{escape(one.name.capitalize())}** “{escape(one.say)}”"
        for one in catalog.template.steps
    )


def _labels(word: str, advice: Iterable[Advice]) -> str:
    return f"**{word}:** {'; '.join(escape(one.label) for one in advice)}."


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
