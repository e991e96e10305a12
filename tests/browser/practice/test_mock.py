"""The mock interview: a draw two people share, a clock, notes, answers, grades, a report."""

import random
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from catalog.draw import draw
from tests.browser.driver import NARROW, PALETTES, Chromium, choose, overflow
from tests.browser.site import Site
from tests.browser.test_accessibility import AXE, barriers

SEEDS = ["", "1", "abc", "Prüfung", "面接", "🔥🔥", "e\u0301", "\x00", "x" * 40]
CLOSED = "Storage.prototype.setItem = () => { throw new DOMException('no', 'SecurityError'); }"
REFUSED = "void (navigator.clipboard.writeText = () => Promise.reject(new DOMException('no')))"
FULL = """firedrill.store.set("mock", [...Array(500)].map((_, i) => ({id: "q-old", seed: "",
  at: new Date(Date.UTC(2026, 0, 1, 0, 0, i)).toISOString().replace(".000", ""),
  grades: {"communication-skills": 1}})))"""
SELECTED = "([a]) => a.value.slice(a.selectionStart, a.selectionEnd) === a.value"


def in_both_palettes(page: Page, place: str) -> list[str]:
    """What axe finds in one place of the loaded page."""
    found = []
    for palette in PALETTES:
        choose(page, palette)
        found += barriers(page, place)
    return found


def test_python_draws_what_the_browser_draws(site: Site, page: Page) -> None:
    """For every size of pool, and for seeds that are empty or not ASCII."""
    luck = random.Random(20261127)
    seeds = [
        *SEEDS,
        *("".join(chr(luck.randrange(1, 0xD800)) for _ in range(9)) for _ in range(50)),
    ]
    cases = [
        ([f"q-{number}" for number in range(size)], n, seed)
        for seed in seeds
        for size, n in ((0, 5), (1, 5), (2, 1), (19, 5), (21, 21), (40, -3))
    ]
    page.goto(f"{site.url}mock/")
    drawn = page.evaluate("cases => cases.map((one) => firedrill.draw(...one))", cases)
    assert drawn == [draw(*one) for one in cases]


def test_an_interview_by_keyboard_on_a_phone(site: Site, browser: Chromium) -> None:
    """From the link of a question to the report; what was noted outlives a reload."""
    with browser.context(viewport=NARROW, bypass_csp=True) as context:
        context.add_init_script(AXE)
        page = context.new_page()
        page.goto(f"{site.url}questions/q-rate-limiting/")
        page.get_by_role("link", name="Practise this").click()
        expect(page.get_by_label("Only the questions that this link names")).to_be_checked()
        page.evaluate(FULL)
        page.get_by_role("button", name="Start", exact=True).press("Enter")
        asked = page.locator("#fd-asked")
        expect(asked).to_have_text("How would you rate-limit an API that runs on many servers?")
        expect(asked).to_be_focused()
        form = page.locator("#fd-interview")
        expect(form).to_contain_text("Question 1 of 1")
        facts = form.get_by_text("ten servers behind one load balancer")
        expect(facts.first).to_be_hidden()
        for _ in range(3):  # pause, off, then the question about the facts
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(facts.first).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.type("What does it protect?\nWho is limited?")
        reveal = page.get_by_role("button", name="Show the model answer")
        expect(form.get_by_text("Said:").first).to_be_hidden()
        page.reload()
        expect(asked).to_be_focused()
        expect(page.get_by_label("Notes, 1. Clarify")).to_have_value(
            "What does it protect?\nWho is limited?"
        )
        expect(page.get_by_role("button", name="Continue")).to_be_visible()
        reveal.press("Enter")
        expect(form.get_by_role("status")).to_contain_text("beside your notes")
        expect(form.get_by_role("heading", name="Red flags")).to_be_visible()
        expect(form.get_by_role("link", name="Whose clock do you use?")).to_be_visible()
        form.get_by_label("Said: What the limit protects").press("Space")
        form.get_by_role("radio", name="Partly").first.press("ArrowRight")
        assert overflow(page) == []
        page.get_by_role("button", name="Next question").press("Enter")

        result = page.locator("#fd-result")
        expect(result.get_by_role("heading", name="How it went")).to_be_focused()
        expect(result.get_by_role("row", name="Systematic thinking")).to_have_text(
            "Systematic thinking 2.0 2.0", use_inner_text=True
        )
        expect(result.get_by_role("button", name="Review the weak answers")).to_be_hidden()
        expect(result.get_by_role("listitem")).to_have_count(6)
        expect(result.get_by_role("listitem").first).to_have_text(
            "2. Identify challenge: not said in 1 of 1"
        )
        report = result.get_by_role("textbox", name="Report").input_value()
        assert "- Systematic thinking: 2.0\n- Understanding of trade-offs: not graded\n" in report
        assert (
            "- [x] 1. Clarify: What the limit protects, who is limited, and how exact it must be\n"
            "    > What does it protect?\n    > Who is limited?\n- [ ] 2." in report
        )
        assert overflow(page) == []
        assert in_both_palettes(page, "#fd-result") == []
        page.evaluate(REFUSED)
        page.get_by_role("button", name="Copy the report").press("Enter")
        expect(result.get_by_role("status")).to_contain_text("the report is selected")
        assert page.locator("#fd-result textarea").evaluate_all(SELECTED)
        page.reload()
        expect(result.get_by_role("row", name="Systematic thinking")).to_contain_text("2.0")
        kept = page.evaluate("firedrill.store.get('mock')")
        assert (len(kept), kept[0]["at"]) == (500, "2026-01-01T00:00:01Z")
        kept = kept[-1]
        assert (kept["id"], kept["grades"]) == ("q-rate-limiting", {"systematic-thinking": 2})
        page.evaluate("firedrill.store.deleted()")
        assert page.evaluate("sessionStorage.getItem('firedrill:v1:interview')") is None
        page.get_by_role("button", name="New interview").click()
        expect(page.get_by_role("heading", name="Draw an interview")).to_be_focused()


