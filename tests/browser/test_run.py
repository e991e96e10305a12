"""Running a page's code in the page: every button, every limit, and nothing from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, ElementHandle, Locator, Page, Route

from catalog.snippets import Snippet, read_snippets
from tests.browser.driver import DESK, NARROW, Chromium, overflow
from tests.browser.site import ROOT, Site, serve

SNIPPETS = {snippet.path: snippet for snippet in read_snippets(ROOT)[0] if snippet.browser}
PAGE = "scenarios/rate-limiting/"
START_MS = 60_000
KEPT = "caches.open('firedrill-python').then(c => c.keys()).then(k => k.length)"
OURS = "assets/run/"
# Half of what the browser kept is lost.
SPOIL = """async (name) => {
  const store = await caches.open(name);
  const [key] = await store.keys();
  const packed = await (await store.match(key)).blob();
  await store.put(key, new Response(packed.slice(0, packed.size / 2)));
}"""
# Milliseconds from the press to the word, by the page's own clock; other last words are told.
TOOK = """async (card, [name, word]) => {
  const told = card.querySelector("[role=status]");
  const began = performance.now();
  [...card.querySelectorAll("button")].find((one) => one.textContent === name).click();
  const later = () => new Promise((resume) => setTimeout(resume, 1));
  await later();
  for (let idle = 0; !told.textContent.startsWith(word); await later()) {
    idle = card.querySelector("[aria-busy=true]") ? 0 : idle + 1;
    if (idle > 100) throw new Error(`${name}: ${told.textContent}`);
  }
  return performance.now() - began;
}"""
# What the status says once the press is over: before the page does anything else.
STOP = """async card => {
  [...card.querySelectorAll("button")].find((one) => one.textContent === "Stop").click();
  await new Promise((resume) => setTimeout(resume, 0));
  return card.querySelector("[role=status]").textContent;
}"""


class Card:
    """The buttons of one file, pressed as a reader does it."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.at: Locator = page.locator(f".fd-run[data-fd-run='{name}']")
        self.at.locator(".fd-run__bar").wait_for()

    def press(self, name: str) -> str:
        """Press a button, wait until nothing runs, and give what the status says."""
        self.at.get_by_role("button", name=name, exact=True).click()
        return self.wait()

    def wait(self) -> str:
        at: ElementHandle = self.at.element_handle()
        quiet = "at => !at.querySelector('[aria-busy=true]') && !at.innerText.includes('Loading')"
        self.page.wait_for_function(quiet, arg=at, timeout=START_MS)
        return self.at.get_by_role("status").inner_text()

    def took(self, name: str, word: str) -> float:
        """Press a button; milliseconds until the status begins with a word."""
        took: float = self.at.evaluate(TOOK, [name, word])
        return took

    def output(self) -> str:
        return self.at.get_by_role("region").inner_text()

    def insert(self, text: str) -> None:
        """Type at the start of the editor."""
        self.at.get_by_role("textbox").focus()
        self.page.keyboard.press("Control+Home")
        self.page.keyboard.insert_text(text)


def until(page: Page, condition: Callable[[], object]) -> None:
    """Wait until it holds, half a minute at most."""
    for _ in range(1_500):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("not within 30 s")


def runnable(site: Site, path: str) -> list[Snippet]:
    """The snippets that the page of a scenario offers to run."""
    found = re.findall(r'class="fd-run"[^>]*data-path="([^"]+)"', site.html(path))
    return [SNIPPETS[one] for one in found]


def policy(site: Site) -> str:
    """The strict policy: our own files, WebAssembly, and the theme's inline scripts by hash."""
    inline = re.findall(r"<script(?![^>]*src=)[^>]*>(.+?)</script>", site.html(PAGE), re.DOTALL)
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in inline
    }
    script = f"script-src 'self' 'wasm-unsafe-eval' {' '.join(sorted(hashes))}"
    style = "style-src 'self' 'unsafe-inline'"  # the editor writes a style element
    rest = "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'"
    return f"default-src 'none'; {script}; {style}; {rest}; base-uri 'self'; form-action 'none'"


