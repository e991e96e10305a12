"""The complexity levels: which scenarios to learn first."""

from catalog.model import Catalog
from catalog.pages.finder import row
from catalog.pages.sheet import Sheet, crisis, escape, items


def levels(catalog: Catalog) -> str:
    """Give levels.md."""
    sheet = Sheet(catalog, "levels.md")
    body = [
        (
            '<p class="fd-lead">Four rungs, from what every interview asks to what you need when '
            "you carry the pager.</p>"
        ),
    ]
    for level in catalog.levels:
        body.append(f"## {escape(level.title)}{crisis(level.fire)} {{#{level.id}}}")
        body.append(escape(level.about))
        body.append(items(row(sheet, entry) for entry in level.entries))
    return sheet.write(
        "Complexity levels",
        "Which production scenarios to learn first: four levels from must know to crisis "
        "management for senior roles.",
        body,
    )
