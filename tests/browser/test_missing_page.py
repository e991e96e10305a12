"""A wrong address gets help."""

import pytest
from playwright.sync_api import Page

from tests.browser.site import Site


@pytest.mark.parametrize("path", ["no-such-page/", "scenarios/deeper/no-such-page/"])
def test_a_missing_page_says_so_and_leads_on(site: Site, page: Page, path: str) -> None:
    """The 404 page has its styles, search and links at any depth."""
    answer = page.goto(site.url + path)
    assert answer is not None
    assert answer.status == 404
    assert page.locator("h1").inner_text() == "This page does not exist"
    assert page.get_by_role("textbox", name="Search").is_visible()
    assert page.evaluate("getComputedStyle(document.body).getPropertyValue('--fd-accent')")
    page.get_by_role("link", name="Topic finder", exact=True).first.click()
    assert page.url == f"{site.url}finder/"