@pytest.fixture(scope="module")
def strict(site: Site) -> Iterator[Site]:
    """The site under the strict policy: whatever works here needs no eval and nobody else."""
    with serve(site.folder, policy(site)) as running:
        yield running


@pytest.fixture(scope="module")
def profile(browser: Chromium) -> Iterator[BrowserContext]:
    """The profile of a reader who comes back: Python starts from what the browser kept."""
    with browser.context(permissions=["clipboard-read", "clipboard-write"]) as context:
        yield context


@pytest.fixture
def page(strict: Site, profile: BrowserContext) -> Iterator[Page]:
    """The page of rate limiting; it complains about nothing."""
    complaints: list[str] = []
    page = profile.new_page()
    page.set_viewport_size(DESK)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(strict.url + PAGE)
    yield page
    page.close()
    assert complaints == []


def test_every_marked_snippet_runs_on_its_page(strict: Site, browser: Chromium) -> None:
    """One press each; before the first nothing of Python is loaded, and nothing from elsewhere."""
    seen = 0
    asked: list[str] = []
    with browser.context() as context:
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        for path in strict.scenario_pages():
            asked.clear()
            page.goto(strict.url + path)
            page.wait_for_load_state("networkidle")
            loaded = {url.partition(OURS)[2] for url in asked if OURS in url}
            assert loaded - {"sql.js"} == {
                "run.css",
                "start.js",
                "run.js",
                "card.js",
                "engine.js",
            }, path
            for snippet in runnable(strict, path):
                card = Card(page, f"{snippet.name}.py")
                assert re.fullmatch(r"Finished: \d+ lines? of output\.", card.press("Run")), snippet
                assert card.output().strip(), snippet
                seen += 1
            assert any(url.endswith("pyodide.asm.wasm.gz") for url in asked)
            assert [url for url in asked if not url.startswith((strict.url, "data:"))] == []
    folders = {path.split("/")[1].replace("-", "_") for path in strict.scenario_pages()}
    assert seen == len([one for one in SNIPPETS if one.split("/")[1] in folders]) > 0


def test_edit_break_and_mend(page: Page) -> None:
    """The tests of the project judge what the reader wrote; Reset brings the file back."""
    card = Card(page, "naive_fixed_window.py")
    assert card.press("Run its tests") == "Its tests pass: 4 of test_naive_fixed_window.py."
    assert len(re.findall(r"^passed  \w", card.output(), re.MULTILINE)) == 4
    card.press("Edit")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("naive_")
    card.insert("def f():\n    return 1 / 0\n\n\nf()\n")
    page.keyboard.press("Control+Enter")
    assert card.wait() == "ZeroDivisionError on line 2."
    shown = card.output().splitlines()
    assert [line.strip() for line in shown if "File" in line] == [
        'File "naive_fixed_window.py", line 5, in <module>',
        'File "naive_fixed_window.py", line 2, in f',
    ]
    assert card.at.locator(".fd-run__wrong").inner_text().strip() == "return 1 / 0"
    assert card.press("Run its tests") == "Its tests could not be read."
    assert card.at.locator(".fd-run__wrong").count() == 0
    assert card.press("Copy") == "Copied as edited."
    assert page.evaluate("navigator.clipboard.readText()").startswith("def f():")
    card.press("Reset")
    assert card.at.locator(".cm-editor").count() == 0
    assert card.press("Copy") == "Copied."
    snippet = SNIPPETS["snippets/rate_limiting/naive_fixed_window.py"]
    assert page.evaluate("navigator.clipboard.readText()") == snippet.stripped
    assert card.press("Run") == card.press("Run") == "Finished: 4 lines of output."


