"""The finder: every row of the topic index, then by symptom, technology, level and part."""

from catalog.model import Catalog, Entry
from catalog.pages.sheet import Sheet, added, crisis, escape, items, original


def finder(catalog: Catalog) -> str:
    """Give finder.md."""
    sheet = Sheet(catalog, "finder.md")
    rows = sum(not entry.again for group in catalog.groups for entry in group.entries)
    body = [
        (
            f'<p class="fd-lead">{rows} topics, {len(catalog.symptoms)} symptoms, '
            f"{len(catalog.technologies)} technologies: each leads to a scenario.</p>"
        ),
        "For an error message, paste it into the search field at the top of the page.",
        "## Find by topic",
    ]
    for group in catalog.groups:
        body.append(f"### {escape(group.title)}{crisis(group.fire)} {{#topic-{group.id}}}")
        body.append(items(row(sheet, entry) for entry in group.entries if not entry.again))
    body.append("## Find by symptom")
    body.append(
        items(
            f"[{escape(symptom.label)}]({sheet.to(f'oncall/index.md#{symptom.id}')}): "
            f"{sheet.scenario(catalog.scenario(symptom.first))}"
            for symptom in catalog.symptoms
        )
    )
    body.append("## Find by technology")
    for technology in catalog.technologies:
        found = [one for one in catalog.scenarios if technology.id in one.technologies]
        body.append(f"### {escape(technology.title)} {{#technology-{technology.id}}}")
        body.append(escape(technology.about))
        body.append(items(sheet.scenario(one) for one in found))
    body.append("## Find by level")
    for level in catalog.levels:
        body.append(f"### {escape(level.title)}{crisis(level.fire)} {{#level-{level.id}}}")
        body.append(items(sheet.scenario(one) for one in catalog.of_level(level.id)))
    body.append("## Find by part")
    for part in catalog.parts:
        title = f"Part {part.number}: {escape(part.title)}{crisis(part.fire)}"
        body.append(f"### {title} {{#part-{part.id}}}")
        body.append(items(sheet.scenario(one) for one in catalog.of_part(part.id)))
    return sheet.write(
        "Finder",
        "Find a production scenario by topic, by the symptom you see, by technology, by level "
        "or by part.",
        body,
        boost=0.5,
    )


def row(sheet: Sheet, entry: Entry) -> str:
    """Write a row of the finder or of a level: label, scenarios, where it comes from."""
    source = added(entry.origin, entry.why) or original(entry.ref)
    return f"**{escape(entry.label)}**: {sheet.scenarios(entry.scenarios)}{source}"
