"""axe-core, both palettes, desk and phone, and what axe cannot see."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, ViewportSize

from tests.browser.driver import DESK, NARROW, PALETTES, Chromium, Palette, choose
from tests.browser.site import Site

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
LEVEL_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
AUDITS = 4
"""How often axe runs on a page."""
SHARES = 4
CONTRAST = "color-contrast"
RULES: dict[str, Any] = {"runOnly": {"type": "tag", "values": LEVEL_AA}}
RUN = """([place, options]) => axe.run(place ?? document, {
  ...options, resultTypes: ["violations", "incomplete"], elementRef: false,
}).then((result) => ({
  passes: result.passes.map((rule) => rule.id),
  errors: result.incomplete.flatMap((rule) => rule.nodes.flatMap((node) => node.none)
    .filter((check) => check.id === "error-occurred").map((check) => rule.id)),
  violations: result.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.target}: ${[...node.any, ...node.all, ...node.none][0].message}`)),
}))"""


# A listing has thousands of tokens in a dozen colours: one of each kind in each kind of listing
# shows what axe has to see, and the rest become plain text. Fold-outs are opened.
PREPARE = """() => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const seen = new Set();
  for (const token of document.querySelectorAll("article .highlight code span:not(:has(*))")) {
    const kind = token.closest(".highlight").className + " " + token.className;
    if (seen.has(kind)) token.replaceWith(token.textContent);
    seen.add(kind);
  }
}"""

# Contrast takes nine tenths of the time, and elements alike in name, classes and style, with
# parents alike, have one colour: two of each kind stay to be looked at, on whatever page they are.
THIN = """(before) => {
  const kinds = new Map([[document.body, "body"]]);
  const counts = new Map(before);
  const away = new WeakSet();
  for (const element of document.body.querySelectorAll("*:not(svg *)")) {
    const own = [...element.attributes]
      .filter((one) => !/^(id|href|for|name|title|value|src|alt|data-.*|aria-l.*)$/.test(one.name))
      .map((one) => `${one.name}=${one.value}`).sort().join(" ");
    const kind = `${kinds.get(element.parentElement)} > ${element.localName} ${own}`;
    kinds.set(element, kind);
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const within = away.has(element.parentElement);
    if (count > 2 && !element.matches("label[for^=__palette]")) {
      away.add(element);
      element.style.visibility = "hidden";
    } else if (within) {
      element.style.visibility = "visible";
    }
  }
  return [...counts];
}"""


def barriers(page: Page, place: str | None = None) -> list[str]:
    """What axe finds, contrast and all, on the loaded page or in one place of it."""
    result = page.evaluate(RUN, [place, RULES])
    assert len(result["passes"]) > 5, "an empty page?"
    assert result["errors"] == []
    found: list[str] = result["violations"]
    return found


def audits(
    page: Page,
    sizes: Sequence[ViewportSize] = (NARROW, DESK),
    place: str | None = None,
    seen: dict[str, int] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Audit the loaded page: every rule at each width, contrast in both palettes.

    Args:
        page: what is audited.
        sizes: each width it is audited at.
        place: the part to audit; all of it when not given.
        seen: how many elements of each kind have been looked at for contrast; it is kept here.
    """
    seen = {} if seen is None else seen
    page.evaluate(PREPARE)
    rules = RULES | {"rules": {CONTRAST: {"enabled": False}}}
    for size in sizes:
        page.set_viewport_size(size)
        yield f"{size['width']} px", page.evaluate(RUN, [place, rules])
    seen.update(page.evaluate(THIN, list(seen.items())))
    for palette in PALETTES:  # a colour knows no width; and axe fails on pages of 38,000 px
        choose(page, palette)
        yield palette, page.evaluate(RUN, [place, {"runOnly": [CONTRAST]}])


@pytest.mark.parametrize("share", range(SHARES))
def test_axe_finds_no_barrier(
    site: Site, browser: Chromium, share: int, record_property: Callable[[str, object], None]
) -> None:
    """WCAG 2.2 A and AA, fold-outs opened: zero violations."""
    pages = site.templates[share::SHARES]
    found: list[str] = []
    runs = 0
    looked = False
    seen: dict[str, int] = {}
    with browser.context(bypass_csp=True) as context:
        context.add_init_script(AXE)
        page = context.new_page()
        for path in pages:
            page.goto(site.url + path)
            for where, result in audits(page, seen=seen):
                runs += 1
                looked |= result["passes"] == [CONTRAST]
                assert where in PALETTES or len(result["passes"]) > 5, "axe saw an empty page"
                found += [f"/{path} at {where}: {violation}" for violation in result["violations"]]
    record_property("axe-pages", len(pages))
    record_property("axe-runs", runs)
    assert runs == len(pages) * AUDITS > 0
    assert looked, "no page has text"
    assert found == []


@pytest.mark.parametrize(
    ("palette", "colour"), [("default", "#bbb"), ("slate", "#444")], ids=PALETTES
)
def test_axe_sees_a_poor_colour_in_either_palette(
    site: Site, page: Page, palette: Palette, colour: str
) -> None:
    """What stays after thinning is what has to be looked at: one rule too pale is found."""
    page.context.add_init_script(AXE)
    page.goto(site.url + "about/glossary/")
    rule = f"[data-md-color-scheme={palette}] article dd {{ color: {colour}; }}"
    page.add_style_tag(content=rule)
    found = [where for where, result in audits(page) if result["violations"]]
    assert found == [palette]


def test_forced_colours_keep_controls_and_verdicts(site: Site, browser: Chromium) -> None:
    """Where the reader's system sets every colour, borders and icons are still seen."""
    with browser.context(forced_colors="active") as context:
        page = context.new_page()
        page.goto(site.url + site.scenario_pages()[0])
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        for selector, pseudo, colour in [
            (".md-code__button", "::after", "backgroundColor"),
            (".fd-naive", None, "borderLeftColor"),
            (".md-search__form", None, "borderTopColor"),
        ]:
            page.locator(selector).first.scroll_into_view_if_needed()
            seen = page.evaluate(
                "([s, p, c]) => getComputedStyle(document.querySelector(s), p)[c]",
                [selector, pseudo, colour],
            )
            assert seen not in (background, "rgba(0, 0, 0, 0)"), selector


def test_reduced_motion_stills_the_page(site: Site, browser: Chromium) -> None:
    """No transition lasts where the reader asked for none."""
    longest = """() => Math.max(...[...document.querySelectorAll("*")].flatMap((element) =>
      getComputedStyle(element).transitionDuration.split(",").map(parseFloat)))"""
    with browser.context(reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(site.url)
        assert page.evaluate(longest) <= 0.001
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
