"""The study plan: the original's days, and a plan of the reader's own."""

from catalog.model import Catalog, PlanDay, Session
from catalog.pages.sheet import Sheet, crisis, escape
from catalog.pages.tool import data, own_data, scripts

STUDY_MINUTES = 40
"""For one scenario; the original puts at most three into a session."""


def plan(catalog: Catalog) -> str:
    """Give plan.md."""
    sheet = Sheet(catalog, "plan.md")
    days = sum(day.origin == "original" for day in catalog.plan)
    body = [
        f'<p class="fd-lead">{days} days, three sessions a day, every scenario once.</p>',
        (
            "Read the page, run its drill, then explain it aloud before you go on.\n"
            f"Mark what you can explain on the [checklist]({sheet.to('checklist.md')}): "
            "your own plan starts from it."
        ),
        _form(days),
        f"## The {days}-day plan",
        *(_day(sheet, day) for day in catalog.plan),
        own_data(),
        data("fd-plan-data", _facts(sheet)),
        scripts(sheet, "plan"),
    ]
    return sheet.write(
        "Study plan",
        "A four-day study plan for backend interviews: three sessions a day, each with its "
        "scenarios, drills and practice.",
        body,
    )


def _form(days: int) -> str:
    """Give the controls of the reader's own plan, and the place where it is shown."""
    return f"""<form id="fd-plan" class="fd-tools" aria-labelledby="own-plan" hidden>
<h2 id="own-plan">Your own plan</h2>
<p>Each scenario gets {STUDY_MINUTES} minutes.
What you are confident of is only reviewed, and what does not fit is named.</p>
<p class="fd-fields">
<label>Start <input type="date" name="start" required></label>
{_number("Days", 'name="days" min="1" max="30"', days)}
{_number("Sessions a day", 'name="sessions" min="1" max="3"', 3)}
{_number("Minutes a session", f'name="minutes" min="{STUDY_MINUTES}" max="480"', 3 * STUDY_MINUTES)}
</p>
<p><label class="fd-check"><input type="checkbox" name="assessed" checked>
Use my self-assessment</label></p>
<p class="fd-buttons">
<button class="md-button md-button--primary">Make my plan</button>
<button type="button" class="md-button" data-fd-ics data-fd-after hidden>Calendar file</button>
<button type="button" class="md-button" data-fd-print data-fd-after hidden>Print by day</button>
</p>
<p role="status"></p>
</form>
<div id="fd-own-plan" hidden></div>"""


def _number(words: str, attributes: str, value: int) -> str:
    return f'<label>{words} <input type="number" {attributes} value="{value}" required></label>'


def _day(sheet: Sheet, day: PlanDay) -> str:
    heading = f"### Day {day.day}: {escape(day.title)}{crisis(day.fire)} {{#day-{day.day}}}"
    ours = "Added by Firedrill, after the days of the original." if day.origin != "original" else ""
    blocks = [heading, ours, "\n".join(_session(sheet, one) for one in day.sessions)]
    return "\n\n".join(block for block in blocks if block)


def _session(sheet: Sheet, session: Session) -> str:
    lines = [f"- **{session.when}**: {escape(session.text)}"]
    found = [sheet.catalog.scenario(one) for one in session.scenarios]
    lines += [f"    - {sheet.scenario(one)}" for one in found]
    if session.kind == "practice":
        lines.append(
            f"    - Draw and speak with the [template]({sheet.to('template.md')}), "
            f"or in a [mock interview]({sheet.to('mock.md')})"
        )
    if session.kind == "review":
        lines.append(f"    - Read the [cheat sheet]({sheet.to('cheatsheet.md')}) aloud")
    return "\n".join(lines)


def _facts(sheet: Sheet) -> dict[str, object]:
    """Give what the planner needs."""
    catalog = sheet.catalog
    ranks = {level.id: level.rank for level in catalog.levels}
    tips = "; ".join(f"{one.label} ({one.minutes} min)" for one in catalog.tips.before)
    return {
        "scenarios": [
            {
                "id": one.id,
                "number": one.number,
                "title": one.title,
                "url": sheet.address(f"scenarios/{one.id}.md") if catalog.has_page(one) else None,
                "rank": ranks[one.level],
                "after": list(one.prerequisites),
            }
            for one in catalog.scenarios
        ],
        "plan": [
            [
                {"kind": one.kind, "text": one.text, "scenarios": list(one.scenarios)}
                for one in day.sessions
            ]
            for day in catalog.plan
            if day.origin == "original"
        ],
        "practice": "Practise aloud: draw, and explain what you studied today",
        "tips": tips,
        "minutes": STUDY_MINUTES,
        "items": {item.id: item.scenario for item in catalog.checklist.items},
    }
