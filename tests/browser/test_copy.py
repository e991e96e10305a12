"""What lands in the reader's clipboard is the tested file, byte for byte, less the markers."""

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.driver import Chromium
from tests.browser.site import ROOT, Site, listings

# The listing's tab is chosen and its button pressed. A call of its own for each: a browser lets a
# page write to the clipboard for some seconds after a reader has done something, and no longer.
# One fold-out at a time is open, as each copy lays out the page.
COPY = """async (listing) => {
  for (const fold of document.querySelectorAll("details")) fold.open = fold.contains(listing);
  for (let block = listing.closest(".tabbed-block"); block;
       block = block.parentElement.closest(".tabbed-block")) {
    const index = [...block.parentElement.children].indexOf(block);
    block.closest(".tabbed-set").querySelectorAll(":scope > input")[index].click();
  }
  const button = listing.querySelector("button[title='Copy to clipboard']");
  const box = button.getBoundingClientRect();
  if (!box.width || !box.height) throw new Error(`no button to press: ${listing.innerText}`);
  await navigator.clipboard.writeText("nothing was copied");
  button.click();
  return navigator.clipboard.readText();
}"""


def copies(page: Page) -> list[str]:
    """Press every copy button of the page and read the clipboard after each.

    The first is pressed as a reader does it, by the mouse: it must lie open to a click.
    """
    listed = page.locator("article .highlight:has(code)")
    page.evaluate("navigator.clipboard.writeText('nothing was copied')")
    page.get_by_title("Copy to clipboard").locator("visible=true").first.click()
    first = page.evaluate("navigator.clipboard.readText()")
    taken: list[str] = [one.evaluate(COPY) for one in listed.element_handles()]
    assert first in taken
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
