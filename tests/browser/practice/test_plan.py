"""The study plan: the original's days, the reader's own, its calendar and its print."""

import io
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.browser.driver import NARROW, Chromium, overflow
from tests.browser.site import Site

PLAN = "([facts, answers, options]) => firedrill.plan(facts, answers, options)"
FACTS = "firedrill.data('fd-plan-data')"
DEFAULT = {"days": 4, "sessions": 3, "minutes": 120, "assessed": True}

Facts = dict[str, Any]


def studied(made: dict[str, Any]) -> list[list[str]]:
    """What is studied in each session, in order."""
    return [session["scenarios"] for day in made["days"] for session in day]


def test_four_days_and_nothing_assessed_give_the_original(site: Site, page: Page) -> None:
    """Word for word."""
    page.goto(f"{site.url}plan/")
    facts: Facts = page.evaluate(FACTS)
    made = page.evaluate(PLAN, [facts, {}, DEFAULT])
    assert made == {"days": facts["plan"], "left": [], "known": []}
    assert len(facts["plan"]) == 4


def test_a_plan_keeps_its_promises(site: Site, page: Page) -> None:
    """Each scenario is studied, left out or known, once; no session is too full; more room never
    covers less; what is needed first comes first; what is left out is never more important."""
    page.goto(f"{site.url}plan/")
    facts: Facts = page.evaluate(FACTS)

    @settings(max_examples=60)
    @given(st.data())
    def promises(data: st.DataObject) -> None:
        holds(page, facts, data)

    promises()


def holds(page: Page, facts: Facts, data: st.DataObject) -> None:
    """Draw a catalogue's order, a self-assessment and options; plan; check."""
    scenarios = facts["scenarios"]
    ids = [one["id"] for one in scenarios]
    earlier = data.draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=5))
    order = {name: number for number, name in enumerate(data.draw(st.permutations(ids)))}
    needs = {a: [b for x, b in earlier if x == a and order[b] < order[a]] for a, _ in earlier}
    facts = facts | {"scenarios": [one | {"after": needs.get(one["id"], [])} for one in scenarios]}
    levels = data.draw(st.dictionaries(st.sampled_from(ids), st.integers(0, 3)))
    answers = {name: {"level": level} for name, level in levels.items()}
    options = {
        "days": data.draw(st.integers(1, 30)),
        "sessions": data.draw(st.integers(1, 3)),
        "minutes": data.draw(st.integers(40, 480)),
        "assessed": data.draw(st.booleans()),
    }
    made = page.evaluate(PLAN, [facts, answers, options])
    sessions = studied(made)
    covered = [name for session in sessions for name in session]
    known = {name for name, level in levels.items() if level == 3 and options["assessed"]}
    assert sorted([*covered, *made["left"], *made["known"]]) == sorted(ids)
    assert set(made["known"]) == known
    assert [len(day) for day in made["days"]] == [options["sessions"]] * options["days"]
    each = options["minutes"] // 40
    assert max(map(len, sessions)) <= each
    assert len(covered) == min(len(ids) - len(known), each * len(sessions))
    as_it_is = made["days"] == facts["plan"]  # the original, whatever comes first elsewhere
    for name, before in needs.items():
        for first in before:
            if name in covered and first in covered and not as_it_is:
                assert covered.index(first) < covered.index(name)

    def weight(name: str) -> int:
        level = levels.get(name, 0) if options["assessed"] else 0
        rank: int = next(one["rank"] for one in scenarios if one["id"] == name)
        return (3 - level) * (5 - rank)

    if made["left"]:
        assert max(map(weight, made["left"])) <= min(map(weight, covered))


