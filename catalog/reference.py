"""The reference page of each scenario: what the docstrings of its snippets say."""

import json
from collections.abc import Iterable

from catalog.model import Catalog
from catalog.snippets import Snippet


def reference_pages(catalog: Catalog, snippets: Iterable[Snippet]) -> dict[str, str]:
    """Give staged path and Markdown of one page for each scenario that has a page and snippets.

    They stay out of search and of the sidebar: the cards on the scenario's page lead here.
    """
    by_scenario: dict[str, list[Snippet]] = {}
    for snippet in snippets:
        by_scenario.setdefault(snippet.scenario, []).append(snippet)
    pages = {}
    for scenario in catalog.scenarios:
        own = by_scenario.get(scenario.id)
        if not own or not catalog.has_page(scenario):
            continue
        description = f"Signatures, units, bounds and errors of the snippets of {scenario.title}."
        lines = [
            "---",
            f"title: {json.dumps(f'Reference: {scenario.title}', ensure_ascii=False)}",
            f"description: {json.dumps(description, ensure_ascii=False)}",
            "search:",
            "  exclude: true",
            "---",
            "",
            f"# Reference: {scenario.title}",
            "",
            f"{description} Read [the scenario](../scenarios/{scenario.id}.md) first.",
            "",
        ]
        for snippet in own:
            lines += [f"::: {snippet.module}", ""]
        pages[f"reference/{scenario.id}.md"] = "\n".join(lines)
    return pages
