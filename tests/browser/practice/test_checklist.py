"""The self-assessment: mark each answer, see what is weak."""

from playwright.sync_api import Page, expect

from tests.browser.driver import Chromium
from tests.browser.site import Site

ALL = 21


def test_an_answer_is_kept_and_counted(site: Site, page: Page) -> None:
    """By keyboard alone: the arrow keys choose, and the answer is there after a reload."""
    page.goto(f"{site.url}checklist/")
    page.locator("#a-01").get_by_role("radio", name="Not yet").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    summary = page.locator("[data-fd-summary]")
    expect(summary).to_have_text(f"1 of {ALL} answered, 0 confident.")
    page.reload()
    expect(page.locator("#a-01 :checked")).to_have_value("2")
    page.get_by_text("Totals by part and level").click()
    first = page.locator("[data-fd-total]").first
    expect(first.locator("[data-fd-count]")).to_have_text("1 of 5")
    assert first.locator("meter").evaluate("m => [m.value, m.max]") == [1, 5]


def test_the_weak_ones_can_be_shown_alone(site: Site, page: Page) -> None:
    """What was marked as known leaves; what is being answered stays where it is."""
    page.goto(f"{site.url}checklist/")
    page.locator("#a-01").get_by_role("radio", name="Confident").check()
    page.locator("#a-02").get_by_role("radio", name="Shaky").check()
    page.get_by_label("Only the weak ones").check()
    shown = page.locator("fieldset:visible")
    expect(shown).to_have_count(ALL - 1)
    expect(shown.last).to_have_id("a-02")  # what was never answered is weaker than shaky
    page.locator("#a-03").get_by_role("radio", name="Confident").check()
    expect(page.locator("#a-03")).to_be_visible()
    page.get_by_label("Only the weak ones").uncheck()
    expect(shown).to_have_count(ALL)
    expect(shown.nth(1)).to_have_id("a-02")


def test_ready_is_said_when_every_answer_is_confident_and_not_before(
    site: Site, page: Page
) -> None:
    page.goto(f"{site.url}checklist/")
    ready = page.locator("#fd-ready")
    for number in range(1, ALL + 1):
        expect(ready).to_be_hidden()
        page.locator(f"#a-{number:02}").get_by_role("radio", name="Confident").check()
    expect(ready).to_be_visible()
    expect(ready).to_contain_text("you are ready")


def test_an_old_answer_asks_to_be_asked_again(site: Site, page: Page) -> None:
    """After thirty days, by the reader's clock."""
    page.clock.install(time="2026-11-01T12:00:00Z")
    page.goto(f"{site.url}checklist/")
    page.locator("#a-01").get_by_role("radio", name="Confident").check()
    when = page.locator("#a-01 [data-fd-when]")
    expect(when).to_have_text("")
    page.clock.set_fixed_time("2026-12-02T12:00:00Z")
    page.reload()
    expect(when).to_contain_text("2026-11-01, ask yourself again")


def test_without_scripts_it_is_a_list_to_tick_in_print(site: Site, browser: Chromium) -> None:
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}checklist/")
        expect(page.locator("fieldset:visible")).to_have_count(ALL)
        expect(page.get_by_role("button", name="Export")).to_be_hidden()
        expect(page.get_by_label("Only the weak ones")).to_be_hidden()
