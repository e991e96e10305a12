"""The finder: all scenarios to filter, then every row of the topic index and every facet."""

from catalog.model import Catalog, Entry
from catalog.pages.facets import facets, form, listed, page_of
from catalog.pages.sheet import Sheet, added, crisis, escape, items, original
from catalog.pages.tool import scripts


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
        form(facets(catalog), "scenario"),
        "## All scenarios",
        listed(sheet, catalog.scenarios, to_filter=True),
        "## Find by topic",
    ]

    def heading(facet: str, value: str, title: str, fire: bool = False) -> str:
        link = f"[{escape(title)}]({sheet.to(page_of(facet, value))})"
        return f"### {link}{crisis(fire)} {{#{facet}-{value}}}"

    for group in catalog.groups:
        body.append(heading("topic", group.id, group.title, group.fire))
        body.append(items(row(sheet, entry) for entry in group.entries if not entry.again))
    body.append("## Find by symptom")
    body.append(
        items(
            f"[{escape(symptom.label)}]({sheet.to(page_of('symptom', symptom.id))}): "
            f"{sheet.scenario(catalog.scenario(symptom.first))}"
            for symptom in catalog.symptoms
        )
    )
    body.append("## Find by technology")
    for technology in catalog.technologies:
        found = [one for one in catalog.scenarios if technology.id in one.technologies]
        body.append(heading("technology", technology.id, technology.title))
        body.append(escape(technology.about))
        body.append(items(sheet.scenario(one) for one in found))
    body.append("## Find by level")
    for level in catalog.levels:
        body.append(heading("level", level.id, level.title, level.fire))
        body.append(items(sheet.scenario(one) for one in catalog.of_level(level.id)))
    body.append("## Find by part")
    for part in catalog.parts:
        body.append(heading("part", part.id, f"Part {part.number}: {part.title}", part.fire))
        body.append(items(sheet.scenario(one) for one in catalog.of_part(part.id)))
    body.append(scripts(sheet, "finder", store=False))
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
