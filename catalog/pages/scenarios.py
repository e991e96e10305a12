"""The list of all scenarios, by part."""

from catalog.model import Catalog, Scenario
from catalog.pages.sheet import Sheet, added, count, crisis, escape, items


def scenarios(catalog: Catalog) -> str:
    """Give scenarios/index.md."""
    sheet = Sheet(catalog, "scenarios/index.md")
    done = sum(catalog.has_page(one) for one in catalog.scenarios)
    body = [
        (
            f'<p class="fd-lead">{count(len(catalog.scenarios), "scenario")} in '
            f"{count(len(catalog.parts), 'part')}, {done} complete.</p>"
        ),
        "Techniques carry the names of the original index; what each is in Python is ours.",
    ]
    for part in catalog.parts:
        body.append(f"## Part {part.number}: {escape(part.title)}{crisis(part.fire)}")
        body.append(escape(part.about))
        body += [_scenario(sheet, one) for one in catalog.of_part(part.id)]
    return sheet.write(
        "Scenarios",
        "All production scenarios by part: techniques and what they are in Python, level, and "
        "whether the page is complete.",
        body,
        boost=0.5,
    )


def _scenario(sheet: Sheet, scenario: Scenario) -> str:
    level = next(one for one in sheet.catalog.levels if one.id == scenario.level)
    blocks = [f"### {sheet.scenario(scenario)}{added(scenario.origin)} {{#{scenario.id}}}"]
    if scenario.description and sheet.catalog.has_page(scenario):
        blocks.append(escape(scenario.description))
    if scenario.original_title:
        title = escape(scenario.original_title)
        blocks.append(f'<span class="fd-quiet">In the original: {title}.</span>')
    blocks.append(
        items(
            [
                *(f"**{escape(one.label)}**: {escape(one.python)}" for one in scenario.techniques),
                f"Level: {escape(level.title)}{added(scenario.level_origin)}"
                if scenario.origin == "original"
                else f"Level: {escape(level.title)}",
            ]
        )
    )
    return "\n\n".join(blocks)