def test_an_exercise_is_checked_and_its_hints_come_one_at_a_time(page: Page) -> None:
    card = Card(page, "start.py")
    assert card.press("Check") == "Not yet."
    assert "100 of 199 passed" in card.output()
    card.press("Edit")
    card.at.get_by_role("textbox").focus()
    page.keyboard.press("Control+a")
    solution = ROOT / "tests/scenarios/rate_limiting/break_it/solution.py"
    page.keyboard.insert_text(solution.read_text("utf-8"))
    assert card.press("Check") == "Solved."
    assert "199 requests passed" in card.output()
    first, second = page.get_by_text("A hint"), page.get_by_text("Another hint").first
    assert not second.is_visible()
    first.click()
    assert second.is_visible()


def test_stop_and_the_limits(page: Page) -> None:
    """A loop, a flood, a bomb: the page lives, says why, and runs the next program."""
    card = Card(page, "gcra.py")
    other = Card(page, "token_bucket.py")
    card.press("Edit")
    card.insert("while True:\n    pass\n")
    card.at.get_by_role("button", name="Run", exact=True).click()
    card.at.get_by_text("Running…").wait_for(timeout=START_MS)
    assert card.at.get_by_role("button", name="Run its tests").is_disabled()
    assert other.press("Run") == "Not started."
    assert "Stop it first" in other.output()
    assert page.evaluate("document.activeElement.textContent") != ""
    assert card.at.evaluate(STOP) == "Stopped."
    card.press("Reset")
    for text, state, told in [
        ("for i in range(30_000): print('line', i)\n", "Finished: more than", "more characters"),
        ("kept = []\nwhile True: kept.append(bytearray(10**7))\n", "MemoryError", "512 MiB"),
        ("print('a' + '\\u0301' * 90_000)\n", "Finished: ", "a" + "\u0301" * 30 + "\n"),
        ("import numpy\n", "ModuleNotFoundError on line 1.", "uv run"),
        ("input()\n", "OSError on line 1.", "no input"),
        ("import os\nos._exit(3)\n", "Python ended.", "starts Python anew"),
    ]:
        card.press("Edit")
        card.insert(text)
        assert card.press("Run").startswith(state)
        assert told in card.output()
        assert len(card.output()) < 100_200
        card.press("Reset")
    assert card.press("Run").startswith("Finished: ")


def test_forced_colours_tell_the_main_button_by_its_border(page: Page) -> None:
    """They take the backgrounds away."""
    card = Card(page, "gcra.py")
    page.emulate_media(forced_colors="active")
    width = "button => getComputedStyle(button).borderTopWidth"
    assert card.at.get_by_role("button", name="Run", exact=True).evaluate(width) == "3px"
    assert card.at.get_by_role("button", name="Edit").evaluate(width) == "1px"


def test_by_keyboard_alone(page: Page) -> None:
    """Tab reaches each button and leaves the editor; the focus follows Run and Stop."""
    card = Card(page, "gcra.py")
    focused = "document.activeElement.textContent"
    card.at.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{focused} === 'Stop'")
    card.wait()
    assert page.evaluate(focused) == "Run"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    card.at.get_by_role("textbox").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
    assert card.at.get_by_role("group", name="Run gcra.py").count() == 1
    assert card.at.get_by_role("region", name="Output of gcra.py").count() == 1


def test_targets_are_large_and_the_page_stays_narrow(page: Page) -> None:
    """44 px, and no sideways scroll at 320 px with output and editor open."""
    page.set_viewport_size(NARROW)
    card = Card(page, "gcra.py")
    card.press("Edit")
    card.insert(f"print('{'wide' * 80}')\n")
    card.press("Run")
    for button in card.at.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44, button.inner_text()
    assert overflow(page) == []


