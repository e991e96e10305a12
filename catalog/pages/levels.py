"""The complexity levels as a ladder: what to learn first, and which rung the reader has reached."""

import html

from catalog.model import Catalog
from catalog.pages.finder import row
from catalog.pages.sheet import Sheet, count, crisis, escape, items
from catalog.pages.tool import data, scripts


def levels(catalog: Catalog) -> str:
    """Give levels.md."""
    sheet = Sheet(catalog, "levels.md")
    body = [
        (
            '<p class="fd-lead">Four rungs, from what every interview asks to what you need when '
            "you carry the pager.</p>"
        ),
        _ladder(catalog),
        (
            "A rung is reached when you can explain every question of it on the "
            f"[checklist]({sheet.to('checklist.md')}); yours is the last one before the first gap."
        ),
    ]
    for level in catalog.levels:
        body.append(f"## {escape(level.title)}{crisis(level.fire)} {{#{level.id}}}")
        body.append(escape(level.about))
        body.append(items(row(sheet, entry) for entry in level.entries))
    body += [data("fd-levels-data", _rungs(catalog)), scripts(sheet, "levels")]
    return sheet.write(
        "Complexity levels",
        "Which production scenarios to learn first: four levels from must know to crisis "
        "management for senior roles.",
        body,
    )


def _ladder(catalog: Catalog) -> str:
    """Give the rungs, lowest first, with a place for how many of each the reader can explain."""
    rungs = "\n".join(
        f'<li><a href="#{level.id}">{html.escape(level.title)}</a> '
        f'<span class="fd-quiet">{count(len(catalog.of_level(level.id)), "scenario")}</span></li>'
        for level in catalog.levels
    )
    return f'<ol id="fd-ladder">\n{rungs}\n</ol>\n<p id="fd-rung" role="status"></p>'


def _rungs(catalog: Catalog) -> list[dict[str, object]]:
    """Give each rung with its questions of the self-assessment."""
    return [
        {
            "title": level.title,
            "items": [
                item.id
                for item in catalog.checklist.items
                if catalog.scenario(item.scenario).level == level.id
            ],
        }
        for level in catalog.levels
    ]
