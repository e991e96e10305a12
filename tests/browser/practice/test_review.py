"""Review: FSRS as the package computes it, one card at a time, and nothing is ever lost."""

import datetime as dt
import json
import random
from collections.abc import Iterator
from typing import Any, TypedDict

import pytest
from fsrs import Card, Rating, Scheduler
from playwright.sync_api import Locator, Page, expect

from catalog.cards import cards
from catalog.load import load
from tests.browser.driver import Chromium
from tests.browser.site import ROOT, Site

HISTORIES = 500
DAY = 86_400_000  # ms
DECK = cards(load(ROOT)[0])
FIRST = DECK[0].id
ANSWER = DECK[0].back.split()[0]
"""The first word on the back of the first card."""
NOON = "2026-12-01T12:00:00Z"
AT_NOON = 1_796_126_400_000  # ms
NO_STORAGE = (
    "Storage.prototype.setItem = () => { throw new DOMException('closed', 'SecurityError'); }"
)


class Memory(TypedDict):
    """What the scheduler knows of a card."""

    due: int
    last: int
    S: float
    D: float
    state: int
    step: int | None


def histories() -> list[list[tuple[int, int]]]:
    """Random (grade, time) answers: seconds, hours, days or years apart, some at a clock set back.

    Times are whole milliseconds, as a browser's are.
    """
    dice = random.Random(4)
    made = []
    for _ in range(HISTORIES):
        now = 1_700_000_000_000 + dice.randrange(DAY)
        history = []
        for _ in range(dice.randint(1, 20)):
            history.append((dice.choice([1, 2, 3, 3, 3, 4]), now))
            longest = dice.choice([60_000, 3_600_000, DAY, 5 * DAY, 60 * DAY, 1500 * DAY])
            now += dice.randrange(longest) if dice.random() > 0.02 else -dice.randrange(DAY)
        made.append(history)
    return made


def expected(history: list[tuple[int, int]]) -> list[Memory]:
    """Give the memory after each answer, by the package from PyPI."""
    scheduler = Scheduler(enable_fuzzing=False)
    card = Card(card_id=1)
    found = []
    for grade, now in history:
        at = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=now)
        card, _ = scheduler.review_card(card, Rating(grade), at)
        assert card.stability is not None
        assert card.difficulty is not None
        found.append(
            Memory(
                due=now + (card.due - at) // dt.timedelta(milliseconds=1),
                last=now,
                S=card.stability,
                D=card.difficulty,
                state=card.state.value,
                step=card.step,
            )
        )
    return found


def test_the_schedule_is_the_one_of_fsrs(site: Site, page: Page) -> None:
    """After each answer of 500 histories: due and state exactly, the rest but for rounding."""
    asked = histories()
    page.goto(f"{site.url}review/")
    answers: list[list[Memory]] = page.evaluate(
        """(histories) => histories.map((history) => {
          let card;
          return history.map(([grade, now]) => card = firedrill.answered(card, grade, now));
        })""",
        asked,
    )
    seen = set()
    for history, ours in zip(asked, answers, strict=True):
        for theirs, own in zip(expected(history), ours, strict=True):
            assert (own["due"], own["state"], own["step"], own["last"]) == (
                theirs["due"],
                theirs["state"],
                theirs["step"],
                theirs["last"],
            ), history
            assert own["S"] == pytest.approx(theirs["S"], rel=1e-9)
            assert own["D"] == pytest.approx(theirs["D"], rel=1e-9)
            seen.add(own["state"])
        assert ours[-1] | {"reps": len(history)} == ours[-1]
    assert seen == {1, 2, 3}


def kept(page: Page) -> Any:  # noqa: ANN401 - whatever JSON holds
    return page.evaluate("firedrill.store.get('reviews')")


def put(page: Page, cards: dict[str, dict[str, Any]], **options: object) -> None:
    """Keep these cards, as an earlier visit would have, and open the page anew."""
    known = {
        name: {"due": 0, "last": 0, "S": 5, "D": 5, "state": 2, "step": None, "reps": 1}
        | {"lapses": 0, "rev": ""}
        | card
        for name, card in cards.items()
    }
    text = json.dumps({"cards": known, "log": [], "options": options})
    page.evaluate("text => localStorage.setItem('firedrill:v1:reviews', text)", text)
    page.reload()


