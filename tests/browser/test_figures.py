"""Diagrams and charts as drawn: labels lie inside their shapes and are large enough to read."""

from playwright.sync_api import Page, ViewportSize

from tests.browser.driver import DESK, PALETTES, Palette, choose
from tests.browser.site import Site

PHONE: ViewportSize = {"width": 360, "height": 800}
FONTS = ["DejaVu Sans", "Liberation Sans", "sans-serif"]
SMALLEST_PX = 12

# A label belongs to the shape of its own group; slack of 1 px for rounding.
OUTSIDE = """(font) => {
  for (const text of document.querySelectorAll(".fd-figure text")) text.style.fontFamily = font;
  const found = [];
  const within = (inner, outer) => inner.x >= outer.x - 1 && inner.y >= outer.y - 1
    && inner.x + inner.width <= outer.x + outer.width + 1
    && inner.y + inner.height <= outer.y + outer.height + 1;
  for (const svg of document.querySelectorAll(".fd-figure svg")) {
    const name = svg.querySelector("title").textContent;
    const [x, y, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const canvas = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll("text")) {
      if (!text.textContent.trim()) continue;
      if (!within(text.getBoundingClientRect(), canvas))
        found.push(`${name}: "${text.textContent}" leaves the picture`);
      const shape = text.parentElement.querySelector(":scope > g.shape > :is(rect, path, ellipse)");
      if (shape && !within(text.getBBox(), shape.getBBox()))
        found.push(`${name}: "${text.textContent}" leaves its box`);
    }
  }
  return found;
}"""

# Two labels of one picture that overlap, and labels of connections that a box covers.
COLLIDING = """(font) => {
  for (const text of document.querySelectorAll(".fd-figure text")) text.style.fontFamily = font;
  const found = [];
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
  for (const svg of document.querySelectorAll(".fd-figure svg")) {
    const name = svg.querySelector("title").textContent;
    const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim());
    const places = texts.map((t) => t.getBoundingClientRect());
    for (let i = 0; i < texts.length; i++)
      for (let j = i + 1; j < texts.length; j++)
        if (meet(places[i], places[j]))
          found.push(`${name}: "${texts[i].textContent}" meets "${texts[j].textContent}"`);
    for (let i = 0; i < texts.length; i++) {
      const group = texts[i].closest("g:has(> path.connection)");
      if (!group) continue;
      for (const box of svg.querySelectorAll("g.shape"))
        if (meet(places[i], box.getBoundingClientRect())
            && !box.parentElement.querySelector(":scope g.shape ~ g g.shape"))
          found.push(`${name}: a box covers "${texts[i].textContent}"`);
    }
  }
  return found;
}"""

READABLE = """() => [...document.querySelectorAll(".fd-figure")].map((figure) => {
  const svg = figure.querySelector("svg");
  const scroll = figure.querySelector(".fd-scroll");
  const units = Number(svg.getAttribute("viewBox").split(" ")[2]);
  const scale = svg.getBoundingClientRect().width / units;
  const sizes = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim())
    .map((t) => parseFloat(getComputedStyle(t).fontSize) * scale);
  return {name: svg.querySelector("title").textContent, smallest: Math.min(...sizes),
    chart: figure.classList.contains("fd-figure--chart"),
    scrolls: scroll.scrollWidth > scroll.clientWidth, focusable: scroll.tabIndex === 0};
})"""

OWN_FONTS = """() => {
  for (const text of document.querySelectorAll(".fd-figure text")) text.style.fontFamily = "";
}"""

COLOURS = """() => {
  const behind = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll(".fd-figure text")]
    .filter((text) => text.textContent.trim())
    .map((text) => [getComputedStyle(text).fill, behind]);
}"""


def figures(site: Site) -> list[str]:
    """The pages that have a figure."""
    found = [path for path in site.pages if 'class="fd-figure' in site.html(path)]
    assert found
    return found


def overlaps(page: Page) -> list[str]:
    """What leaves its shape or meets another, with the widest fonts that readers have."""
    return [
        f"{one} in {font}"
        for font in FONTS
        for script in (OUTSIDE, COLLIDING)
        for one in page.evaluate(script, font)
    ]


def unreadable(page: Page) -> list[str]:
    """Figures with labels below 12 px; too wide for that, a diagram scrolls, also by keyboard."""
    return [
        one["name"]
        for one in page.evaluate(READABLE)
        if one["smallest"] < SMALLEST_PX - 0.05
        or (one["scrolls"] and not one["focusable"])
        # Half of a chart says nothing: its evidence script draws it narrower.
        or (one["scrolls"] and one["chart"])
    ]


def invisible(page: Page) -> list[Palette]:
    """Palettes in which a label has the colour of what is behind it; axe cannot see into one."""
    found: list[Palette] = []
    for palette in PALETTES:
        choose(page, palette)
        colours = page.evaluate(COLOURS)
        assert colours
        if any(text == behind for text, behind in colours):
            found.append(palette)
    return found


def test_every_label_is_in_its_place_large_and_seen(site: Site, page: Page) -> None:
    """On a phone and at the desk, in both palettes, on every page that has a figure."""
    found: list[str] = []
    for path in figures(site):
        page.goto(site.url + path)
        page.evaluate("document.fonts.ready")
        for size in (PHONE, DESK):
            page.set_viewport_size(size)
            where = f"/{path} at {size['width']} px"
            found += [f"{where}: too small, or cut: {name}" for name in unreadable(page)]
            found += [f"{where}: {one}" for one in overlaps(page)]
            page.evaluate(OWN_FONTS)
        found += [f"/{path}: not seen in {palette}" for palette in invisible(page)]
    assert "\n".join(found) == ""
