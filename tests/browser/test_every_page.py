"""Promises that hold on each page of the sitemap, checked in one visit."""

import re
from typing import Any

import pytest
from playwright.sync_api import Request

from tests.browser.driver import NARROW, Chromium, overflow
from tests.browser.site import REPO_URL, SITE_URL, Site

SHARES = 4
HEAD = """() => {
  const content = (selector) => document.querySelector(selector)?.content ?? null;
  return {
    title: document.title,
    description: content('meta[name="description"]'),
    canonical: document.querySelector('link[rel="canonical"]')?.href ?? null,
    ogTitle: content('meta[property="og:title"]'),
    ogDescription: content('meta[property="og:description"]'),
    ogUrl: content('meta[property="og:url"]'),
    language: document.documentElement.lang,
    headings: document.querySelectorAll("h1").length,
    report: document.querySelector(".fd-report a")?.href ?? null,
  };
}"""


@pytest.mark.parametrize("share", range(SHARES))
def test_a_page_asks_nobody_else_and_fits_a_narrow_phone(
    site: Site, browser: Chromium, share: int
) -> None:
    """No third-party request, no error in the console, no sideways scroll, a complete head."""
    pages = site.pages[share::SHARES]
    assert pages
    requests: list[str] = []
    complaints: list[str] = []
    heads: dict[str, dict[str, Any]] = {}
    wide: dict[str, list[str]] = {}

    def failed(request: Request) -> None:
        # An icon that is still on its way when the next page is opened is no failure.
        if request.failure != "net::ERR_ABORTED":
            complaints.append(f"{request.url}: {request.failure}")

    with browser.context(viewport=NARROW) as context:
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("requestfailed", failed)
        page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        for path in pages:
            answer = page.goto(site.url + path)
            assert answer is not None
            assert answer.status == 200, path
            heads[path] = page.evaluate(HEAD)
            if found := overflow(page):
                wide[path] = found

    local = [url for url in requests if url.startswith((site.url, "data:"))]
    assert len(local) > len(pages)
    assert [url for url in requests if url not in local] == []
    assert complaints == []
    assert wide == {}
    for path, head in heads.items():
        address = SITE_URL + path
        assert (path, head["canonical"], head["ogUrl"]) == (path, address, address)
        assert (path, head["headings"], head["language"]) == (path, 1, "en")
        assert head["title"], path
        assert head["ogTitle"], path
        assert 50 <= len(head["description"] or "") <= 160, (path, head["description"])
        assert head["ogDescription"] == head["description"], path
        assert head["report"].startswith(f"{REPO_URL}/issues/new?"), path


def test_titles_and_descriptions_tell_pages_apart(site: Site) -> None:
    """A search engine shows both: two pages with the same ones hide each other."""
    seen: dict[str, str] = {}
    for path in site.pages:
        match = re.search(r"<title>(.*?)</title>", site.html(path), re.DOTALL)
        assert match, path
        assert match[1] not in seen, (path, seen[match[1]], match[1])
        seen[match[1]] = path


def test_next_leads_through_the_whole_book_and_previous_leads_back(site: Site) -> None:
    """Each page of the sidebar is reached once by "next", and "previous" undoes it."""

    def neighbour(path: str, relation: str) -> str | None:
        match = re.search(rf'<link rel="{relation}" href="([^"]+)"', site.html(path))
        if match is None:
            return None
        base = (site.folder / path).resolve()
        target = (base / match[1]).resolve().relative_to(site.folder.resolve()).as_posix()
        return "" if target == "." else f"{target.removesuffix('/index.html')}/"

    linked = {path for path in site.pages if neighbour(path, "next") or neighbour(path, "prev")}
    walked: list[str] = [""]
    while (following := neighbour(walked[-1], "next")) is not None:
        assert following not in walked
        assert neighbour(following, "prev") == walked[-1]
        walked.append(following)
    assert len(walked) > 2
    assert set(walked) == linked
