"""The finder and the question index: the same facets, in the form, the address and the pages."""

from playwright.sync_api import Page, expect

from tests.browser.driver import NARROW, PALETTES, Chromium, choose, overflow
from tests.browser.site import Site
from tests.browser.test_accessibility import AXE, barriers

ALL = 21
# What each box says is counted again here, from the attributes alone.
COUNTS = """() => {
  const form = document.getElementById("fd-finder");
  const items = [...document.querySelectorAll("[data-fd-item]")];
  const boxes = [...form.querySelectorAll("[type=checkbox]")];
  const wrong = [];
  for (const box of boxes) {
    let count = 0;
    for (const item of items) {
      const has = (one) => ` ${item.dataset[one.name]} `.includes(` ${one.value} `);
      const others = {};
      for (const one of boxes) {
        if (one.checked && one.name !== box.name) (others[one.name] ??= []).push(one);
      }
      if (has(box) && Object.values(others).every((some) => some.some(has))) count += 1;
    }
    const said = box.parentElement.textContent.trim().match(/\\((\\d+)\\)$/)[1];
    if (Number(said) !== count) wrong.push(`${box.name}=${box.value}: ${said}, not ${count}`);
  }
  return wrong;
}"""


def test_or_inside_and_between_by_keyboard(site: Site, page: Page) -> None:
    """Space chooses; the counts, the address and what is said follow; Back brings all of it."""
    page.goto(f"{site.url}finder/")
    form = page.locator("#fd-finder")
    status = form.locator("> [role=status]").last
    shown = page.locator("[data-fd-item]:visible")
    expect(status).to_have_text(f"{ALL} of {ALL} scenarios")
    assert page.evaluate(COUNTS) == []
    form.get_by_role("checkbox", name="Object store").focus()
    page.keyboard.press("Space")
    one = shown.count()
    form.get_by_role("checkbox", name="Message broker").focus()
    page.keyboard.press("Space")
    assert shown.count() > one
    assert page.evaluate(COUNTS) == []
    both = shown.count()
    form.get_by_role("checkbox", name="Should Know").focus()
    page.keyboard.press("Space")
    assert 0 < shown.count() < both
    assert page.evaluate(COUNTS) == []
    expect(status).to_have_text(f"{shown.count()} of {ALL} scenarios")
    assert page.url == (
        f"{site.url}finder/?level=should-know&technology=message-broker&technology=object-store"
    )
    address, kept = page.url, shown.all_inner_texts()

    page.goto(f"{site.url}levels/")
    page.go_back()
    assert page.url == address
    expect(status).to_have_text(f"{len(kept)} of {ALL} scenarios")
    assert shown.all_inner_texts() == kept
    page.get_by_role("searchbox", name="Words").fill("ＥＸＰＯＲＴ job")  # noqa: RUF001 - folded to ASCII
    page.keyboard.press("Tab")
    expect(shown).to_have_count(1)
    assert "text=" in page.url
    page.get_by_role("searchbox", name="Words").fill("nothing has this")
    expect(status).to_have_text("No scenario fits all of this. Take a filter away.")
    page.get_by_role("button", name="Clear filters").press("Enter")
    expect(shown).to_have_count(ALL)
    assert page.url == f"{site.url}finder/"


def test_an_address_made_by_hand_says_what_it_lost_and_keeps_the_rest(
    site: Site, browser: Chromium
) -> None:
    """Unknown values are named; what is known holds; copied, the address leads to the same."""
    with browser.context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        asked = "?level=must-now&technology=redis&tech=x&h=redis&symptom=db-down#all-scenarios"
        page.goto(f"{site.url}finder/{asked}")
        problem = page.locator("#fd-finder .fd-problem")
        expect(problem).to_contain_text("level=must-now, tech=x, which is no filter here")
        expect(page.get_by_role("checkbox", name="Redis")).to_be_checked()
        expect(page.get_by_role("checkbox", name="The database is down")).to_be_visible()
        assert page.url.endswith(asked)  # nothing is lost before the reader changes something
        page.get_by_role("checkbox", name="Crisis Management", exact=False).first.check()
        expect(problem).to_be_hidden()
        assert page.url.endswith(
            "?h=redis&symptom=db-down&tech=x&technology=redis&topic=crisis-management#all-scenarios"
        )
        page.get_by_role("button", name="Copy link").click()
        expect(page.locator("#fd-finder > [role=status]").last).to_have_text("Link copied.")
        shown = page.locator("[data-fd-item]:visible").all_inner_texts()
        copied = page.evaluate("navigator.clipboard.readText()")
        page.goto(f"{site.url}levels/")
        page.goto(copied)
        assert page.locator("[data-fd-item]:visible").all_inner_texts() == shown
        page.goto(f"{site.url}finder/technology/redis/")
        listed = page.locator(".fd-found > li").all_inner_texts()
        page.get_by_role("link", name="this technology in the finder").click()
        expect(problem).to_be_hidden()
        assert page.locator("[data-fd-item]:visible").all_inner_texts() == listed


def test_questions_filter_by_their_scenarios_and_their_follow_ups(
    site: Site, browser: Chromium
) -> None:
    """A section leaves when all of it is hidden; a follow-up is one link away; axe is content."""
    with browser.context(viewport=NARROW, bypass_csp=True) as context:
        context.add_init_script(AXE)
        page = context.new_page()
        page.goto(f"{site.url}questions/")
        shown = page.locator("[data-fd-item]:visible")
        everything = shown.count()
        assert everything > ALL - 5
        page.get_by_text("Technology", exact=True).click()
        page.get_by_role("checkbox", name="Redis").check()
        assert 0 < shown.count() < everything
        assert page.evaluate(COUNTS) == []
        page.get_by_role("searchbox", name="Words").fill("whose CLOCK")
        expect(shown).to_have_count(1)
        expect(page.get_by_role("heading", name="From the original index")).to_be_hidden()
        assert overflow(page) == []
        for palette in PALETTES:
            choose(page, palette)
            assert barriers(page) == []
        shown.get_by_text("follow-ups").click()
        shown.get_by_role("link", name="Whose clock do you use?").click()
        expect(page.get_by_text("Redis's, by TIME inside the script")).to_be_visible()
        assert page.url.endswith("/questions/q-rate-limiting/#f-clock")


def test_without_scripts_everything_is_listed_and_every_value_has_its_page(
    site: Site, browser: Chromium
) -> None:
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}finder/")
        expect(page.locator("[data-fd-item]:visible")).to_have_count(ALL)
        expect(page.locator("#fd-finder")).to_be_hidden()
        page.locator("h3").get_by_role("link", name="Redis or Valkey").click()
        assert page.url == f"{site.url}finder/technology/redis/"
        expect(page.get_by_role("heading", level=1)).to_contain_text(
            "Scenarios with Redis or Valkey"
        )
