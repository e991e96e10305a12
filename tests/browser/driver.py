"""Chromium as the tests hold it, and what they do on every page."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

DESK: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 320, "height": 640}
Palette = Literal["default", "slate"]
PALETTES: tuple[Palette, Palette] = ("default", "slate")
PATIENCE_MS = 30_000
"""How long a page may take for what it is asked; a slow machine must not fail a test."""
expect.set_options(timeout=PATIENCE_MS)
# On each page the theme has a worker index every page for its search: more than half of what a page
# costs. Where a test is not about it, the worker begins when the search box first gets the focus.
SEARCH_LATER = """{
  const Real = Worker;
  class Later extends EventTarget {
    #held = [];
    #real;
    constructor(...how) {
      super();
      addEventListener("focusin", (event) => {
        if (this.#real || !event.target.matches(".md-search__input")) return;
        this.#real = new Real(...how);
        for (const kind of ["message", "error"])
          this.#real.addEventListener(kind, (one) =>
            this.dispatchEvent(new one.constructor(kind, one)));
        for (const one of this.#held.splice(0)) this.#real.postMessage(...one);
      }, true);
    }
    postMessage(...one) {
      if (this.#real) this.#real.postMessage(...one);
      else this.#held.push(one);
    }
  }
  globalThis.Worker = new Proxy(Real, {
    construct: (_, how) => new (/\\/workers\\/search\\./.test(how[0]) ? Later : Real)(...how),
  });
}"""


class Chromium:
    """One browser. Its event loop counts as running only while a test uses it.

    Playwright's blocking interface leaves its loop marked as running in this thread, and an
    asyncio test that runs next in the same worker would refuse to start another.
    """

    def __init__(self, browser: Browser, loop: asyncio.AbstractEventLoop) -> None:
        self.browser = browser
        self.loop = loop

    @contextmanager
    def context(
        self,
        *,
        search_at_once: bool = False,
        **options: Any,  # noqa: ANN401 - Playwright's own options
    ) -> Iterator[BrowserContext]:
        """A fresh profile.

        Args:
            search_at_once: whether the search makes its index on each page, as for a reader, or
                when its box gets the focus.
            options: as for `Browser.new_context`.
        """
        before = asyncio._get_running_loop()  # ours, where a profile is open already
        asyncio._set_running_loop(self.loop)
        context = self.browser.new_context(
            **{"viewport": DESK, "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(PATIENCE_MS)
        if not search_at_once:
            context.add_init_script(SEARCH_LATER)
        try:
            yield context
        finally:
            asyncio._set_running_loop(self.loop)
            context.close()
            asyncio._set_running_loop(before)


def choose(page: Page, palette: Palette) -> None:
    """Switch the site to a palette with its own switch, as a reader does."""
    if page.evaluate("document.body.dataset.mdColorScheme") != palette:
        page.locator("label[for^=__palette]:visible").click()
    page.wait_for_function(
        "palette => document.body.dataset.mdColorScheme === palette", arg=palette
    )


def overflow(page: Page) -> list[str]:
    """Elements that make the page wider than its window; empty when it needs no sideways scroll.

    What scrolls in a box of its own (a wide table, code) is no overflow of the page.
    """
    wide: list[str] = page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          return [...document.querySelectorAll("body *")]
            .filter((e) => e.getBoundingClientRect().right > width + 1)
            .map((e) => `${e.tagName.toLowerCase()}.${e.className}`)
            .slice(0, 5);
        }"""
    )
    return wide
