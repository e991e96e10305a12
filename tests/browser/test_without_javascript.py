"""Everything to read is in the HTML: a page without scripts is complete."""

from tests.browser.driver import NARROW, Chromium, overflow
from tests.browser.site import Site

SECTIONS = [
    "Problem",
    "In one minute",
    "Solution approach",
    "Code",
    "When it fails",
    "Measured",
    "Trade-offs",
    "Best practices",
    "At scale",
    "In production",
    "What the popular answer gets wrong",
    "Check yourself",
    "Interview questions",
    "Related",
    "Sources",
]


def test_a_scenario_is_complete(site: Site, browser: Chromium) -> None:
    """All sections in order, fold-outs that open, no sideways scroll at 320 px."""
    with browser.context(java_script_enabled=False, viewport=NARROW) as context:
        page = context.new_page()
        for path in site.scenario_pages():
            page.goto(site.url + path)
            headings = page.locator("article h2").all_inner_texts()
            shown = [heading.removesuffix("¶").strip() for heading in headings]
            assert [heading for heading in shown if heading in SECTIONS] == SECTIONS
            assert overflow(page) == []
            fold = page.locator("article details").first
            assert not fold.locator("code, p").first.is_visible()
            fold.locator("summary").first.click()
            assert fold.locator("code, p").first.is_visible()


def test_links_work(site: Site, browser: Chromium) -> None:
    """From the home page to a scenario and on to the next page."""
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.url)
        target = site.scenario_pages()[0]
        page.locator(f"article a[href$='{target}']").first.click()
        assert page.url == site.url + target
        page.locator(".md-footer__link--next").click()
        assert page.url != site.url + target
        assert page.locator("h1").count() == 1


def test_controls_that_need_a_script_are_not_shown(site: Site, browser: Chromium) -> None:
    """The shortcut option appears only where it works."""
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}about/accessibility/")
        assert page.locator("[data-fd-shortcuts]").count() == 1
        assert not page.locator("[data-fd-shortcuts]").is_visible()
