"""What to study beside each scenario, and what pages say of each other."""

from catalog.model import Catalog, RelatedRow, Target
from catalog.pages.graph import anchor, edges, graph, subjects
from catalog.pages.sheet import Sheet, added, escape, items


def related(catalog: Catalog) -> str:
    """Give related.md."""
    sheet = Sheet(catalog, "related.md")
    body = [
        (
            '<p class="fd-lead">What to study beside each scenario: what it is in Python, and the '
            "primary source.</p>"
        ),
        (
            "The original index pointed to companion documents for another language.\n"
            "Its rows are kept; what each subject is in Python, and the source, are ours."
        ),
    ]
    body.append(graph(sheet))
    for one in catalog.related:
        body.append(f"## {escape(one.label)}{added(one.origin)} {{#{anchor(one)}}}")
        body.append(_for(sheet, one))
        body.append(items(_target(sheet, target) for target in one.targets))
    body += ["## By subject", _by_subject(sheet)]
    body += _tied(sheet)
    return sheet.write(
        "Related topics",
        "What to study beside each production scenario: the subject in Python, its primary "
        "source, and the scenarios it belongs to.",
        body,
    )


def _by_subject(sheet: Sheet) -> str:
    """Give the same the other way round: what each subject belongs to."""
    pairs = edges(sheet.catalog)
    return items(
        f"**{escape(one.name)}**: {sheet.scenarios(a for a, b in pairs if b == one.key)}"
        for one in subjects(sheet)
    )


def _for(sheet: Sheet, one: RelatedRow) -> str:
    ours = "" if one.origin == "firedrill" else added(one.scenarios_origin)
    return f"For {sheet.scenarios(one.scenarios)}{ours}."


def _target(sheet: Sheet, target: Target) -> str:
    said = f' <span class="fd-quiet">(original: {escape(target.ref)})</span>' if target.ref else ""
    if target.scenario is not None:
        scenario = sheet.catalog.scenario(target.scenario)
        return f"**{escape(target.label)}**: {sheet.scenario(scenario)}{said}"
    page = next(
        (one for one in sheet.catalog.concepts if one.path == f"concepts/{target.concept}.md"), None
    )
    concept = f" Read [{escape(page.title)}]({sheet.to(page.path)})." if page else ""
    source = f"Source: [{escape(target.source_title or '')}]({target.source})."
    return f"**{escape(target.label)}**: {target.python}{concept} {source}{said}"


def _tied(sheet: Sheet) -> list[str]:
    """Give what finished pages say of each other: what comes first, what is taken for what."""
    before, alike = [], []
    known = {one.id for one in sheet.catalog.scenarios}  # the checker names what is not
    for one in sheet.catalog.scenarios:
        if not sheet.catalog.has_page(one):
            continue
        if first := known & set(one.prerequisites):
            before.append(f"{sheet.scenario(one)} after {sheet.scenarios(first)}")
        for other in one.confused_with:
            if other.id in known:
                them = sheet.scenario(sheet.catalog.scenario(other.id))
                alike.append(f"{sheet.scenario(one)} and {them}: {escape(other.difference)}")
    found = []
    if before:
        found += ["## Read in this order", items(before)]
    if alike:
        found += ["## Easily confused", items(alike)]
    return found
