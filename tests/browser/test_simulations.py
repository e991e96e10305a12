"""Sliders in the page: what Python draws there is what it draws here, and nothing comes before."""

import importlib
import json
from collections.abc import Iterator
from types import ModuleType

import pytest
from playwright.sync_api import Page, Route

from catalog.run.sliders import declared, show
from tests.browser.driver import DESK, NARROW, PALETTES, Chromium, choose, overflow
from tests.browser.site import Site, serve
from tests.browser.test_accessibility import AXE, barriers
from tests.browser.test_run import OURS, START_MS, Card, policy

PAGE = "scenarios/rate-limiting/"
# Through the same parser: an element is written out in another way than it was written.
SAME = """([name, html]) => {
  const parsed = document.createElement("div");
  parsed.innerHTML = html;
  return document.querySelector(name).innerHTML === parsed.innerHTML;
}"""
QUIET = """() => !document.querySelector(".fd-sim[aria-busy]")
  && !document.querySelector(".fd-sim p[role=status]").textContent"""
TOLD = "text => document.querySelector('.fd-sim__values').textContent === text"
COLOURS = """() => [
  document.querySelector(".fd-sim svg text"), document.querySelector(".fd-sim svg rect"),
  document.body,
].map((one, at) => getComputedStyle(one)[at < 2 ? "fill" : "backgroundColor"])"""


def with_simulation(site: Site) -> dict[str, ModuleType]:
    """The pages that have a simulation, each with its module."""
    found = {}
    for page in site.scenario_pages():
        if 'class="fd-sim"' in site.html(page):
            folder = page.split("/")[1].replace("-", "_")
            found[page] = importlib.import_module(f"tests.scenarios.{folder}.simulation")
    assert found
    return found


class Sliders:
    """The simulation of a page, moved as a reader moves it."""

    def __init__(self, page: Page, module: ModuleType) -> None:
        self.page = page
        self.module = module
        self.values = {one.name: one.start for one in declared(module)}
        self.at = page.locator(".fd-sim")
        self.state = self.at.locator("p[role=status]")

    def open(self) -> None:
        """Press "Try it" by keyboard, and wait for the first picture."""
        self.at.get_by_role("button", name="Try it").focus()
        self.page.keyboard.press("Enter")
        self.at.get_by_role("slider").first.wait_for()
        self.page.wait_for_function(QUIET, timeout=START_MS)
        assert self.page.evaluate("document.activeElement.matches('.fd-sim input')")

    def press(self, label: str, key: str, **values: int) -> None:
        """Press a key on a slider, which then stands there."""
        self.at.get_by_role("slider", name=label, exact=True).press(key)
        self.values |= values

    def differs(self) -> list[str]:
        """Wait for the picture of these values; give what of it is not as Python draws it here."""
        shown = show(self.module, self.values)
        self.page.wait_for_function(TOLD, arg=f"{shown['values']}.")
        places = {"svg": ".fd-scroll", "table": "details > div"}
        found = [
            name
            for name, place in places.items()
            if not self.page.evaluate(SAME, [f".fd-sim {place}", shown[name]])
        ]
        if self.at.locator("figcaption").text_content() != shown["caption"]:
            found.append("caption")
        return found

    def said(self, text: str) -> None:
        self.state.get_by_text(text).wait_for()


def test_without_a_script_the_picture_and_its_table_are_there(
    site: Site, browser: Chromium
) -> None:
    with browser.context(java_script_enabled=False, viewport=NARROW) as context:
        page = context.new_page()
        for path, module in with_simulation(site).items():
            page.goto(site.url + path)
            at = page.locator(".fd-sim")
            shown = show(module)
            assert at.locator("svg[role=img]").is_visible()
            assert at.locator("figcaption").inner_text() == shown["caption"]
            assert at.locator(".fd-sim__values").inner_text() == f"{shown['values']}."
            assert at.locator("button, input").count() == 0
            at.locator("summary").click()
            assert at.locator("td").first.is_visible()
            assert overflow(page) == []


FAULTY = """\
    if limit == 190:
        raise ValueError("no such limit")
    while limit == 180:
        pass
    before, after = ("""


def broken(site: Site, route: Route) -> None:
    """Answer with a simulation that fails at a limit of 190 and does not end at 180."""
    data = json.loads(
        (site.folder / "assets/run/simulations/rate-limiting.json").read_text("utf-8")
    )
    whole = data["files"][data["path"]]
    data["files"][data["path"]] = whole.replace("    before, after = (", FAULTY)
    route.fulfill(json=data)