@pytest.fixture
def review(site: Site, page: Page) -> Page:
    """The review page, at noon of a known day."""
    page.clock.set_fixed_time(NOON)
    page.goto(f"{site.url}review/")
    return page


def counts(page: Page) -> Locator:
    return page.locator("[data-fd-counts]")


def test_a_card_is_answered_taken_back_and_answered_by_keyboard_alone(review: Page) -> None:
    """Space and 1 to 4 work while the review has the focus, and nowhere else."""
    front, back = review.locator("[data-fd-front]"), review.locator("[data-fd-back]")
    expect(counts(review)).to_have_text("0 due, 10 new, 0 done today.")
    question = front.inner_text()
    for key in ("Space", "3"):  # the focus is elsewhere
        review.keyboard.press(key)
    assert kept(review)["cards"] == {}
    expect(back).to_be_empty()

    review.get_by_role("button", name="Show answer").focus()
    review.keyboard.press("3")  # nothing is shown yet
    review.keyboard.press("Space")
    expect(back).to_be_focused()
    expect(back).to_contain_text(ANSWER)
    names = [review.get_by_role("button", name=one) for one in ("Again", "Hard", "Good", "Easy")]
    words = [name.inner_text().split("\n")[-1].strip() for name in names]
    assert [word.split(" ", 1)[-1] for word in words] == [
        "minute", "minutes", "minutes", "days"
    ]  # fmt: skip
    review.keyboard.press("3")
    expect(counts(review)).to_have_text("1 due, 9 new, 1 done today.")
    expect(front).to_be_focused()
    expect(front).not_to_have_text(question)
    first = kept(review)["cards"][FIRST]
    assert (first["state"], first["step"], first["due"]) == (1, 1, AT_NOON + 600_000)
    assert kept(review)["log"] == [[FIRST, 3, AT_NOON]]

    review.keyboard.press("Space")
    review.keyboard.press("4")
    expect(counts(review)).to_have_text("1 due, 8 new, 2 done today.")
    for _ in range(2):
        review.get_by_role("button", name="Undo").focus()
        review.keyboard.press("Enter")
    expect(counts(review)).to_have_text("0 due, 10 new, 0 done today.")
    expect(front).to_have_text(question)
    expect(front).to_be_focused()
    expect(review.get_by_role("button", name="Undo")).to_be_disabled()
    assert kept(review) | {"options": {}} == {"cards": {}, "log": [], "options": {}}

    review.get_by_text("Options").click()
    review.get_by_label("New cards a day").fill("2")
    review.keyboard.press("Enter")
    expect(counts(review)).to_have_text("0 due, 2 new, 0 done today.")
    assert kept(review)["options"] == {"perDay": 2, "interview": ""}


def test_a_session_ends_and_says_when_the_next_card_comes(review: Page) -> None:
    """Again brings a card back at the end; the new ones of a day are not exceeded."""
    put(review, {}, perDay=2)
    front = review.locator("[data-fd-front]")
    asked = []
    for grade in ("Again", "Easy", "Easy"):
        asked.append(front.inner_text())
        review.get_by_role("button", name="Show answer").click()
        review.get_by_role("button", name=grade).click()
    assert asked[0] == asked[2] != asked[1]
    expect(counts(review)).to_have_text("0 due, 0 new, 3 done today.")
    expect(review.locator(".fd-flash")).to_contain_text("Done for today.")
    expect(review.locator("[data-fd-next]")).to_contain_text("The next card is due on")
    expect(review.get_by_role("button", name="Show answer")).to_be_hidden()
    review.reload()
    expect(counts(review)).to_have_text("0 due, 0 new, 3 done today.")
    review.clock.set_fixed_time("2026-12-02T06:00:00Z")
    review.reload()
    expect(counts(review)).to_contain_text("2 new, 0 done today.")


