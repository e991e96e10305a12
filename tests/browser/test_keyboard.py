"""The whole way by keyboard, and no trap in a single letter."""

from playwright.sync_api import Page

from tests.browser.driver import Chromium
from tests.browser.site import Site

FOCUS = """() => {
  const active = document.activeElement;
  // The switch for the palette and tabs are drawn by the labels beside their fields.
  const drawn = active.matches(".md-option")
    ? active.nextElementSibling
    : active.matches(".tabbed-set > input") && active.parentElement.querySelector(".tabbed-labels");
  const element = drawn || active;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    name: element.tagName + "." + element.className + " " + element.textContent.trim().slice(0, 40),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
  };
}"""
SEARCH_IS_OPEN = "document.querySelector('#__search').checked"
# The theme looks where the focus is one millisecond after it moved: whoever comes back sooner has
# never left. A later timer runs after its own.
HEARD = "new Promise((resume) => setTimeout(resume, 10))"


def scenario(site: Site) -> str:
    """Address of a scenario, the longest kind of page."""
    return site.url + site.scenario_pages()[0]


def test_the_first_stop_skips_the_navigation(site: Site, page: Page) -> None:
    """Tab, Enter: the reader is at the text."""
    page.goto(scenario(site))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('.md-skip')")
    assert page.evaluate(FOCUS)["seen"]
    target = page.evaluate("document.activeElement.hash")
    page.keyboard.press("Enter")
    page.wait_for_function("hash => location.hash === hash", arg=target)
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('article')")


def test_every_stop_is_outlined(site: Site, page: Page) -> None:
    """The focus is seen wherever Tab leads in the first hundred stops."""
    page.goto(scenario(site))
    invisible = []
    stops = set()
    for _ in range(100):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS)
        stops.add(found["name"])
        if not (found["outlined"] and found["seen"]):
            invisible.append(found["name"])
    assert len(stops) > 30
    assert invisible == []


def test_search_works_by_keyboard(site: Site, browser: Chromium) -> None:
    """Tab to the box, type, arrow down, Enter: the page is there. Escape closes it."""
    with browser.context() as context:
        page = context.new_page()
        page.goto(site.url)
        for _ in range(15):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.name") == "query":
                break
        page.keyboard.type("accessibility")
        page.locator(".md-search-result__item a").first.wait_for()
        page.keyboard.press("Escape")
        assert not page.evaluate(SEARCH_IS_OPEN)
        page.evaluate(HEARD)
        page.get_by_role("textbox", name="Search").focus()
        page.locator(".md-search-result__item a").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/about/accessibility/**")


def test_a_single_letter_does_nothing_until_it_is_turned_on(site: Site, page: Page) -> None:
    """WCAG 2.1.4: someone who dictates must not be thrown about."""
    page.goto(scenario(site))
    for key in ["/", "s", "f", "n", "p", ".", ","]:
        page.keyboard.press(key)
        assert not page.evaluate(SEARCH_IS_OPEN), key
        assert page.url == scenario(site), key


def test_the_reader_can_turn_letters_on_and_off(site: Site, page: Page) -> None:
    """The option on the accessibility page holds on the next page."""
    page.goto(f"{site.url}about/accessibility/")
    option = page.get_by_role("checkbox", name="Single-key shortcuts")
    option.check()
    page.goto(scenario(site))
    page.keyboard.press("/")
    page.wait_for_function(SEARCH_IS_OPEN)
    page.goto(f"{site.url}about/accessibility/")
    option.uncheck()
    page.goto(scenario(site))
    page.keyboard.press("/")
    assert not page.evaluate(SEARCH_IS_OPEN)


def test_a_wide_table_is_reached_and_named(site: Site, page: Page) -> None:
    """On a phone the table scrolls in its own box: a keyboard must get there."""
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(scenario(site))
    page.wait_for_function(
        """() => [...document.querySelectorAll(".md-typeset__scrollwrap")].every((box) =>
          !box.checkVisibility() || box.scrollWidth <= box.clientWidth + 1 ||
          (box.tabIndex === 0 && box.getAttribute("role") === "region" && box.ariaLabel))"""
    )
    assert page.locator(".md-typeset__scrollwrap[tabindex]").count() > 0


def test_code_of_eighty_columns_needs_no_scrolling_at_the_desk(site: Site, page: Page) -> None:
    """At 1280 px no listing of a scenario scrolls sideways."""
    for path in site.scenario_pages():
        page.goto(site.url + path)
        wide = page.evaluate(
            """() => {
              for (const fold of document.querySelectorAll("details")) fold.open = true;
              return [...document.querySelectorAll("article .language-python code")]
                .filter((code) => code.scrollWidth > code.clientWidth)
                .map((code) => code.textContent.slice(0, 60));
            }"""
        )
        assert wide == [], path
