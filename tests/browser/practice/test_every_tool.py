"""What holds for every tool while it is in use: zoomed in, without storage, without stolen keys."""

import string
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.driver import Chromium, overflow
from tests.browser.site import Site
from tests.browser.test_accessibility import AXE, audits

ZOOMED: ViewportSize = {"width": 320, "height": 256}
"""A window of 1280 x 1024 px at 400 %."""
NO_STORAGE = """for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, {get() { throw new DOMException("no", "SecurityError") }});
}"""
# A tool says what it counted 150 ms late, for screen readers; timers end in their order.
SAID = "new Promise((said) => setTimeout(said, 150))"
# What can be pressed and is too small for a finger (WCAG 2.5.8); a link in a sentence may be.
CONTROLS = "button, summary, select, label, input"
SMALL = """(controls) => [...document.querySelectorAll(`article :is(${controls})`)]
  .filter((one) => one.checkVisibility() && !(one.labels?.length && one.closest("label")))
  .map((one) => [one.textContent.trim() || one.name, one.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""
# Of what has the focus, one corner at least is covered by nothing that sticks (WCAG 2.4.11).
SEEN = """() => {
  const box = document.activeElement.getBoundingClientRect();
  const left = box.left + 2, bottom = Math.min(box.bottom, innerHeight) - 2;
  return document.activeElement.contains(document.elementFromPoint(left, bottom));
}"""


def ask(page: Page) -> Locator:
    """Draw one question, look at its answer, grade it."""
    page.get_by_role("button", name="Start", exact=True).press("Enter")
    page.get_by_role("button", name="Show the model answer").press("Enter")
    page.get_by_role("radio", name="Partly").first.press("Space")
    return page.get_by_role("heading", name="Grade the answer")


def rate(page: Page) -> Locator:
    """Answer one question, and show the weak ones."""
    page.get_by_text("Totals by part and level").press("Enter")
    page.get_by_role("radio", name="Shaky").first.press("Space")
    page.get_by_label("Only the weak ones").press("Space")
    return page.get_by_text("1 of 21 answered, 0 confident.")


def make(page: Page) -> Locator:
    """Make a plan."""
    page.get_by_label("Sessions a day").press("Enter")
    return page.get_by_text("Your plan: 4 days, 21 scenarios.")


def turn(page: Page) -> Locator:
    """Turn a card, with the options open."""
    page.locator("summary", has_text="Options").press("Enter")
    page.get_by_role("button", name="Show answer").press("Space")
    return page.get_by_role("button", name="Good")


def choose_a_level(page: Page) -> Locator:
    """Choose in a facet."""
    level = page.locator("#fd-level")
    if level.get_attribute("open") is None:
        level.locator("summary").press("Enter")
    level.get_by_role("checkbox").first.press("Space")
    return level.get_by_text("1 chosen")


def climb(page: Page) -> Locator:
    """Follow the ladder."""
    page.locator("#fd-ladder a").first.press("Enter")
    return page.get_by_text("Your rung: none yet.")


USES: dict[str, Callable[[Page], Locator]] = {
    "questions": choose_a_level,
    "finder": choose_a_level,
    "mock": ask,
    "checklist": rate,
    "plan": make,
    "review": turn,
    "levels": climb,
}


@pytest.mark.parametrize("tool", USES)
def test_at_400_percent_a_tool_in_use_is_whole(site: Site, browser: Chromium, tool: str) -> None:
    """By keyboard; nothing is cut off, hidden under what sticks, too small, or a barrier."""
    with browser.context(viewport=ZOOMED, bypass_csp=True) as context:
        context.add_init_script(AXE)
        page = context.new_page()
        page.goto(f"{site.url}{tool}/")
        expect(USES[tool](page)).to_be_visible()
        assert page.evaluate(SEEN)
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN)
        assert overflow(page) == []
        assert page.evaluate(SMALL, CONTROLS) == []
        page.evaluate("scrollTo(0, 0)")  # the header covers half a row wherever one stops
        for where, result in audits(page, [ZOOMED], "article"):
            assert result["passes"], "axe saw nothing"
            assert (where, result["violations"], result["errors"]) == (where, [], [])


@pytest.mark.parametrize("tool", USES)
def test_where_storage_throws_a_tool_works_and_takes_no_letter(
    site: Site, browser: Chromium, tool: str
) -> None:
    """Not even reading is allowed; and no bare letter or digit acts on what has the focus."""
    with browser.context() as context:
        context.add_init_script(NO_STORAGE)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(f"{error}: {error.stack}"))
        page.goto(f"{site.url}{tool}/")
        control = page.locator(".fd-tools :is(button, summary), #fd-ladder a")
        control.locator("visible=true").first.focus()
        page.evaluate(SAID)
        before = (page.url, page.locator("article").inner_text())
        for key in string.ascii_letters + string.digits + string.punctuation:
            page.keyboard.press(key)
        assert (page.url, page.locator("article").inner_text()) == before
        expect(USES[tool](page)).to_be_visible()
        problem = page.locator("[data-fd-problem]")
        if problem.count():
            expect(problem).to_contain_text("keeps no data")
        # The theme's own scripts throw there, and end; ours do not.
        assert [error for error in errors if "/practice/" in error or "firedrill.js" in error] == []
