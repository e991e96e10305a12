"""The self-assessment: one question for every scenario."""

from catalog.model import Catalog
from catalog.pages.sheet import Sheet, added, count, crisis, escape, items


def checklist(catalog: Catalog) -> str:
    """Give checklist.md."""
    sheet = Sheet(catalog, "checklist.md")
    rows = [
        f'<span aria-hidden="true">☐</span> {escape(item.text)}{crisis(item.fire)}'
        f"{added(item.origin)}<br>\n    Study: {sheet.scenario(catalog.scenario(item.scenario))}"
        for item in catalog.checklist.items
    ]
    body = [
        (
            f'<p class="fd-lead">{count(len(rows), "question")} to answer aloud, one a scenario. '
            "Print the page, or answer from memory.</p>"
        ),
        f"## {escape(catalog.checklist.intro.rstrip(':'))}",
        items(rows),
        escape(catalog.checklist.outro),
    ]
    return sheet.write(
        "Self-assessment checklist",
        "Can you explain it? One question for every production scenario, to answer aloud before "
        "your interview.",
        body,
    )
