"""The on-call page: triage by yes and no, symptoms, error messages."""

from catalog.model import Catalog, Symptom, TriageNode
from catalog.pages.sheet import Sheet, code, escape, items


def oncall(catalog: Catalog) -> str:
    """Give oncall/index.md."""
    sheet = Sheet(catalog, "oncall/index.md")
    body = [
        (
            '<p class="fd-lead">Something is broken. Answer yes or no, or pick what you see; each '
            "way ends at the scenario to open first.</p>"
        ),
        "You have an error message? Paste it into the search field, or look it up in "
        f"[Error messages]({sheet.to('oncall/index.md#error-messages')})."
        if any(catalog.has_page(one) and one.error_messages for one in catalog.scenarios)
        else "",
        f"[Start with the first question](#{catalog.triage.root})",
        "## Triage",
        *(_node(sheet, node) for node in catalog.triage.nodes),
        "## Symptoms",
        *(_symptom(sheet, symptom) for symptom in catalog.symptoms),
        *_errors(sheet),
    ]
    return sheet.write(
        "On call",
        "Something is broken in production: answer yes or no, or look up the symptom or the "
        "error message, and open the right scenario.",
        body,
        boost=0.5,
    )


def _node(sheet: Sheet, node: TriageNode) -> str:
    asks = {one.id: one.ask for one in sheet.catalog.triage.nodes}
    labels = {one.id: one.label for one in sheet.catalog.symptoms}

    def answer(word: str, target: str) -> str:
        if target in asks:
            return f"**{word}**: [{escape(asks[target])}](#{target})"
        return f"**{word}**: it is [{escape(labels[target])}](#{target})"

    answers = items([answer("Yes", node.if_yes), answer("No", node.if_no)])
    return f"### {escape(node.ask)} {{#{node.id}}}\n\n{answers}"


def _symptom(sheet: Sheet, symptom: Symptom) -> str:
    lines = [f"Open first: {sheet.scenario(sheet.catalog.scenario(symptom.first))}"]
    if symptom.also:
        lines.append(f"Then: {sheet.scenarios(symptom.also)}")
    if symptom.question is not None:
        question = sheet.catalog.question(symptom.question)
        lines.append(f"As an interview question: {sheet.question(question)}")
    return f"### {escape(symptom.label)} {{#{symptom.id}}}\n\n{items(lines)}"


def _errors(sheet: Sheet) -> list[str]:
    """Give the error messages that lead to finished scenarios."""
    found = [
        f"{code(message)}: {sheet.scenario(one)}"
        for one in sheet.catalog.scenarios
        if sheet.catalog.has_page(one)
        for message in one.error_messages
    ]
    return ["## Error messages", items(found)] if found else []