@pytest.fixture(scope="module")
def opened(site: Site, browser: Chromium) -> Iterator[Sliders]:
    """The sliders of one page under the strict policy; Python is started once for all tests."""
    asked: list[str] = []
    complaints: list[str] = []
    with serve(site.folder, policy(site)) as strict, browser.context() as context:
        context.on("request", lambda request: asked.append(request.url))
        context.route("**/simulations/*.json", lambda route: broken(site, route))
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(strict.url + PAGE)
        page.wait_for_load_state("networkidle")
        loaded = {url.partition(OURS)[2] for url in asked if OURS in url}
        assert loaded == {"run.css", "start.js", "run.js", "card.js", "engine.js"}, "no press yet"
        sliders = Sliders(page, with_simulation(site)[PAGE])
        sliders.open()
        assert any(url.endswith("pyodide.asm.wasm.gz") for url in asked)
        yield sliders
        assert [url for url in asked if not url.startswith((strict.url, "data:"))] == []
    assert complaints == []


def test_a_slider_moves_picture_table_and_caption(opened: Sliders) -> None:
    """By keyboard; the bytes are those that Python draws here, and the newest move wins."""
    assert opened.differs() == []
    opened.press("Limit", "End", limit=200)
    assert opened.differs() == []
    opened.press("Burst of bucket and GCRA", "Home", burst=1)
    assert opened.differs() == []
    for _ in range(4):
        opened.press("Each crowd", "ArrowRight")
    opened.press("Each crowd", "ArrowLeft", crowd=130)
    assert opened.differs() == []
    opened.at.get_by_role("button", name="Start values").click()
    opened.values = {one.name: one.start for one in declared(opened.module)}
    assert opened.differs() == []


def test_each_slider_of_each_page_moves_what_is_shown(site: Site, browser: Chromium) -> None:
    """To its far end; a later page starts Python from what the first one kept."""
    asked: list[str] = []
    complaints: list[str] = []
    with serve(site.folder, policy(site)) as strict, browser.context() as context:
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path, module in with_simulation(site).items():
            page.goto(strict.url + path)
            sliders = Sliders(page, module)
            sliders.open()
            assert sliders.differs() == [], path
            for one in declared(module):
                key, end = ("Home", one.low) if one.start == one.high else ("End", one.high)
                before = sliders.at.locator(".fd-sim__values").inner_text()
                sliders.press(one.label, key, **{one.name: end})
                assert sliders.differs() == [], (path, one.name)
                assert sliders.at.locator(".fd-sim__values").inner_text() != before
        assert [url for url in asked if not url.startswith((strict.url, "data:"))] == []
    assert complaints == []


def test_sliders_are_for_everybody(opened: Sliders) -> None:
    """Names, values, targets of 44 px; 320 px; both palettes; axe."""
    page, given = opened.page, declared(opened.module)
    for one in given:
        field = opened.at.get_by_role("slider", name=one.label, exact=True)
        names = ("min", "max", "step", "aria-valuetext")
        at = opened.values[one.name]
        told = [str(one.low), str(one.high), str(one.step), one.told(at).partition(": ")[2]]
        assert [field.get_attribute(name) for name in names] == told
    page.set_viewport_size(NARROW)
    opened.at.locator("summary").click()
    assert overflow(page) == []
    for target in opened.at.locator("input, button").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    page.set_viewport_size(DESK)
    page.evaluate(AXE)
    seen = set()
    for palette in PALETTES:
        choose(page, palette)
        assert barriers(page, ".fd-sim") == []
        text, bar, behind = page.evaluate(COLOURS)
        assert len({text, bar, behind}) == 3
        seen |= {text, bar}
    assert len(seen) == 4


def test_an_error_another_program_and_a_run_without_end_are_told(opened: Sliders) -> None:
    """The picture stays, and the next move draws again."""
    page = opened.page
    card = Card(page, "gcra.py")
    card.press("Edit")
    card.insert("import time\nend = time.time() + 2\nwhile time.time() < end: pass\n")
    card.at.get_by_role("button", name="Run", exact=True).click()
    opened.press("Limit", "End")
    opened.said("Another program of this page is running. Stop it first.")
    assert card.wait().startswith("Finished: ")
    opened.press("Limit", "ArrowLeft")
    opened.said("ValueError: no such limit The picture is the one before.")
    assert opened.differs() == [], "the picture stays"
    page.clock.install()
    opened.press("Limit", "ArrowLeft")
    page.clock.run_for(200)
    while "was stopped" not in opened.state.inner_text():
        page.clock.run_for(11_000)  # once Python runs, the next ends it
        page.wait_for_timeout(50)
    opened.said("That took more than 10 s and was stopped. The picture is the one before.")
    opened.press("Limit", "ArrowLeft", limit=170)
    page.clock.run_for(200)
    assert opened.differs() == []


def test_a_file_that_is_lost_and_a_folder_on_disk_are_told(site: Site, page: Page) -> None:
    """Before anything of Python: the picture stays."""
    page.route("**/simulations/*.json", lambda route: route.abort())
    page.goto(site.url + PAGE)
    page.locator(".fd-sim").get_by_role("button", name="Try it").click()
    page.locator(".fd-sim").get_by_text("could not be loaded").wait_for()
    assert page.locator(".fd-sim svg").is_visible()
    page.goto((site.folder / PAGE / "index.html").as_uri())
    assert "python -m http.server" in page.locator(".fd-sim").inner_text()
    assert page.locator(".fd-sim svg").is_visible()