def test_the_clock_speaks_twice_and_can_stand_or_leave(site: Site, page: Page) -> None:
    """One minute left, time is up, then it counts over; nothing is cut off."""
    page.clock.install(time="2026-11-27T12:00:00Z")
    page.goto(f"{site.url}mock/?minutes=2")
    page.clock.pause_at("2026-11-27T12:01:00Z")
    page.get_by_role("button", name="Start", exact=True).click()
    timer = page.locator("#fd-interview [role=timer]")
    status = page.locator("#fd-interview [role=status]")
    expect(timer).to_have_text("2:00 left")
    page.clock.run_for(59_000)
    expect(timer).to_have_text("1:01 left")
    expect(status).to_have_text("")
    page.clock.run_for(2_000)
    expect(status).to_have_text("One minute left.")
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(600_000)
    expect(timer).to_have_text("0:59 left")
    page.get_by_role("button", name="Continue").click()
    status.evaluate("region => { region.textContent = ''; }")
    page.clock.fast_forward(58_000)  # a hidden tab is woken once, late
    expect(timer).to_have_text("0:01 left")
    expect(status).to_have_text("")
    page.clock.run_for(14_000)
    expect(timer).to_have_text("0:13 over")
    expect(status).to_have_text("Time is up. Finish your sentence: nothing is cut off.")
    assert timer.get_attribute("aria-live") == "off"
    page.get_by_role("button", name="Timer off").click()
    expect(timer).to_be_hidden()
    expect(page.locator("#fd-asked")).to_be_focused()
    page.get_by_role("button", name="Finish here").click()
    assert "\nTime: 2:13\n" in page.locator("#fd-result textarea").input_value()
    page.goto(f"{site.url}mock/?minutes=0")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#fd-asked")).to_be_focused()
    expect(timer).to_be_hidden()


def test_two_people_get_one_draw_and_the_interviewer_sees_the_answers(
    site: Site, browser: Chromium
) -> None:
    """Also when the first drew from what is weak, which the second cannot know."""
    with browser.context() as context:
        page = context.new_page()
        page.goto(f"{site.url}checklist/")
        for number in set(range(1, 22)) - {5}:
            page.locator(f"#a-{number:02}").get_by_role("radio", name="Confident").check()
        page.goto(f"{site.url}mock/")
        page.get_by_label("Only what I cannot explain yet").check()
        page.get_by_label("Seed").fill("火 &=🔥")
        page.get_by_role("button", name="Start", exact=True).click()
        asked = page.locator("#fd-asked")
        expect(asked).to_have_text("How would you rate-limit an API that runs on many servers?")
        shared = page.url
        query = parse_qs(urlsplit(shared).query)
        assert (query["ask"], query["seed"]) == (["q-rate-limiting"], ["火 &=🔥"])
        assert "weak" not in query
    with browser.context() as context:
        page = context.new_page()
        page.goto(shared)
        page.get_by_label("I am the interviewer").check()
        page.get_by_role("button", name="Start", exact=True).click()
        asked = page.locator("#fd-asked")
        expect(asked).to_have_text("How would you rate-limit an API that runs on many servers?")
        form = page.locator("#fd-interview")
        expect(form.get_by_role("timer")).to_be_visible()
        expect(form.get_by_label("Said: What the limit protects")).to_be_visible()
        expect(form.get_by_text("ten servers behind one load balancer").first).to_be_visible()
        expect(form.get_by_role("link", name="Whose clock do you use?")).to_be_visible()
        assert parse_qs(urlsplit(page.url).query)["role"] == ["interviewer"]
        page.goto(f"{site.url}mock/?seed=other")
        page.get_by_role("button", name="Back to the interview I left").click()
        expect(asked).to_have_text("How would you rate-limit an API that runs on many servers?")


