"""What lands in the reader's clipboard is the tested file, byte for byte, less the markers."""

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.driver import Chromium
from tests.browser.site import ROOT, Site, listings

OPEN_ALL = """() => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
}"""


def copies(page: Page) -> list[str]:
    """Click every copy button of the page and read the clipboard after each."""
    page.evaluate(OPEN_ALL)
    taken: list[str] = []
    listed = page.locator("article .highlight:has(code)")
    for number in range(listed.count()):
        listing = listed.nth(number)
        tabs = listing.locator("xpath=ancestor::*[contains(@class, 'tabbed-block')]")
        for depth in range(tabs.count()):
            tabs.nth(depth).evaluate(
                """(block) => {
                  const set = block.closest(".tabbed-set");
                  const index = [...block.parentElement.children].indexOf(block);
                  set.querySelectorAll(":scope > input")[index].click();
                }"""
            )
        listing.scroll_into_view_if_needed()
        page.evaluate("navigator.clipboard.writeText('nothing was copied')")
        listing.get_by_title("Copy to clipboard").click()
        taken.append(page.evaluate("navigator.clipboard.readText()"))
    return taken


def snippet_files(scenario_page: str) -> list[Path]:
    """The snippets of the scenario whose page this is."""
    name = scenario_page.strip("/").split("/")[-1].replace("-", "_")
    return sorted((ROOT / "snippets" / name).glob("*.py"))


def test_copy_gives_the_tested_file_less_its_markers(site: Site, browser: Chromium) -> None:
    """For each snippet of each complete scenario: the whole file and every excerpt."""
    checked = 0
    for scenario in site.scenario_pages():
        files = snippet_files(scenario)
        assert files, scenario
        with browser.context(permissions=["clipboard-read", "clipboard-write"]) as context:
            page = context.new_page()
            page.goto(site.url + scenario)
            taken = copies(page)
        for path in files:
            for listing in listings(path):
                where = f"{scenario} {path.name} {listing.section or 'whole file'}"
                assert listing.text in taken, where
                checked += 1
    assert checked > 0


def test_the_download_is_the_file_that_copy_gives(site: Site) -> None:
    """`uv run <address>` runs what was tested."""
    for scenario in site.scenario_pages():
        for path in snippet_files(scenario):
            published = site.folder / "code" / path.relative_to(ROOT / "snippets")
            assert published.read_text("utf-8") == listings(path)[0].text
