"""Without a network: what was read and run once is read, searched and run again."""

import re

from playwright.sync_api import Page

from tests.browser.driver import Chromium
from tests.browser.site import Site, serve
from tests.browser.test_run import PAGE, Card, policy
from tests.browser.test_search import hits

STORE = "caches.open('firedrill-offline')"
KEPT = f"{STORE}.then(store => store.keys()).then(keys => keys.map(one => one.url))"
PUT = f"([url, text]) => {STORE}.then(store => store.put(url, new Response(text)))"
TEXT = f"url => {STORE}.then(store => store.match(url)).then(found => found.text())"
PLACED = "navigator.serviceWorker.getRegistrations().then(found => found.length)"
READ = "questions/q-rate-limiting/"
FILE = "naive_fixed_window.py"
PASS = f"Its tests pass: 4 of test_{FILE}."


def kept(page: Page, *names: str) -> None:
    """Wait until the browser has kept a file of each name."""
    for _ in range(600):
        found = page.evaluate(KEPT)
        missing = [name for name in names if not any(url.endswith(name) for url in found)]
        if not missing:
            return
        page.wait_for_timeout(50)
    raise AssertionError(missing)


def run(page: Page, address: str) -> None:
    page.goto(address)
    assert Card(page, FILE).press("Run").startswith("Finished: ")


def test_what_was_read_and_run_once_needs_no_network(site: Site, browser: Chromium) -> None:
    """The first press puts it in place, a network makes it new, the privacy page removes it."""
    with browser.context(search_at_once=True) as context:
        page = context.new_page()
        with serve(site.folder, policy(site), at_home=True) as strict:
            address = strict.url + PAGE
            page.goto(address)
            assert page.evaluate(PLACED) == 0
            assert Card(page, FILE).press("Run its tests") == PASS
            kept(page, PAGE, "python_stdlib.zip", "pyodide.mjs", "glue.py", FILE, ".whl")
            # A page is asked for anew; an older Python goes when another comes.
            (newer,) = [url for url in page.evaluate(KEPT) if url.endswith("pyodide.mjs")]
            older = re.sub(r"pyodide-[\d.]+", "pyodide-0.1.0", newer)
            for url in (address, older):
                page.evaluate(PUT, [url, "an old one"])
            page.evaluate(f"url => {STORE}.then(store => store.delete(url))", newer)
            run(page, address)
            kept(page, "pyodide.mjs")
            assert older not in page.evaluate(KEPT)
            assert page.evaluate(TEXT, address) != "an old one"
            for path, name in ((READ, "search_index.json"), ("about/privacy/", "forget.js")):
                page.goto(strict.url + path)
                kept(page, path, name)
        # Nobody listens there any more.
        run(page, address)
        assert Card(page, FILE).press("Run its tests") == PASS
        page.goto(f"{strict.url}{READ}?from=a-link#answer")
        page.locator(".md-search__input").click()
        assert hits(page, "token bucket")[0].endswith(PAGE)
        page.goto(f"{strict.url}about/privacy/")
        page.get_by_role("button", name="Remove what is kept for running").click()
        page.get_by_text("Removed.").wait_for()
        assert page.evaluate("caches.keys()") == []
        assert page.evaluate(PLACED) == 0
