"""The front page: the idea, what is finished, the whole list, ways in."""

from catalog.model import Catalog, Part, Scenario, Status
from catalog.pages.sheet import Sheet, count, crisis, escape, items

DESCRIPTION = (
    "Production scenarios in Python, each proved: the popular code fails a test, the good code "
    "passes the same test, on real servers."
)


def home(catalog: Catalog) -> str:
    """Give index.md."""
    sheet = Sheet(catalog, "index.md")
    done = [one for one in catalog.scenarios if catalog.has_page(one)]
    body = [
        (
            '<p class="fd-lead">The popular code fails a test. The good code passes the same test, '
            "under the same load, on real servers. You can copy both, and run both.</p>"
        ),
        _counts(catalog, done),
        "## Read these first" if done else "",
        _cards(sheet, done),
        "## What a proof looks like",
        (
            "Each scenario starts with code that many of us have shipped.\n"
            "A *drill* sets it up on a real server, breaks it in the way the page names, and "
            "asserts that it fails.\n"
            "Then the drill runs the good code under the identical load, and asserts that it holds."
        ),
        (
            "Every listing is a tested file, every number comes from a recorded run, and a page "
            "whose code has changed since it was measured does not build."
        ),
        f"## All {count(len(catalog.scenarios), 'scenario')}",
        '<div class="fd-cards" markdown>',
        *(_part(sheet, part) for part in catalog.parts),
        "</div>",
        "## Find your way",
        _ways(sheet),
    ]
    return sheet.write("Firedrill", DESCRIPTION, body, hide=["toc"])


def _counts(catalog: Catalog, done: list[Scenario]) -> str:
    """Say how much is there, counted from the catalog."""
    complete = [one for one in done if one.status is Status.COMPLETE]
    snippets = sum(len(one.snippets) for one in complete)
    drills = sum(len(one.drills) for one in complete)
    numbers = sum(len(one.measurements) for one in complete)
    total = count(len(catalog.scenarios), "scenario")
    return (
        f"**{len(complete)} of {total} complete**, with {count(snippets, 'snippet')}, "
        f"{count(drills, 'failure drill')} and {count(numbers, 'recorded number')}.\n"
        "The rest are listed below and marked planned."
    )


def _cards(sheet: Sheet, done: list[Scenario]) -> str:
    if not done:
        return ""
    cards = "\n\n".join(_card(sheet, one) for one in done)
    return f'<div class="fd-cards" markdown>\n\n{cards}\n\n</div>'


def _card(sheet: Sheet, scenario: Scenario) -> str:
    failure = scenario.drills[0].failure if scenario.drills else ""
    facts = [
        count(len(scenario.snippets), "snippet"),
        count(len(scenario.drills), "drill"),
        count(len(scenario.measurements), "recorded number"),
    ]
    blocks = [
        '<div class="fd-card" markdown>',
        f"### {sheet.scenario(scenario)}",
        escape(scenario.description),
        f"**How it fails:** {escape(failure)}" if failure else "",
        f'<span class="fd-quiet">{" · ".join(facts)}</span>',
        "</div>",
    ]
    return "\n\n".join(block for block in blocks if block)


def _part(sheet: Sheet, part: Part) -> str:
    rows = items(
        f"{sheet.scenario(one)} "
        f'<span class="fd-quiet">{escape(", ".join(t.label for t in one.techniques))}</span>'
        for one in sheet.catalog.of_part(part.id)
    )
    heading = f"### Part {part.number}: {escape(part.title)}{crisis(part.fire)}"
    blocks = ['<div class="fd-card" markdown>', f"{heading} {{#{part.id}}}"]
    return "\n\n".join([*blocks, escape(part.about), rows, "</div>"])


def _ways(sheet: Sheet) -> str:
    return items(
        [
            (
                "**Something is broken.** Paste the error message into the search field, or start "
                f"at [On call]({sheet.to('oncall/index.md')}) with what you see."
            ),
            (
                f"**You look for a topic.** [Finder]({sheet.to('finder.md')}): by topic, symptom, "
                "technology, level or part."
            ),
            (
                f"**You have an interview.** [Study plan]({sheet.to('plan.md')}), "
                f"[questions]({sheet.to('questions/index.md')}), "
                f"[checklist]({sheet.to('checklist.md')}), "
                f"[mock interview]({sheet.to('mock.md')}), "
                f"[answer template]({sheet.to('template.md')}), "
                f"[cheat sheet]({sheet.to('cheatsheet.md')})."
            ),
            (
                f"**You want to know what to learn first.** [Levels]({sheet.to('levels.md')}), and "
                f"[what to study beside each scenario]({sheet.to('related.md')})."
            ),
        ]
    )
