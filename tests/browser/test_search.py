"""Searching what a reader has on the screen, or in mind, leads to the page."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driver import Chromium
from tests.browser.site import Site

MATCHING = re.compile("matching")
# The count is written before the list, which is empty when there is none.
LISTED = """() => {
  const count = parseInt(document.querySelector(".md-search-result__meta").textContent) || 0;
  const items = document.querySelectorAll(".md-search-result__item").length;
  return count ? items >= Math.min(count, 3) : !items;
}"""


@pytest.fixture
def catalog(site: Site) -> dict[str, Any]:
    """The published catalogue."""
    data: dict[str, Any] = json.loads((site.folder / "api/v1/catalog.json").read_text("utf-8"))
    return data


@pytest.fixture
def complete(catalog: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The scenarios that have a page, by id."""
    found = {s["id"]: s for s in catalog["scenarios"] if s["status"] == "complete"}
    assert found
    return found


@pytest.fixture
def searching(site: Site, browser: Chromium) -> Iterator[Page]:
    """The home page, its search open."""
    with browser.context(search_at_once=True) as context:
        page = context.new_page()
        page.goto(site.url)
        page.locator(".md-search__input").click()
        yield page


def hits(page: Page, query: str) -> list[str]:
    """Pages that the search lists for a query, best first, as paths without anchor."""
    meta = page.locator(".md-search-result__meta")
    for text, found in (("", expect(meta).not_to_have_text), (query, expect(meta).to_have_text)):
        page.locator(".md-search__input").fill(text)
        page.locator(".md-search__input").press("End")  # the search listens to keys
        found(MATCHING)
        page.wait_for_function(LISTED)
    links: list[str] = page.locator(".md-search-result__item > a").evaluate_all(
        "(links) => links.map((link) => new URL(link.href).pathname)"
    )
    return links


def said(message: str) -> str:
    """A message without the name of the exception, which differs from driver to driver."""
    return message.partition(": ")[2] or message


def test_an_error_message_leads_to_a_page_that_explains_it(
    searching: Page, complete: dict[str, dict[str, Any]]
) -> None:
    """Someone pastes the line from the terminal: the first page lists it, or one of two does."""
    wrong = {}
    listing: dict[str, set[str]] = {}
    for scenario in complete.values():
        assert len(scenario["error_messages"]) >= 3
        for message in scenario["error_messages"]:
            listing.setdefault(said(message), set()).add(scenario["id"])
    for scenario in complete.values():
        for message in scenario["error_messages"]:
            found = [path.rstrip("/").rpartition("/")[2] for path in hits(searching, message)]
            if not set(found[:1]) & listing[said(message)] and scenario["id"] not in found[:2]:
                wrong[message] = found[:3]
    assert wrong == {}


def test_a_topic_leads_to_its_scenario(
    searching: Page, catalog: dict[str, Any], complete: dict[str, dict[str, Any]]
) -> None:
    """Each label of the topic finder finds the scenarios that it names."""
    wrong = {}
    numbers = {s["number"]: s["id"] for s in complete.values()}
    for topic in catalog["topics"]:
        named = {numbers.get(s, s) for s in topic["scenarios"]} & complete.keys()
        found = hits(searching, topic["label"]) if named else []
        missing = [s for s in named if not any(f.endswith(f"/scenarios/{s}/") for f in found)]
        if missing:
            wrong[topic["label"]] = missing
    assert wrong == {}


def test_a_question_leads_to_its_answer(searching: Page, catalog: dict[str, Any]) -> None:
    """The whole question as an interviewer says it."""
    asked = [q for q in catalog["questions"] if q["url"]]
    assert asked
    wrong = {}
    for question in asked:
        found = hits(searching, question["question"])
        if not any(f"/questions/{question['id']}/" in f for f in found[:3]):
            wrong[question["question"]] = found[:3]
    assert wrong == {}
