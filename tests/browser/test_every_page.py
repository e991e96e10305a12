"""Promises that hold on each page of the sitemap, checked in one visit."""

import html
import re

import pytest
from playwright.sync_api import Request

from tests.browser.driver import NARROW, Chromium, overflow
from tests.browser.site import REPO_URL, SITE_URL, Site

SHARES = 4


def content(text: str, pattern: str) -> str | None:
    """What the one match of a pattern says in the HTML of a page; None when there is none."""
    found = re.findall(pattern, text)
    assert len(found) <= 1, found
    return html.unescape(found[0]) if found else None


def head(text: str) -> dict[str, str | None]:
    """What search engines and cards read of a page."""
    text = text.partition("</head>")[0]
    return {
        "title": content(text, "<title>([^<]*)</title>"),
        "description": content(text, '<meta name="description" content="([^"]*)"'),
        "canonical": content(text, '<link rel="canonical" href="([^"]*)"'),
        "ogTitle": content(text, '<meta property="og:title" content="([^"]*)"'),
        "ogDescription": content(text, '<meta property="og:description" content="([^"]*)"'),
        "ogUrl": content(text, '<meta property="og:url" content="([^"]*)"'),
        "language": content(text, '<html lang="([^"]*)"'),
    }


@pytest.mark.parametrize("share", range(SHARES))
def test_a_page_asks_nobody_else_and_fits_a_narrow_phone(
    site: Site, browser: Chromium, share: int
) -> None:
    """No third-party request, no error in the console, no sideways scroll."""
    pages = site.templates[share::SHARES]
    assert pages
    requests: list[str] = []
    complaints: list[str] = []
    wide: dict[str, list[str]] = {}

    def failed(request: Request) -> None:
        # An icon that is still on its way when the next page is opened is no failure.
        if request.failure != "net::ERR_ABORTED":
            complaints.append(f"{request.url}: {request.failure}")

    with browser.context(viewport=NARROW, search_at_once=True) as context:
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("requestfailed", failed)
        page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        for path in pages:
            answer = page.goto(site.url + path)
            assert answer is not None
            assert answer.status == 200, path
            if found := overflow(page):
                wide[path] = found

    local = [url for url in requests if url.startswith((site.url, "data:"))]
    assert len(local) > len(pages)
    assert [url for url in requests if url not in local] == []
    assert complaints == []
    assert wide == {}


def test_every_page_has_a_complete_head(site: Site) -> None:
    """Each page of the sitemap, also those that no browser test opens."""
    for path in site.pages:
        text = site.html(path)
        found, address = head(text), SITE_URL + path
        assert (path, found["canonical"], found["ogUrl"]) == (path, address, address)
        assert (path, text.count("<h1"), found["language"]) == (path, 1, "en")
        assert found["title"], path
        assert found["ogTitle"], path
        assert 50 <= len(found["description"] or "") <= 160, (path, found["description"])
        assert found["ogDescription"] == found["description"], path
        assert f'<a href="{REPO_URL}/issues/new?' in text, path


def test_titles_and_descriptions_tell_pages_apart(site: Site) -> None:
    """A search engine shows both: two pages with the same ones hide each other."""
    seen: dict[str | None, str] = {}
    for path in site.pages:
        found = head(site.html(path))
        for said in (found["title"], found["description"]):
            assert said, path
            assert said not in seen, (path, seen[said], said)
            seen[said] = path


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
