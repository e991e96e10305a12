"""Running in the page: what is loaded, and how long a press takes in Chromium.

These numbers are for whoever changes the runner. No page shows them: a browser's clock is coarse,
and a reader's machine is another. Files come from loopback, so no network is in any time. The
program is the demo of gcra.py, the statement the first step of large datasets.
"""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from catalog.run import kit
from catalog.slim import slim
from evidence.harness import ROOT, BadMeasurement, Run
from lab.browser import options
from tests.browser.conftest import build
from tests.browser.site import Site, serve

ROUNDS = 7
LIMITERS = "scenarios/rate-limiting/"
DATASETS = "scenarios/large-datasets/"
PYTHON = "[data-fd-run='gcra.py']"
SQL = "[data-fd-sql][data-step]"
PROGRAMS = (
    ("python", LIMITERS, PYTHON, "firedrill-python"),
    ("sql", DATASETS, SQL, "firedrill-postgres"),
)
"""What is pressed: its name here, its page, its card, and where a browser keeps it."""
OWN = ("docs/assets/run/*.js", "docs/offline.js")
USES = (
    *("catalog/run/glue.py", "catalog/run/kit.py", "catalog/run/package-lock.json"),
    "catalog/run/editor.js",
    "snippets/rate_limiting/gcra.py",
    "tests/scenarios/rate_limiting/test_gcra.py",
)
# From the press to the word, in ms of the page's own clock.
PRESS = """async ([card, name, word]) => {
  const place = document.querySelector(card);
  const all = () => [...place.querySelectorAll("button")];
  const button = () => all().find((one) => one.textContent === name);
  while (!button()) await new Promise((resume) => setTimeout(resume, 5));
  const told = place.querySelector("[role=status]");
  told.textContent = "";
  const began = performance.now();
  button().click();
  const late = "no word within a minute";
  while (!told.textContent.startsWith(word)) {
    if (performance.now() - began > 60_000) return `${late}: ${told.textContent}`;
    await new Promise((resume) => setTimeout(resume, 1));
  }
  return performance.now() - began;
}"""
KEPT = """async (name) => {
  const keys = async () => (await (await caches.open(name)).keys()).length;
  while (!await keys()) await new Promise((resume) => setTimeout(resume, 20));
}"""
FOREVER = "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r)\nTABLE r;\n"
Press = tuple[str, str]
"""The text of a button, and how what is told begins once it is done."""
RUN: Press = ("Run", "Finished")
TEST: Press = ("Run its tests", "Its tests pass")
STOP: Press = ("Stop", "Stopped")


def measure(run: Run) -> None:
    """Record everything; about three minutes."""
    own = sorted(file for pattern in OWN for file in ROOT.glob(pattern))
    run.uses(*USES, *(file.relative_to(ROOT).as_posix() for file in own))
    sizes(run, own)
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        copy = Path(name) / "firedrill"
        if refused := build(copy):
            raise BadMeasurement(f"the site cannot be built: {refused}")
        run.step("the site is built")
        found = options()
        launched = playwright.chromium.launch(
            executable_path=str(found["executable_path"]),
            chromium_sandbox=bool(found["chromium_sandbox"]),
        )
        with launched as browser:
            with serve(copy / "site", at_home=True) as site:
                first(run, browser, site)
                same_page(run, browser, site)
                later(run, browser, site, "")
            with serve(copy / "site") as site:  # not the address that its pages name
                later(run, browser, site, "-without-service-worker")


def sizes(run: Run, own: list[Path]) -> None:
    """What is sent, and what of it this project wrote."""
    assets = kit.assets(run.step)
    for what, described, folder in (
        ("python", "kit", "pyodide"),
        ("postgresql", "postgres", "pglite"),
    ):
        where = json.loads(assets[f"{kit.SERVED}/{described}.json"])[folder]
        sent = (packed(n, data) for n, data in assets.items() if f"/{where}" in n)
        run.value(f"{what}-sent", sum(sent), "bytes", note="scripts gzipped, the rest as served")
    editor = assets[f"{kit.SERVED}/editor.js"]
    run.value("editor-sent", len(gzip.compress(editor)), "bytes", note="gzipped")
    scripts = sum(len(gzip.compress(slim(file))) for file in own if file.name != "forget.js")
    run.value("own-scripts-sent", scripts, "bytes", note="each gzipped by itself; most on a page")


def packed(name: str, data: bytes) -> int:
    """Give how many bytes a host sends that compresses scripts alone."""
    return len(gzip.compress(data) if name.endswith((".js", ".mjs")) else data)


def first(run: Run, browser: Browser, site: Site) -> None:
    """The first press of a reader who was never here."""
    for what, path, card, _ in PROGRAMS:
        took = []
        for _ in range(ROUNDS):
            with browser.new_context(reduced_motion="reduce") as reader:
                page = reader.new_page()
                page.goto(site.url + path)
                page.wait_for_load_state("networkidle")
                took.append(press(page, card, RUN))
        run.median(f"{what}-first", took, "ms")


def same_page(run: Run, browser: Browser, site: Site) -> None:
    """Presses that follow on the same page, and Stop."""
    with browser.new_context(reduced_motion="reduce") as reader:
        page = reader.new_page()
        page.goto(site.url + LIMITERS)
        press(page, PYTHON, RUN)
        run.median("python-second", [press(page, PYTHON, RUN) for _ in range(ROUNDS)], "ms")
        press(page, PYTHON, TEST)
        run.median("python-tests-second", [press(page, PYTHON, TEST) for _ in range(ROUNDS)], "ms")
        run.median("python-stop", stops(page, PYTHON, "while True:\n    pass\n"), "ms")
        page.goto(site.url + DATASETS)
        press(page, SQL, RUN)
        run.median("sql-second", [press(page, SQL, RUN) for _ in range(ROUNDS)], "ms")
        run.median("sql-stop", stops(page, SQL, FOREVER), "ms")


def stops(page: Page, card: str, text: str) -> list[float]:
    """Stop a program that never ends."""
    place = page.locator(card).first
    place.get_by_role("button", name="Edit", exact=True).click()
    place.get_by_role("textbox").focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    took = []
    for _ in range(ROUNDS):
        press(page, card, ("Run", "Running"))
        page.wait_for_timeout(500)
        took.append(press(page, card, STOP))
    return took


def later(run: Run, browser: Browser, site: Site, where: str) -> None:
    """The first press after a reload, with what this browser kept."""
    for what, path, card, store in PROGRAMS:
        took = []
        with browser.new_context(reduced_motion="reduce") as reader:
            page = reader.new_page()
            for number in range(ROUNDS + 2):
                page.goto(site.url + path)
                page.wait_for_load_state("networkidle")
                took.append(press(page, card, RUN))
                if number == 0:
                    page.evaluate(KEPT, store)
        # The first was new; at the second the service worker may still be filling its store.
        run.median(f"{what}-reload{where}", took[2:], "ms")


def press(page: Page, card: str, wanted: Press) -> float:
    """Press a button, wait for the word, and give the milliseconds between."""
    page.locator(f"{card} .fd-run__bar").first.wait_for()
    took = page.evaluate(PRESS, [card, *wanted])
    if not isinstance(took, int | float):
        raise BadMeasurement(f"{wanted[0]} of {card}: {took}")
    return float(took)
