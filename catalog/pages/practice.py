"""The practice pages: questions, levels, plan, checklist, related topics, template, cheat sheet."""

from catalog.model import (
    Advice,
    Catalog,
    Part,
    PlanDay,
    Question,
    RelatedRow,
    Scenario,
    Session,
    Target,
)
from catalog.pages.finder import row
from catalog.pages.sheet import Sheet, added, count, crisis, escape, items


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


def plan(catalog: Catalog) -> str:
    """Give plan.md."""
    sheet = Sheet(catalog, "plan.md")
    days = sum(day.origin == "original" for day in catalog.plan)
    body = [
        f'<p class="fd-lead">{days} days of three sessions, every scenario once.</p>',
        (
            "Read the page, run its drill, then explain it aloud before you go on.\n"
            f"Tick off what you can explain on the [checklist]({sheet.to('checklist.md')})."
        ),
        *(_day(sheet, day) for day in catalog.plan),
    ]
    return sheet.write(
        "Study plan",
        "A four-day study plan for backend interviews: three sessions a day, each with its "
        "scenarios, drills and practice.",
        body,
    )


def _day(sheet: Sheet, day: PlanDay) -> str:
    heading = f"## Day {day.day}: {escape(day.title)}{crisis(day.fire)} {{#day-{day.day}}}"
    ours = "Added by Firedrill, after the days of the original." if day.origin != "original" else ""
    blocks = [heading, ours, "\n".join(_session(sheet, one) for one in day.sessions)]
    return "\n\n".join(block for block in blocks if block)


def _session(sheet: Sheet, session: Session) -> str:
    lines = [f"- **{session.when}**: {escape(session.text)}"]
    found = [sheet.catalog.scenario(one) for one in session.scenarios]
    lines += [f"    - {sheet.scenario(one)}" for one in found]
    if session.kind == "practice":
        lines.append(f"    - Draw and speak with the [template]({sheet.to('template.md')})")
    if session.kind == "review":
        lines.append(f"    - Read the [cheat sheet]({sheet.to('cheatsheet.md')}) aloud")
    return "\n".join(lines)


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
    for one in catalog.related:
        body.append(f"## {escape(one.label)}{added(one.origin)}")
        body.append(_for(sheet, one))
        body.append(items(_target(sheet, target) for target in one.targets))
    body += _tied(sheet)
    return sheet.write(
        "Related topics",
        "What to study beside each production scenario: the subject in Python, its primary "
        "source, and the scenarios it belongs to.",
        body,
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
    for one in sheet.catalog.scenarios:
        if not sheet.catalog.has_page(one):
            continue
        if one.prerequisites:
            before.append(f"{sheet.scenario(one)} after {sheet.scenarios(one.prerequisites)}")
        for other in one.confused_with:
            them = sheet.scenario(sheet.catalog.scenario(other.id))
            alike.append(f"{sheet.scenario(one)} and {them}: {escape(other.difference)}")
    found = []
    if before:
        found += ["## Read in this order", items(before)]
    if alike:
        found += ["## Easily confused", items(alike)]
    return found


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
    body.append(f"{total} minutes in all.")
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


def cheatsheet(catalog: Catalog) -> str:
    """Give cheatsheet.md."""
    sheet = Sheet(catalog, "cheatsheet.md")
    steps = ", ".join(f"{one.number} {one.name.lower()}" for one in catalog.template.steps)
    body = [
        (
            '<p class="fd-lead">Every scenario in one breath. Read it the evening before, and say '
            "each in your own words.</p>"
        ),
        f"The [seven steps]({sheet.to('template.md')}): {escape(steps)}.",
        *(_sheet_part(sheet, part) for part in catalog.parts),
    ]
    return sheet.write(
        "Cheat sheet",
        "Every production scenario on one page: what you would say aloud in a minute, to read "
        "the evening before.",
        body,
        boost=0,
    )


def _sheet_part(sheet: Sheet, part: Part) -> str:
    blocks = [f"## Part {part.number}: {escape(part.title)}{crisis(part.fire)}"]
    for one in sheet.catalog.of_part(part.id):
        blocks += [f"### {sheet.scenario(one)}", _breath(sheet, one)]
    return "\n\n".join(blocks)


def _breath(sheet: Sheet, scenario: Scenario) -> str:
    """Give the summary of a finished scenario; of a planned one its techniques in Python."""
    if sheet.catalog.has_page(scenario):
        return scenario.summary
    return items(f"**{escape(one.label)}**: {escape(one.python)}" for one in scenario.techniques)


def scenarios(catalog: Catalog) -> str:
    """Give scenarios/index.md."""
    sheet = Sheet(catalog, "scenarios/index.md")
    done = sum(catalog.has_page(one) for one in catalog.scenarios)
    body = [
        (
            f'<p class="fd-lead">{count(len(catalog.scenarios), "scenario")} in '
            f"{count(len(catalog.parts), 'part')}, {done} complete.</p>"
        ),
        "Techniques carry the names of the original index; what each is in Python is ours.",
    ]
    for part in catalog.parts:
        body.append(f"## Part {part.number}: {escape(part.title)}{crisis(part.fire)}")
        body.append(escape(part.about))
        body += [_scenario(sheet, one) for one in catalog.of_part(part.id)]
    return sheet.write(
        "Scenarios",
        "All production scenarios by part: techniques and what they are in Python, level, and "
        "whether the page is complete.",
        body,
        boost=0.5,
    )


def _scenario(sheet: Sheet, scenario: Scenario) -> str:
    level = next(one for one in sheet.catalog.levels if one.id == scenario.level)
    blocks = [f"### {sheet.scenario(scenario)}{added(scenario.origin)} {{#{scenario.id}}}"]
    if scenario.description and sheet.catalog.has_page(scenario):
        blocks.append(escape(scenario.description))
    if scenario.original_title:
        title = escape(scenario.original_title)
        blocks.append(f'<span class="fd-quiet">In the original: {title}.</span>')
    blocks.append(
        items(
            [
                *(f"**{escape(one.label)}**: {escape(one.python)}" for one in scenario.techniques),
                f"Level: {escape(level.title)}{added(scenario.level_origin)}"
                if scenario.origin == "original"
                else f"Level: {escape(level.title)}",
            ]
        )
    )
    return "\n\n".join(blocks)