def test_what_was_answered_weakly_comes_next_in_review(site: Site, page: Page) -> None:
    """A card never seen begins there; one that is known keeps its memory and comes earlier."""
    page.goto(f"{site.url}mock/?ask=q-rate-limiting,q-large-datasets&minutes=0")
    known = {"due": 4e12, "last": 1e12, "S": 50, "D": 5, "state": 2, "step": None} | {
        "reps": 3, "lapses": 1, "rev": ""
    }  # fmt: skip
    page.evaluate(
        "card => firedrill.store.set('reviews', {cards: {'q-large-datasets': card}, log: [],"
        " options: {}})",
        known,
    )
    page.get_by_role("button", name="Start", exact=True).click()
    form = page.locator("#fd-interview")
    ready = page.get_by_role("heading", name="Ready draws")
    for _ in range(2):
        expect(ready).to_be_hidden()  # nothing to look at but the question
        page.get_by_role("button", name="Show the model answer").click()
        form.get_by_role("radio", name="Well", exact=True).first.check()
        form.get_by_role("radio", name="Partly").last.check()
        page.get_by_role("button", name="Next question").click()
    expect(ready).to_be_visible()
    page.get_by_role("button", name="Review the weak answers").click()
    said = page.locator("#fd-result [role=status]")
    expect(said).to_contain_text("is due in Review now.")
    cards = page.evaluate("firedrill.store.get('reviews').cards")
    now = page.evaluate("Date.now()")
    assert {name: card.pop("due") <= now for name, card in cards.items()} == {
        "q-large-datasets": True,
        "q-rate-limiting": True,
    }
    assert cards["q-large-datasets"] | {"due": 4e12} == known
    page.goto(f"{site.url}review/")
    expect(page.locator("[data-fd-counts]")).to_have_text("2 due, 9 new, 0 done today.")
    expect(page.locator("[data-fd-front]")).to_contain_text("rate-limit an API")
    expect(page.locator("[data-fd-updated]")).to_be_hidden()
    page.get_by_role("button", name="Show answer").click()
    page.get_by_role("button", name="Easy").click()
    card = page.evaluate("firedrill.store.get('reviews').cards['q-rate-limiting']")
    assert (card["reps"], card["state"], len(card["rev"])) == (1, 2, 8)


def test_an_address_nobody_made_is_explained_and_closed_storage_too(
    site: Site, browser: Chromium
) -> None:
    """What is impossible stays as it was, and the interview can be held all the same."""
    with browser.context() as context:
        context.add_init_script(CLOSED)
        page = context.new_page()
        query = f"n=-3&minutes=x&part=9&seed={'s' * 41}&ask=q-none,q-rate-limiting&v=1"
        page.goto(f"{site.url}mock/?{query}")
        said = page.locator("#fd-mock [role=status]")
        expect(said).to_contain_text("This address gives no possible n, minutes, part, seed.")
        expect(said).to_contain_text("There is no answered question q-none.")
        expect(said).to_contain_text("The catalogue has changed since this link was made")
        expect(page.get_by_label("Questions", exact=True)).to_have_value("5")
        page.get_by_label("Only the questions that this link names").uncheck()
        part = page.locator("#fd-mock").get_by_label("Part")
        part.select_option(label="Security & Architecture")
        page.get_by_role("button", name="Start", exact=True).click()
        expect(said).to_contain_text("No answered question fits")
        part.select_option("")
        page.get_by_role("button", name="Start", exact=True).click()
        form = page.locator("#fd-interview")
        expect(form).to_contain_text("Question 1 of ")
        expect(form).to_contain_text("This browser keeps no notes")
        page.get_by_role("button", name="Show the model answer").click()
        form.get_by_role("radio", name="Very well").last.check()
        page.get_by_role("button", name="Next question").click()
        page.get_by_role("button", name="Finish here").click()
        expect(page.get_by_role("row", name="Communication skills")).to_contain_text("3.0")


def test_without_scripts_the_questions_and_ten_draws_are_there(
    site: Site, browser: Chromium
) -> None:
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}mock/")
        expect(page.get_by_role("button", name="Start", exact=True)).to_be_hidden()
        expect(page.get_by_role("listitem").filter(has_text="Seed ")).to_have_count(10)
        fold = page.locator("#q-rate-limiting")
        fold.locator("summary").click()
        expect(fold.get_by_text("ten servers behind one load balancer")).to_be_visible()
        expect(fold.get_by_text("Reads a counter, then writes it back")).to_be_visible()