def test_a_later_page_starts_from_the_memory_of_an_earlier_one(
    page: Page, profile: BrowserContext, strict: Site
) -> None:
    """The browser keeps it; random numbers are drawn anew each time.

    How long each takes is in `evidence/results/run-in-page.json`; here, beside other tests, the
    same machine at the same time is asked for all three.
    """
    page.evaluate("caches.delete('firedrill-python')")
    drawn = set()
    for _ in range(2):
        page.goto(strict.url + PAGE)
        card = Card(page, "gcra.py")
        card.press("Edit")
        card.insert("import random\nprint(random.random())\n")
        assert card.press("Run").startswith("Finished: ")
        drawn.add(card.output().splitlines()[0])
        until(page, lambda: page.evaluate(KEPT))  # it is packed and stored while the reader reads
    assert len(drawn) == 2
    took: dict[str, list[float]] = {"anew": [], "reloaded": [], "again": []}
    for _ in range(2):
        for how in ("reloaded", "anew"):
            if how == "anew":
                page.evaluate("caches.delete('firedrill-python')")
            page.goto(strict.url + PAGE)
            card = Card(page, "gcra.py")
            took[how].append(card.took("Run", "Finished: "))
            took["again"].append(card.took("Run", "Finished: "))
            until(page, lambda: page.evaluate(KEPT))
    assert min(took["reloaded"]) < min(took["anew"]) / 2
    assert min(took["again"]) < min(took["reloaded"]) / 2
    page.goto(strict.url + PAGE)
    assert Card(page, "gcra.py").press("Run").startswith("Finished: ")
    (python,) = [one for one in page.workers if one.url.endswith("run/worker.js")]
    assert python.evaluate("self.fromSnapshot") is True
    page.evaluate(SPOIL, "firedrill-python")
    page.goto(strict.url + PAGE)
    assert Card(page, "gcra.py").press("Run").startswith("Finished: ")
    (python,) = [one for one in page.workers if one.url.endswith("run/worker.js")]
    assert python.evaluate("self.fromSnapshot") is None, "it started anew"
    assert profile.cookies() == []
    # This server is not the address that the pages name: a copy keeps no pages.
    assert page.evaluate("navigator.serviceWorker.getRegistrations()") == []


def test_a_closed_tab_takes_its_program_with_it(
    strict: Site, profile: BrowserContext, browser: Chromium
) -> None:
    """A loop without end is gone with its page; another page of the same reader runs."""
    pages = [profile.new_page(), profile.new_page()]
    for page in pages:
        page.goto(strict.url + PAGE)
    closed = Card(pages[0], "gcra.py")
    closed.press("Edit")
    closed.insert("while True:\n    pass\n")
    closed.at.get_by_role("button", name="Run", exact=True).click()
    closed.at.get_by_text("Running…").wait_for(timeout=START_MS)
    assert Card(pages[1], "gcra.py").press("Run").startswith("Finished: ")
    session = browser.browser.new_browser_cdp_session()

    def workers() -> int:
        told = session.send("Target.getTargets", {"filter": [{"type": "worker"}]})
        return sum(one["url"].endswith(f"{OURS}worker.js") for one in told["targetInfos"])

    assert workers() == 2
    pages[0].close()
    until(pages[1], lambda: workers() == 1)
    assert Card(pages[1], "gcra.py").press("Run").startswith("Finished: ")
    session.detach()
    pages[1].close()


def test_webassembly_forbidden_or_absent_and_a_folder_on_disk_are_told(
    site: Site, browser: Chromium
) -> None:
    """At once, in words, instead of a wait."""
    forbidding = policy(site).replace("'wasm-unsafe-eval' ", "")
    with serve(site.folder, forbidding) as guarded, browser.context() as context:
        page = context.new_page()
        page.goto(guarded.url + PAGE)
        card = Card(page, "gcra.py")
        assert card.press("Run") == "Python did not start."
        assert "does not let pages run WebAssembly" in card.output()
    with browser.context() as context:
        context.add_init_script("delete self.WebAssembly")
        page = context.new_page()
        page.goto(site.url + PAGE)
        card = Card(page, "gcra.py")
        assert card.press("Run") == "Python did not start."
        assert "no WebAssembly" in card.output()
        page.goto((site.folder / PAGE / "index.html").as_uri())
        told = page.locator(".fd-run").first
        assert "python -m http.server" in told.inner_text()
        assert told.get_by_role("button").count() == 0


