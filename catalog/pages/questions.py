"""The question index: every question with its short answer, scenarios, level and follow-ups."""

from collections.abc import Iterable

from catalog.model import Catalog, Question
from catalog.pages.facets import facets, form, found_by
from catalog.pages.sheet import Sheet, count, crisis, escape, items
from catalog.pages.tool import scripts

FACETS = ("topic", "level", "part", "technology")


def questions(catalog: Catalog) -> str:
    """Give questions/index.md."""
    sheet = Sheet(catalog, "questions/index.md")
    own = [one for one in catalog.questions if one.origin == "original"]
    ours = [one for one in catalog.questions if one.origin == "firedrill"]
    answered = sum(catalog.has_page(one) for one in catalog.questions)
    body = [
        (
            f'<p class="fd-lead">{count(len(catalog.questions), "interview question")}, '
            f"{answered} answered in full: what to say in ninety seconds, the seven steps with "
            "tested code, and what the interviewer asks next.</p>"
        ),
        f"Every answer follows the [answer template]({sheet.to('template.md')}).",
        form([one for one in facets(catalog) if one.id in FACETS], "question"),
        *_section(sheet, "From the original index", "", own),
        *_section(
            sheet,
            "Added by Firedrill",
            "The original asks nothing about these scenarios.",
            ours,
        ),
        scripts(sheet, "finder", store=False),
    ]
    return sheet.write(
        "Interview questions",
        "Backend interview questions, each with a short answer, a spoken answer, seven steps "
        "with tested code, and follow-ups.",
        body,
        boost=0.5,
    )


def _section(sheet: Sheet, title: str, about: str, some: Iterable[Question]) -> list[str]:
    """Write questions under a heading that leaves when a filter hides all of them."""
    asked = [_question(sheet, one) for one in some]
    if not asked:
        return []
    opening = '<section data-fd-group markdown="1">'
    return [opening, f"## {title}", about, *asked, "</section>"]


def _question(sheet: Sheet, question: Question) -> str:
    catalog = sheet.catalog
    ranks = {level.id: level for level in catalog.levels}
    found = [catalog.scenario(one) for one in question.scenarios]
    highest = min((ranks[one.level] for one in found), key=lambda level: level.rank)
    words = [technique.label for one in found for technique in one.techniques]
    blocks = [
        f'<div {found_by(found, words)} markdown="1">',
        f"### {sheet.question(question)}{crisis(question.fire)} {{#{question.id}}}",
        items(
            [
                f"**Short answer:** {escape(question.short_answer)}",
                f"**Scenario:** {sheet.scenarios(question.scenarios)}",
                f"**Level:** {escape(highest.title)}",
            ]
        ),
        *_follow_ups(sheet, question),
        "</div>",
    ]
    return "\n\n".join(blocks)


def _follow_ups(sheet: Sheet, question: Question) -> list[str]:
    """Link each follow-up of an answered question, folded away."""
    if not question.follow_ups or not sheet.catalog.has_page(question):
        return []
    page = sheet.to(f"questions/{question.id}.md")
    return [
        f'<details markdown="1"><summary>{count(len(question.follow_ups), "follow-up")}</summary>',
        items(f"[{one.q}]({page}#{one.id})" for one in question.follow_ups),
        "</details>",
    ]
