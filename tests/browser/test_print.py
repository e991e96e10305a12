"""A printed page holds the answers that fold-outs hide, and nothing of the frame."""

import io
import unicodedata

import pypdf
import pytest
from playwright.sync_api import Page

from tests.browser.driver import PALETTES, Chromium, choose
from tests.browser.site import Site
from tests.browser.test_palette import COLOURS

# One fold-out of each kind, and the shortest of it: reading sixty sheets back takes a minute.
FEWER = """() => {
  const kept = new Map();
  for (const fold of document.querySelectorAll("article details")) {
    const kind = `${fold.className} ${fold.querySelector(".highlight")?.className}`;
    const other = kept.get(kind);
    const shorter = !other || fold.textContent.length < other.textContent.length;
    if (shorter) kept.set(kind, fold);
    const gone = shorter ? other : fold;
    if (gone && ![...kept.values()].some((one) => gone.contains(one))) gone.remove();
  }
}"""
FOLDED = """() => [...document.querySelectorAll("article details")].map((fold) => {
  fold.open = true;
  return fold.innerText;
})"""


def letters(text: str) -> str:
    """Only letters and digits, ligatures undone: how a line is set is no difference."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))


def printed(page: Page) -> str:
    """The text of the page's PDF."""
    reader = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4")))
    return letters("".join(sheet.extract_text() for sheet in reader.pages))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_print_shows_what_is_folded(site: Site, browser: Chromium, scripts: bool) -> None:
    """Every word of every fold-out of a scenario is on paper."""
    path = site.scenario_pages()[0]
    with browser.context() as context:
        page = context.new_page()
        page.goto(site.url + path)
        page.evaluate(FEWER)
        folded: list[str] = page.evaluate(FOLDED)
    with browser.context(java_script_enabled=scripts) as context:
        page = context.new_page()
        page.goto(site.url + path)
        page.evaluate(FEWER)
        paper = printed(page)
    assert len(folded) > 2
    missing = [word for text in folded for word in text.split() if letters(word) not in paper]
    assert missing == []
    assert letters("How this site is tested") not in paper


def test_paper_is_light_whatever_the_switch_says(site: Site, page: Page) -> None:
    """Words, code and pictures in the colours of the light palette: paper has no dark side."""
    page.goto(site.url + site.scenario_pages()[0])
    seen = []
    for palette in PALETTES:
        choose(page, palette)
        page.emulate_media(media="print")
        seen.append(page.evaluate(COLOURS))
        page.emulate_media(media="screen")
    assert seen[0] == seen[1]