def test_a_file_that_is_blocked_is_named(site: Site, browser: Chromium) -> None:
    with browser.context() as context:
        page = context.new_page()
        for name in ("worker.js", "kit.json", "pyodide.mjs", "pyodide.asm.wasm.gz"):
            context.route(f"**/{name}", lambda route: route.abort())
            page.goto(site.url + PAGE)
            card = Card(page, "gcra.py")
            assert card.press("Run") == "Python did not start."
            assert name in card.output()
            assert "run it on your machine" in card.output()
            context.unroute(f"**/{name}")


def test_a_file_that_is_damaged_late_or_lost_later_is_told(site: Site, browser: Chromium) -> None:
    """Each time the page lives, and the next press works."""
    program = (site.folder / OURS).glob("pyodide-*/pyodide.asm.wasm.gz")
    half = next(program).read_bytes()[:2_000_000]
    with browser.context() as context:
        page = context.new_page()
        page.goto(site.url + PAGE)
        card = Card(page, "gcra.py")
        context.route("**/gcra.py", lambda _: None)  # never answered
        card.at.get_by_role("button", name="Run", exact=True).click()
        assert card.press("Stop") == "Stopped."
        context.unroute_all()
        damaged = {"body": half, "content_type": "application/gzip"}
        context.route("**/pyodide.asm.wasm.gz", lambda route: route.fulfill(**damaged))
        assert card.press("Run") == "Python did not start."
        assert "is damaged" in card.output()
        context.unroute_all()
        held: list[Route] = []
        context.route("**/pytest-*.whl", lambda route: held.append(route))  # noqa: PLW0108
        card.at.get_by_role("button", name="Run its tests").click()
        until(page, lambda: held)
        told = card.at.get_by_role("status").inner_text()
        assert told.startswith("Loading Python"), "nothing runs yet"
        held[0].fulfill(status=404)
        assert card.wait() == "Not run."
        assert "pytest-" in card.output()
        context.unroute_all()
        assert card.press("Run its tests").startswith("Its tests pass: ")
        page.reload()
        page.evaluate("delete self.Worker")
        for _ in range(2):
            assert card.press("Run") == "Python did not start."
            assert "Worker is not defined. Download" in card.output()


def test_what_never_answers_is_told_by_the_clock(site: Site, browser: Chromium) -> None:
    """A watchdog: a minute and a half of silence, then a message. A slow line is none."""
    late: list[Route] = []
    sent: list[str] = []
    with browser.context() as context:
        context.on("requestfinished", lambda request: sent.append(request.url))
        context.route("**/python_stdlib.zip", lambda _: None)  # never answered
        context.route("**/pyodide.asm.wasm.gz", lambda route: late.append(route))  # noqa: PLW0108
        page = context.new_page()
        page.clock.install()
        page.goto(site.url + PAGE)
        card = Card(page, "gcra.py")
        card.at.get_by_role("button", name="Run", exact=True).click()
        card.at.get_by_text("Loading Python").wait_for()
        until(page, lambda: late)
        page.clock.fast_forward(80_000)
        late[0].continue_()
        card.at.get_by_text("3 MB so far.").wait_for()
        until(page, lambda: [url for url in sent if url.endswith(".asm.wasm.gz")])
        page.clock.fast_forward(80_000)
        assert card.at.get_by_role("button", name="Stop").is_visible()
        page.clock.fast_forward(91_000)  # the last part may have come after the first 80
        assert card.wait() == "Python did not start."
        assert "Nothing came for 90 seconds." in card.output()


def test_without_a_script_there_are_no_buttons(site: Site, browser: Chromium) -> None:
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.url + PAGE)
        assert page.locator(".fd-run").count() > 0
        assert page.locator(".fd-run:visible").count() == 0