def test_a_plan_is_made_by_keyboard_shared_kept_and_printed(site: Site, browser: Chromium) -> None:
    """Tab, type, Enter; the address gives another reader the same plan; a reload keeps it."""
    with browser.context(viewport=NARROW) as context:
        page = context.new_page()
        page.goto(f"{site.url}plan/")
        expect(page.get_by_role("button", name="Calendar file")).to_be_hidden()
        page.get_by_label("Start").fill("2026-12-30")
        page.get_by_label("Days", exact=True).focus()
        for typed in ("6", "2", "80"):
            page.keyboard.press("ControlOrMeta+a")
            page.keyboard.type(typed)
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        status = page.locator("#fd-plan [role=status]")
        expect(status).to_have_text("Your plan: 6 days, 21 scenarios.")
        assert page.url.endswith("?start=2026-12-30&days=6&sessions=2&minutes=80&assessed=1")
        shown = page.locator("#fd-own-plan").inner_text()
        assert "Day 3, Friday, January 1, 2027" in shown
        assert overflow(page) == []
        pdf = PdfReader(io.BytesIO(page.pdf(format="A4")))
        days = [re.findall(r"Day (\d+),", sheet.extract_text()) for sheet in pdf.pages]
        assert [found for found in days if found] == [[str(n)] for n in range(1, 7)]
        page.reload()
        expect(page.locator("#fd-own-plan")).to_contain_text("Day 6")
        page.goto(f"{site.url}plan/")
        expect(page.locator("#fd-own-plan")).to_contain_text("Day 6")
    with browser.context() as context:
        other = context.new_page()
        other.goto(f"{site.url}plan/?start=2026-12-30&days=6&sessions=2&minutes=80&assessed=1")
        assert other.locator("#fd-own-plan").inner_text() == shown


def test_what_does_not_fit_and_what_is_no_plan_is_said(site: Site, page: Page) -> None:
    """One evening cannot hold 21 scenarios; a hand-edited address changes only what is possible."""
    page.goto(f"{site.url}plan/?start=tomorrow&days=99&sessions=1&minutes=40")
    status = page.locator("#fd-plan [role=status]")
    expect(status).to_have_text("This address gives no possible start, days. The rest of it holds.")
    expect(page.get_by_label("Days", exact=True)).to_have_value("4")
    page.get_by_label("Days", exact=True).fill("1")
    page.get_by_role("button", name="Make my plan").click()
    expect(status).to_have_text("Your plan: 1 day, 1 scenario, 20 not covered.")
    left = page.locator("#fd-own-plan section").filter(has_text="Not covered").locator("li")
    expect(left).to_have_count(20)


def test_the_calendar_file_is_read_by_others(site: Site, page: Page) -> None:
    """RFC 5545 as the library icalendar reads it: every slot, across the year, no line too long."""
    page.goto(f"{site.url}plan/?start=2026-12-30&days=4&sessions=3&minutes=120&assessed=1")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Calendar file").click()
    raw = saved.value.path().read_bytes()
    assert raw.endswith(b"END:VCALENDAR\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 75
    events = Calendar.from_ical(raw).walk("VEVENT")
    starts = [event.decoded("DTSTART") for event in events]
    assert [start.strftime("%m-%d %H") for start in starts[:3]] == [
        "12-30 09", "12-30 14", "12-30 19",
    ]  # fmt: skip
    assert starts[-1].isoformat() == "2027-01-02T19:00:00"
    assert starts[-1].tzinfo is None
    assert len({str(event["UID"]) for event in events}) == len(events) == 12
    assert str(events[0]["SUMMARY"]) == "Study: Scenarios 1-3 (datasets, upload, download)"
    assert "1. Handling Large Datasets in Python\n" in str(events[0]["DESCRIPTION"])
    assert str(events[0]["URL"]) == f"{site.url}scenarios/large-datasets/"
    twice = page.evaluate(
        """([facts, title]) => {
          facts.scenarios[0].title = title;
          const days = [[{kind: "study", text: "", scenarios: [facts.scenarios[0].id]}]];
          return firedrill.calendar(days, facts, {start: "2026-12-30", minutes: 40}, new Date(0));
        }""",
        [json.loads(page.locator("#fd-plan-data").inner_text()), "é, ; \\ " * 30],
    )
    assert max(len(line) for line in twice.encode().split(b"\r\n")) <= 75
    assert "é, ; \\ " * 29 in str(Calendar.from_ical(twice).walk("VEVENT")[0]["SUMMARY"])


def test_without_scripts_the_original_is_there(site: Site, browser: Chromium) -> None:
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}plan/")
        expect(page.get_by_role("button", name="Make my plan")).to_be_hidden()
        expect(page.locator("h3[id^=day-]")).to_have_count(4)
