"""The site's own switch decides the colours, whatever the system prefers."""

from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.browser.driver import Chromium, Palette, choose
from tests.browser.site import Site

COLOURS = """() => [...document.querySelectorAll(
  "body, article, article *:not(.highlight *), article .highlight:first-of-type *"
)].map((element) => {
  const style = getComputedStyle(element);
  const { color, backgroundColor, borderTopColor, fill, stroke } = style;
  return [element.tagName, color, backgroundColor, borderTopColor, fill, stroke].join(" ");
})"""


def colours(page: Page, system: Literal["light", "dark"], palette: Palette) -> list[str]:
    """The colours of everything on the loaded page, diagrams and charts included."""
    page.emulate_media(color_scheme=system)
    choose(page, palette)
    found: list[str] = page.evaluate(COLOURS)
    return found


def test_every_scenario_draws_its_diagrams_and_charts_in_both_palettes(
    site: Site, page: Page
) -> None:
    """System light and site dark, and the reverse, look as when both agree."""
    for path in site.scenario_pages():
        assert "<svg" in site.html(path), path
        page.goto(site.url + path)
        light = colours(page, "light", "default")
        assert colours(page, "dark", "default") == light, path
        dark = colours(page, "dark", "slate")
        assert colours(page, "light", "slate") == dark, path
        assert light != dark


@pytest.mark.parametrize(("system", "expected"), [("light", "default"), ("dark", "slate")])
def test_a_first_visit_follows_the_system(
    site: Site, browser: Chromium, system: Literal["light", "dark"], expected: Palette
) -> None:
    """Until the reader uses the switch, the system's preference counts."""
    with browser.context(color_scheme=system) as context:
        page = context.new_page()
        page.goto(site.url)
        page.wait_for_function(
            "palette => document.body.dataset.mdColorScheme === palette", arg=expected
        )


def test_the_choice_is_kept_and_is_all_that_is_kept(site: Site, browser: Chromium) -> None:
    """The privacy page names it; no cookie, nothing else."""
    with browser.context(color_scheme="light") as context:
        page = context.new_page()
        page.goto(site.url)
        choose(page, "slate")
        page.goto(site.url + site.scenario_pages()[0])
        assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        kept = page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage))")
        assert [key.rsplit(".", 1)[-1] for key in kept] == ["__palette"]
        assert context.cookies() == []