def test_before_an_interview_no_card_stays_away_longer_than_half_of_the_days_left(
    review: Page,
) -> None:
    """Also one that was answered before the date was set; without the date all is as before."""
    soon = {"due": AT_NOON + 50 * DAY, "last": AT_NOON - 8 * DAY, "S": 50}
    put(review, {FIRST: soon}, perDay=1)
    expect(counts(review)).to_have_text("0 due, 1 new, 0 done today.")
    review.get_by_text("Options").click()
    review.get_by_label("Interview on").fill("2026-12-08")
    expect(counts(review)).to_have_text("1 due, 1 new, 0 done today.")
    expect(review.locator("[data-fd-limit]")).to_contain_text("now 3 days.")
    review.get_by_role("button", name="Show answer").click()
    expect(review.get_by_role("button", name="Easy")).to_contain_text("3 days")
    review.get_by_label("Interview on").fill("2026-11-30")
    expect(review.locator("[data-fd-limit]")).to_be_hidden()
    expect(counts(review)).to_have_text("0 due, 1 new, 0 done today.")
    assert kept(review)["cards"][FIRST]["due"] == soon["due"]


def test_what_changed_what_left_and_a_clock_set_back_are_told(review: Page) -> None:
    """Each has its message, and the history of every card is kept."""
    put(
        review,
        {
            FIRST: {"due": AT_NOON - DAY, "last": AT_NOON - 5 * DAY, "rev": "00000000"},
            "q-left": {"due": AT_NOON, "last": AT_NOON - DAY},
            "a-01": {"due": AT_NOON + 9 * DAY, "last": AT_NOON + 2 * DAY},
        },
    )
    expect(review.locator("[data-fd-updated]")).to_be_visible()
    expect(review.locator("[data-fd-gone]")).to_contain_text("no longer on this site: q-left.")
    expect(review.locator("[data-fd-clock]")).to_contain_text("on Thu Dec 03 2026.")
    review.get_by_role("button", name="Show answer").click()
    review.get_by_role("button", name="Good").click()
    known = kept(review)["cards"]
    assert set(known) == {FIRST, "q-left", "a-01"}
    revision = review.locator(f'[data-fd-card="{FIRST}"]').get_attribute("data-fd-rev")
    assert known[FIRST]["rev"] == revision
    expect(review.locator("[data-fd-updated]")).to_be_hidden()

    # Another tab answers the same card: Undo would take away what was answered there.
    known[FIRST] |= {"last": AT_NOON + 1}
    review.evaluate("cards => firedrill.store.set('reviews', {cards, log: [], options: {}})", known)
    review.get_by_role("button", name="Undo").click()
    expect(review.locator("[data-fd-elsewhere]")).to_be_visible()
    expect(review.locator("[data-fd-front]")).to_be_focused()
    assert kept(review)["cards"] == known


@pytest.fixture
def prepared(site: Site, browser: Chromium) -> Iterator[Any]:
    """Open the page where a script has run before those of the page."""
    with browser.context() as context:

        def prepare(script: str) -> Page:
            context.add_init_script(script)
            page = context.new_page()
            page.goto(f"{site.url}review/")
            return page

        yield prepare


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (NO_STORAGE, "keeps no data"),
        ("localStorage.setItem('firedrill:v2:reviews', '{}')", "a newer version of this site"),
    ],
    ids=["closed", "newer"],
)
def test_where_nothing_is_kept_it_works_until_the_page_is_left(
    prepared: Any,  # noqa: ANN401 - the fixture above
    script: str,
    said: str,
) -> None:
    page = prepared(script)
    expect(page.locator("[data-fd-problem]")).to_contain_text(said)
    page.get_by_role("button", name="Show answer").click()
    page.get_by_role("button", name="Good").click()
    expect(counts(page)).to_have_text("1 due, 9 new, 1 done today.")
    assert page.evaluate("localStorage.getItem('firedrill:v1:reviews')") is None


def test_without_scripts_every_card_can_be_read(site: Site, browser: Chromium) -> None:
    with browser.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}review/")
        expect(page.locator(".fd-review")).to_be_hidden()
        expect(page.get_by_text("Options")).to_be_hidden()
        page.locator(".fd-deck summary").first.click()
        card = page.locator(f'[data-fd-card="{FIRST}"]')
        card.locator("summary").click()
        expect(card).to_contain_text(ANSWER)
        page.get_by_role("link", name="Anki deck and a CSV file").click()
        with page.expect_download() as saved:
            page.get_by_role("link", name="Anki deck").click()
        assert saved.value.suggested_filename == "firedrill.apkg"
