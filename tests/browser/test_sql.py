"""SQL in the page: every step, its plan, every limit, and nothing from elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page

from catalog.load import load
from catalog.model import Status
from catalog.sql import EXPLAIN, SIZE, UNPACKED, Sql, read_sql, scenarios, served
from lab.plans import pages, shape
from tests.browser.driver import DESK, NARROW, PALETTES, Chromium, choose, overflow
from tests.browser.site import ROOT, Site, serve
from tests.browser.test_accessibility import AXE, barriers
from tests.browser.test_run import SPOIL, START_MS, STOP, Card, policy

SCENARIO = "large-datasets"
PAGE = f"scenarios/{SCENARIO}/"
WRITTEN = {one.id for one in load(ROOT)[0].scenarios if one.status is Status.COMPLETE}
EVERY = [one for one in scenarios(ROOT) if one in WRITTEN]
OURS = "assets/run/"
KEPT = (
    "() => caches.open('firedrill-postgres').then(store => store.keys()).then(kept => kept.length)"
)
FOREVER = "WITH RECURSIVE forever AS (SELECT 1 UNION ALL SELECT 1 FROM forever)\nTABLE forever;\n"


def sql_of(scenario: str) -> Sql:
    found = read_sql(ROOT, scenario.replace("-", "_"))
    assert found is not None
    return found


class Step(Card):
    """The buttons of one step, pressed as a reader does it."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.at = page.locator(f".fd-run[data-step='{name}']")
        self.at.locator(".fd-run__bar").wait_for()

    def rows(self) -> list[list[str]]:
        """The rows of the table, its head first."""
        return [
            row.locator("th, td").all_inner_texts() for row in self.at.locator("table tr").all()
        ]

    def plan(self) -> str:
        self.press("Explain")
        return self.at.locator(".fd-run__out pre").last.inner_text()

    def write(self, text: str) -> None:
        """Put another text into the editor."""
        if not self.at.get_by_role("textbox").count():
            self.press("Edit")
        self.at.get_by_role("textbox").focus()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)


@dataclass(frozen=True)
class Reader:
    """A reader on the page; it complains about nothing."""

    page: Page
    scenario: str
    url: str
    before: list[str]
    """What was loaded of ours before the first press."""
    asked: list[str]
    """Every address that was asked for."""

    def step(self, name: str) -> Step:
        return Step(self.page, name)

    @property
    def told(self) -> str:
        """What is said of the database as a whole."""
        whole = self.page.locator(".fd-run[data-fd-sql]:not([data-step])")
        return whole.get_by_role("status").inner_text()

    def reset(self) -> None:
        button = self.page.get_by_role("button", name="Reset the data")
        if button.is_visible():
            button.click()
            assert self.told == "The next run begins with the data as it was."


