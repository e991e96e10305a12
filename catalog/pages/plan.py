"""The study plan: days, sessions, scenarios."""

from catalog.model import Catalog, PlanDay, Session
from catalog.pages.sheet import Sheet, crisis, escape


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
