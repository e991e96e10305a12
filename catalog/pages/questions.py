"""The question index: every question with its short answer, scenarios and level."""

from catalog.model import Catalog, Question
from catalog.pages.sheet import Sheet, count, crisis, escape, items


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
        "## From the original index",
        *(_question(sheet, one) for one in own),
        "## Added by Firedrill",
        "The original asks nothing about these scenarios.",
        *(_question(sheet, one) for one in ours),
    ]
    return sheet.write(
        "Interview questions",
        "Backend interview questions, each with a short answer, a spoken answer, seven steps "
        "with tested code, and follow-ups.",
        body,
        boost=0.5,
    )


def _question(sheet: Sheet, question: Question) -> str:
    catalog = sheet.catalog
    ranks = {level.id: level for level in catalog.levels}
    found = [catalog.scenario(one) for one in question.scenarios]
    highest = min((ranks[one.level] for one in found), key=lambda level: level.rank)
    lines = [
        f"**Short answer:** {escape(question.short_answer)}",
        f"**Scenario:** {sheet.scenarios(question.scenarios)}",
        f"**Level:** {escape(highest.title)}",
    ]
    if question.follow_ups:
        lines.append(f"**Follow-ups:** {len(question.follow_ups)}")
    heading = f"### {sheet.question(question)}{crisis(question.fire)} {{#{question.id}}}"
    return f"{heading}\n\n{items(lines)}"