@pytest.fixture(scope="module")
def reader(site: Site, browser: Chromium, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """One page for all that a reader does on it, under the strict policy."""
    scenario: str = getattr(request, "param", SCENARIO)
    complaints: list[str] = []
    asked: list[str] = []
    with (
        serve(site.folder, policy(site)) as strict,
        browser.context(permissions=["clipboard-read", "clipboard-write"]) as context,
    ):
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{strict.url}scenarios/{scenario}/")
        page.wait_for_load_state("networkidle")
        before = [url.partition(OURS)[2] for url in asked if OURS in url]
        yield Reader(page, scenario, strict.url, before, asked)
    assert complaints == []


ON_ONE_PAGE = pytest.mark.parametrize("reader", [SCENARIO], indirect=True)


@pytest.mark.parametrize("reader", EVERY, indirect=True)
def test_every_step_runs_and_shows_the_plan_that_a_server_gave(reader: Reader) -> None:
    sql = sql_of(reader.scenario)
    if not any("postgres" in url for url in reader.asked):  # nothing was pressed yet
        assert f"{SIZE}, {UNPACKED} unpacked" in reader.told
    reader.reset()
    for step in sql.steps:
        at = reader.step(step.name)
        assert re.fullmatch(r"Finished: [A-Z]+ ?[A-Z\d]*\.", at.press("Run")), step
        if not step.explained:
            assert at.at.get_by_role("button", name="Explain", exact=True).count() == 0
            continue
        here, there = at.plan(), sql.plans[step.name]
        assert shape(here) == shape(there)
        assert pages(here) == pytest.approx(pages(there), rel=0.1)
        assert EXPLAIN in at.output()
        assert at.at.get_by_role("status").inner_text() == "Finished: the plan."
    major = sql.postgres.split(".")[0]
    assert re.match(rf"PostgreSQL {major}\.\d+ \(PGlite ", reader.told)
    assert [url for url in reader.asked if not url.startswith((reader.url, "data:"))] == []


@ON_ONE_PAGE
def test_every_way_to_a_page_of_rows_gives_the_same_rows(reader: Reader) -> None:
    reader.reset()
    read = []
    for step in sql_of(SCENARIO).steps:
        at = reader.step(step.name)
        at.press("Run")
        if step.explained:
            head, *rows = at.rows()
            assert head == ["id", "customer", "created_at"]
            read.append(rows)
    assert read == [read[0]] * len(sql_of(SCENARIO).plans)
    assert read[0][0] == ["10000", "customer 0", "2026-01-01 00:04:10+00"]


@ON_ONE_PAGE
def test_nothing_is_loaded_before_a_press_and_nothing_from_elsewhere(reader: Reader) -> None:
    own = {"run.css", "start.js", "run.js", "sql.js", "card.js", "engine.js"}
    assert set(reader.before) == own
    assert len(reader.before) == len(own)
    reader.step("1_offset").press("Run")
    loaded = {url.partition(OURS)[2] for url in reader.asked if OURS in url} - own
    assert {"postgres-worker.js", "postgres.js", "memory.js", "postgres.json"} < loaded
    assert f"sql/{SCENARIO}.json" in loaded
    assert [name for name in loaded if "pyodide" in name or name == "worker.js"] == []
    assert [url for url in reader.asked if not url.startswith((reader.url, "data:"))] == []


@ON_ONE_PAGE
def test_edit_and_err(reader: Reader) -> None:
    """PostgreSQL's own words, the place marked below and in the editor; Reset brings the text."""
    step = reader.step("5_keyset_indexed")
    step.write("SELECT id,\n  custommer\nFROM orders;\n")
    assert step.press("Run") == "ERROR 42703 on line 2."
    shown = step.output().splitlines()
    assert shown[0] == 'ERROR:  column "custommer" does not exist'
    assert shown[1].index("custommer") == shown[2].index("^")
    assert step.at.locator(".fd-run__wrong").inner_text().strip() == "custommer"
    assert step.press("Explain") == "ERROR 42703 on line 2."
    step.write("SELECT NULL AS nothing, 'NULL' AS text, 2.50 AS price;\nSELECT 1;\n")
    step.at.get_by_role("textbox").focus()
    reader.page.keyboard.press("Control+Enter")
    assert step.wait() == "Finished: SELECT 1, SELECT 1."
    assert step.rows()[:2] == [["nothing", "text", "price"], ["NULL", "NULL", "2.50"]]
    looks = [
        step.at.locator("td").nth(number).evaluate("cell => getComputedStyle(cell).fontStyle")
        for number in (0, 1)
    ]
    assert looks == ["italic", "normal"]
    assert step.press("Copy") == "Copied as edited."
    step.press("Reset")
    step.press("Copy")
    texts = {one.name: one.sql for one in sql_of(SCENARIO).steps}
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied == texts["5_keyset_indexed"]


@ON_ONE_PAGE
def test_stop_reset_and_the_limits(reader: Reader) -> None:
    """A statement without end, too many rows, two at once: the page lives and says why."""
    step, other = reader.step("3_index"), reader.step("4_offset_indexed")
    step.press("Run")
    other.write("SELECT i, repeat('wide', 500) FROM generate_series(1, 1000) AS i;\n")
    assert other.press("Run") == "Finished: SELECT 1000."
    assert other.at.locator("caption").inner_text() == "1,000 rows, the first 100 shown"
    assert len(other.rows()) == 101
    other.write(f"EXPLAIN {' UNION ALL '.join(['SELECT 1'] * 150)};\n")
    other.press("Run")
    assert other.output().endswith("more lines")
    other.write("TABLE lost;\n")
    assert other.press("Run").endswith('"Reset the data" brings back what was dropped.')
    other.press("Reset")
    reader.page.wait_for_function(KEPT)  # packed and stored while the reader reads
    step.write(FOREVER)
    step.at.get_by_role("button", name="Run", exact=True).click()
    step.at.get_by_text("Running…").wait_for(timeout=START_MS)
    assert other.press("Run") == "Not started."
    assert "Stop it first" in other.output()
    stopped = "Stopped. The next run begins with the data as it was."
    assert step.at.evaluate(STOP) == stopped
    step.press("Reset")
    assert "Sort" in other.plan(), "the index is gone"
    step.press("Run")
    assert "Sort" not in other.plan()
    reader.reset()
    assert "Sort" in other.plan(), "the index is gone again"
    (worker,) = [one for one in reader.page.workers if one.url.endswith("/postgres-worker.js")]
    assert worker.evaluate("self.fromKept") is True
    reader.page.evaluate(SPOIL, "firedrill-postgres")
    reader.reset()
    assert other.press("Run") == "Finished: SELECT 10."
    (worker,) = [one for one in reader.page.workers if one.url.endswith("/postgres-worker.js")]
    assert worker.evaluate("self.fromKept") is None, "it made another"


@ON_ONE_PAGE
def test_by_keyboard_alone(reader: Reader) -> None:
    """Tab reaches each button and leaves the editor; the focus returns to what was pressed."""
    step, page = reader.step("2_keyset"), reader.page
    focused = "document.activeElement.textContent"
    step.at.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Explain"
    page.keyboard.press("Enter")
    step.wait()
    assert page.evaluate(focused) == "Explain"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    step.at.get_by_role("textbox").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
    assert step.at.get_by_role("group", name="Run 2_keyset.sql").count() == 1
    assert step.at.get_by_role("region", name="Output of 2_keyset.sql").count() == 1
    step.press("Reset")


@ON_ONE_PAGE
def test_axe_finds_no_barrier_and_targets_are_large(reader: Reader) -> None:
    """Table, plan, error and editor, in both palettes; 44 px, and no sideways scroll at 320 px."""
    page = reader.page
    reader.step("1_offset").press("Run")
    reader.step("6_keyset_or").press("Explain")
    wrong = reader.step("7_keyset_bounded")
    wrong.write("SELEC 1;\n")
    wrong.press("Run")
    names = ("1_offset", "6_keyset_or", "7_keyset_bounded")
    places = ", ".join(f".fd-run[data-step='{name}']" for name in names)
    page.evaluate(AXE)
    for palette in PALETTES:
        choose(page, palette)
        assert barriers(page, places) == [], palette
    page.set_viewport_size(NARROW)
    assert barriers(page, places) == []
    assert overflow(page) == []
    for button in page.locator(".fd-run[data-fd-sql] button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44, button.inner_text()
    page.set_viewport_size(DESK)


def test_webassembly_forbidden_or_absent_and_a_blocked_file_are_told(
    site: Site, browser: Chromium
) -> None:
    """At once, in words, instead of a wait."""
    forbidding = policy(site).replace("'wasm-unsafe-eval' ", "")
    with serve(site.folder, forbidding) as guarded, browser.context() as context:
        page = context.new_page()
        page.goto(guarded.url + PAGE)
        step = Step(page, "1_offset")
        assert step.press("Run") == "PostgreSQL did not start."
        assert "does not let pages run WebAssembly" in step.output()
    with browser.context() as context:
        page = context.new_page()
        page.goto(site.url + PAGE)
        step = Step(page, "1_offset")
        context.route("**/large-datasets.json", lambda route: route.abort())
        assert step.press("Run").startswith("That did not work: ")
        context.unroute_all()
        names = ("postgres-worker.js", "postgres.json", "index.js", "pglite.wasm.gz")
        for name in (*names, "pglite.data.gz"):
            context.route(f"**/{name}", lambda route: route.abort())
            assert step.press("Run") == "PostgreSQL did not start.", name
            assert name in step.output()
            assert "psql on your machine" in step.output()
            context.unroute_all()
        page.evaluate("delete self.WebAssembly")
        assert step.press("Run") == "PostgreSQL did not start."
        assert "no WebAssembly" in step.output()


def test_without_a_script_the_sql_and_its_plans_are_read(site: Site, browser: Chromium) -> None:
    offering = [path for path in site.scenario_pages() if "data-fd-sql=" in site.html(path)]
    assert sorted(offering) == sorted(f"scenarios/{one}/" for one in EVERY)
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        for scenario in EVERY:
            sql = sql_of(scenario)
            page.goto(f"{site.url}scenarios/{scenario}/")
            assert page.locator(".fd-run[data-fd-sql]:visible").count() == 0
            listed = [one.strip() for one in page.locator(".highlight code").all_text_contents()]
            for step in sql.steps:
                assert step.sql.strip() in listed
            for plan in sql.plans.values():
                assert plan in listed
            assert (site.folder / served(scenario)).read_bytes() == sql.json()
