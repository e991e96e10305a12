"""Follow-ups that unfold, the ladder, the cheat sheet on paper, the picture of related topics."""

import io
import json

import markdown
import pypdf
import pytest
from playwright.sync_api import Page, expect

from catalog.load import load
from catalog.model import Catalog, Status
from catalog.pages.cheatsheet import cheatsheet
from tests.browser.driver import Chromium, choose
from tests.browser.site import ROOT, Site
from tests.browser.test_print import letters

SIDES = 2
ANSWER = "Redis's, by TIME inside the script"


def test_a_follow_up_opens_by_its_address_by_keyboard_and_on_paper(
    site: Site, browser: Chromium
) -> None:
    with browser.context() as context:
        page = context.new_page()
        page.goto(f"{site.url}questions/q-rate-limiting/#f-clock")
        expect(page.get_by_text(ANSWER)).to_be_visible()
        expect(page.locator(".fd-follow-up[open]")).to_have_count(1)
        expect(page.locator("#f-clock")).to_be_in_viewport()
        fold = page.locator(".fd-follow-up").first
        fold.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(fold.locator("p").first).to_be_visible()
        page.keyboard.press("Space")
        expect(fold.locator("p").first).to_be_hidden()
        page.keyboard.press("Shift+Tab")  # to the permalink of its question
        page.keyboard.press("Enter")
        expect(fold.locator("p").first).to_be_visible()
        assert page.url.endswith("/questions/q-rate-limiting/#f-login-algorithm")
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}questions/q-rate-limiting/")
        expect(page.get_by_text(ANSWER)).to_be_hidden()
        page.locator("#f-clock + details > summary").click()
        expect(page.get_by_text(ANSWER)).to_be_visible()
        page.reload()
        reader = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4")))
        paper = letters("".join(sheet.extract_text() for sheet in reader.pages))
        for answer in page.locator(".fd-follow-up > p").all_text_contents():
            assert letters(answer) in paper


def test_a_rung_is_reached_when_every_question_of_it_can_be_explained(
    site: Site, browser: Chromium
) -> None:
    """Answers of the self-assessment, also where the browser keeps nothing."""
    with browser.context() as context:
        page = context.new_page()
        page.goto(f"{site.url}levels/")
        rung = page.locator("#fd-rung")
        rungs = page.locator("#fd-ladder li")
        expect(rung).to_have_text("Your rung: none yet.")
        items = json.loads(page.locator("#fd-levels-data").text_content() or "")
        first = items[0]["items"]
        answers = {one: {"level": 2, "at": "2026-11-22T10:00:00.000Z"} for one in first}
        answers[first[0]]["level"] = 1
        keep = "(a) => localStorage.setItem('firedrill:v1:assessment', JSON.stringify(a))"
        page.evaluate(keep, answers)
        page.reload()
        expect(rungs.first).to_contain_text(f"you can explain {len(first) - 1} of {len(first)}")
        expect(rung).to_have_text("Your rung: none yet.")
        answers[first[0]]["level"] = 3
        other = context.new_page()  # the open page hears of it
        other.goto(f"{site.url}levels/")
        other.evaluate(keep, answers)
        expect(rung).to_have_text(f"Your rung: {items[0]['title']}.")
        expect(rungs.first).to_contain_text(": reached")
        expect(rungs.nth(1)).not_to_contain_text("reached")
    with browser.context() as context:
        context.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})"
        )
        page = context.new_page()
        page.goto(f"{site.url}levels/")
        expect(page.locator("#fd-rung")).to_have_text("Your rung: none yet.")


def sides(page: Page) -> tuple[int, str]:
    """How many pages it prints on, and what they say."""
    reader = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    width, height = (float(size) / 72 * 25.4 for size in reader.pages[0].mediabox[2:])
    assert (round(width), round(height)) == (210, 297)
    return len(reader.pages), letters("".join(one.extract_text() for one in reader.pages))


@pytest.fixture
def complete() -> Catalog:
    """The catalog when every scenario is finished, each summary as long as it may be."""
    catalog, _ = load(ROOT)
    words = " ".join(one.summary for one in catalog.scenarios).split() * 21
    return catalog.model_copy(
        update={
            "scenarios": tuple(
                one.model_copy(
                    update={
                        "status": Status.COMPLETE,
                        "summary": " ".join(words[one.number * 37 : one.number * 37 + 110]),
                    }
                )
                for one in catalog.scenarios
            )
        }
    )


def test_the_cheat_sheet_is_two_sides_of_a4(site: Site, page: Page, complete: Catalog) -> None:
    """Today's, and that of 21 finished scenarios with summaries of 110 words; no word is lost."""
    page.goto(f"{site.url}cheatsheet/")
    text = cheatsheet(complete).split("---\n", 2)[2]
    full = markdown.markdown(text, extensions=["attr_list", "md_in_html"])
    for html in (None, full):
        if html is not None:
            page.evaluate("(html) => { document.querySelector('article').innerHTML = html }", html)
        count, paper = sides(page)
        assert count <= SIDES
        said: list[str] = page.locator(".fd-sheet :is(h2, h3, p, li)").all_inner_texts()
        assert len(said) > 40
        assert [one for one in said if letters(one.removesuffix("¶")) not in paper] == []
    assert all(letters(one.summary) in paper for one in complete.scenarios)


def test_the_picture_of_related_topics_is_read_in_both_palettes(
    site: Site, browser: Chromium
) -> None:
    """Names lie inside the picture in a wide typeface, links are 24 px high, colours switch."""
    with browser.context(viewport={"width": 320, "height": 640}) as context:
        page = context.new_page()
        page.goto(f"{site.url}related/")
        page.add_style_tag(content=".fd-graph text { font-family: 'DejaVu Sans' !important }")
        outside = """() => {
          const canvas = document.querySelector(".fd-graph svg").getBoundingClientRect();
          return [...document.querySelectorAll(".fd-graph text")].filter((text) => {
            const box = text.getBoundingClientRect();
            return box.left < canvas.left - 1 || box.right > canvas.right + 1;
          }).map((text) => text.textContent);
        }"""
        assert page.evaluate(outside) == []
        heights: list[float] = page.locator(".fd-graph rect").evaluate_all(
            "(all) => all.map((one) => one.getBoundingClientRect().height)"
        )
        assert min(heights) >= 24
        fills = []
        for palette in ("default", "slate"):
            choose(page, palette)
            fills.append(
                page.locator(".fd-graph a text").first.evaluate("(t) => getComputedStyle(t).fill")
            )
        assert fills[0] != fills[1]
        link = page.locator(".fd-graph a").first
        link.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/scenarios/large-datasets/")
