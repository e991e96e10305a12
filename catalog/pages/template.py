"""The answer template, tips, mistakes, and what interviewers want to see."""

from catalog.model import Advice, Catalog
from catalog.pages.sheet import Sheet, escape, items


def template(catalog: Catalog) -> str:
    """Give template.md."""
    sheet = Sheet(catalog, "template.md")
    body = [f'<p class="fd-lead">{escape(catalog.template.about)}</p>', "## Answer template"]
    for step in catalog.template.steps:
        body.append(f"### {step.number}. {escape(step.name)} {{#{step.id}}}")
        body.append(f"> “{escape(step.say)}”")
        body.append(items(escape(line) for line in step.lines))
        body.append(escape(step.about))
    body.append("## Before the interview")
    total = sum(one.minutes for one in catalog.tips.before)
    body.append(
        f"{total} minutes in all. The [mock interview]({sheet.to('mock.md')}) draws for you."
    )
    body.append(
        items(
            f"**{escape(one.label)}** ({one.minutes} mins). {escape(one.about)}"
            for one in catalog.tips.before
        )
    )
    body += ["## During the interview", _advice(catalog.tips.during)]
    body += ["## Common mistakes to avoid", _advice(catalog.tips.mistakes)]
    body += ["## What interviewers want to see", _advice(catalog.tips.signals)]
    return sheet.write(
        "Answer template and tips",
        "Seven steps for any scenario question, quick tips, common mistakes, and what "
        "interviewers want to see.",
        body,
    )


def _advice(found: tuple[Advice, ...]) -> str:
    return items(f"**{escape(one.label)}**. {escape(one.about)}" for one in found)
