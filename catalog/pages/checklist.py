"""The self-assessment: one question for every scenario, and how sure the reader is."""

import html

from catalog.model import Catalog, CheckItem
from catalog.pages.sheet import Sheet, added, count, crisis
from catalog.pages.tool import data, own_data, scripts

GRADES = ("Not yet", "Shaky", "Can explain", "Confident")


def checklist(catalog: Catalog) -> str:
    """Give checklist.md."""
    sheet = Sheet(catalog, "checklist.md")
    items = catalog.checklist.items
    body = [
        (
            f'<p class="fd-lead">{count(len(items), "question")} to answer aloud, one a scenario. '
            "Say the answer, then mark how sure you were.</p>"
        ),
        f"## {html.escape(catalog.checklist.intro.rstrip(':'))}",
        _totals(catalog),
        "\n".join(
            ['<form id="fd-checklist" autocomplete="off">']
            + [_item(sheet, item) for item in items]
            + ["</form>"]
        ),
        (
            '<p id="fd-ready" role="status" hidden></p>\n'
            f"<p>{html.escape(catalog.checklist.outro)}</p>"
        ),
        own_data(),
        data("fd-checklist-data", _facts(catalog)),
        scripts(sheet, "checklist"),
    ]
    return sheet.write(
        "Self-assessment checklist",
        "Can you explain it? One question for every production scenario, to answer aloud before "
        "your interview.",
        body,
    )


def _totals(catalog: Catalog) -> str:
    """Give the controls, and a place for the totals by part and by level."""
    rows = "\n".join(
        f'<tr data-fd-total="{kind}/{one.id}"><th scope="row">{html.escape(one.title)}</th>'
        f'<td><span data-fd-count></span> <meter min="0" aria-label="{html.escape(one.title)}, '
        'can explain"></meter></td></tr>'
        for kind, group in (("part", catalog.parts), ("level", catalog.levels))
        for one in group
    )
    return f"""<div id="fd-checklist-tools" class="fd-tools" hidden>
<p role="status" data-fd-summary></p>
<p><label class="fd-check"><input type="checkbox" id="fd-weak"> Only the weak ones, weakest first\
</label></p>
<details><summary>Totals by part and level</summary>
<table><thead><tr><th scope="col">Part or level</th><th scope="col">Can explain</th></tr></thead>
<tbody>
{rows}
</tbody></table></details>
</div>"""


def _item(sheet: Sheet, item: CheckItem) -> str:
    """Write one question with its four answers; without scripts they are boxes to tick in print."""
    scenario = sheet.catalog.scenario(item.scenario)
    answers = "\n".join(
        f'<label><input type="radio" name="{item.id}" value="{grade}"> {words}</label>'
        for grade, words in enumerate(GRADES)
    )
    check = ""
    if sheet.catalog.has_page(scenario):
        place = sheet.address(f"scenarios/{scenario.id}.md#check-yourself")
        check = f' · <a href="{place}">Check yourself</a>'
    return f"""<fieldset id="{item.id}" class="fd-choice">
<legend>{html.escape(item.text)}{crisis(item.fire)}{added(item.origin)}</legend>
<p class="fd-options">
{answers}
</p>
<p>Study: {sheet.scenario_html(scenario)}{check} <span class="fd-quiet" data-fd-when></span></p>
</fieldset>"""


def _facts(catalog: Catalog) -> list[dict[str, str]]:
    """Give what the totals need: each item with its part and level."""
    return [
        {
            "id": item.id,
            "part": catalog.scenario(item.scenario).part,
            "level": catalog.scenario(item.scenario).level,
        }
        for item in catalog.checklist.items
    ]
