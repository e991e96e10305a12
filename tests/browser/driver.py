"""Chromium as the tests hold it, and what they do on every page."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

DESK: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 320, "height": 640}
Palette = Literal["default", "slate"]
PALETTES: tuple[Palette, Palette] = ("default", "slate")


class Chromium:
    """One browser. Its event loop counts as running only while a test uses it.

    Playwright's blocking interface leaves its loop marked as running in this thread, and an
    asyncio test that runs next in the same worker would refuse to start another.
    """

    def __init__(self, browser: Browser, loop: asyncio.AbstractEventLoop) -> None:
        self.browser = browser
        self.loop = loop

    @contextmanager
    def context(self, **options: Any) -> Iterator[BrowserContext]:  # noqa: ANN401 - Playwright's own options
        """A fresh profile; options as for `Browser.new_context`."""
        before = asyncio._get_running_loop()  # ours, where a profile is open already
        asyncio._set_running_loop(self.loop)
        context = self.browser.new_context(
            **{"viewport": DESK, "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(30_000)
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
