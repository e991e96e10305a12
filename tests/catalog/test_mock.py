"""The mock interview: its draw, its page, and the page when every question is answered."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.answer import read_answer
from catalog.cards import cards
from catalog.draw import draw, pool, revision
from catalog.load import load
from catalog.markdown import parse_document
from catalog.model import AnswerStep, Catalog, Status
from catalog.pages.mock import mock
from catalog.vocabulary import STEPS
from tests.catalog.repository import NAME, ROOT

IDS = [f"q-{number}" for number in range(19)]


def answer(text: str) -> tuple[AnswerStep, ...]:
    document, _ = parse_document(text, "docs/questions/q-x.md")
    assert document is not None
    return read_answer(document)


@pytest.fixture(scope="module")
def full() -> Catalog:
    """Every question with the longest answer there is."""
    catalog, problems = load(ROOT)
    assert problems == []
    answered = [one for one in catalog.questions if catalog.has_page(one)]
    longest = max(answered, key=lambda one: sum(len(step.text) for step in one.answer))
    same = longest.model_dump(
        include={"follow_ups", "red_flags", "rubric", "answer"}, round_trip=True
    )
    rows = [
        one if catalog.has_page(one) else type(one).model_validate(
            one.model_dump() | same | {"status": Status.COMPLETE}
        )
        for one in catalog.questions
    ]  # fmt: skip
    return catalog.model_copy(update={"questions": tuple(rows)})


@settings(max_examples=200)
@given(st.integers(-3, 30), st.text(st.characters(), max_size=40))
def test_a_draw_repeats_nothing_and_a_longer_one_goes_on(n: int, seed: str) -> None:
    drawn = draw(IDS, n, seed)
    assert len(drawn) == max(0, min(n, len(IDS))) == len(set(drawn))
    assert set(drawn) <= set(IDS)
    assert draw(IDS, n + 1, seed)[: len(drawn)] == drawn


def test_every_question_is_drawn_as_often_as_the_others() -> None:
    """5 of 19 by 4,000 seeds: each about 1,053 times; six standard deviations are 167."""
    counted = Counter(name for seed in range(4000) for name in draw(IDS, 5, f"seed {seed}"))
    assert all(abs(counted[name] - 4000 * 5 / 19) < 167 for name in IDS)


def test_the_first_step_parts_what_to_ask_from_what_is_said() -> None:
    steps = answer(
        "## 1. Clarify\n\nAsk.\n\n- Who?\n\n    More.\n\nAssume ten servers.\n\n"
        "## 4. Code example\n\nSo.\n\n```python\n## 2. not a heading\n```\n\nThen.\n\n## Other\n"
    )
    assert [one.step for one in steps] == ["clarify", "code-example"]
    assert steps[0].text == "Ask.\n\n- Who?\n\n    More."
    assert steps[0].facts == "Assume ten servers."
    assert (steps[1].text, steps[1].code, steps[1].place) == (
        "So.\n\nThen.",
        True,
        "4-code-example",
    )


@pytest.mark.parametrize("text", ["Assume ten servers.", "- Who?\n- How many?", ""])
def test_without_a_list_and_its_sequel_all_of_it_is_said(text: str) -> None:
    (step,) = answer(f"## 1. Clarify\n\n{text}\n")
    assert (step.text, step.facts) == ("", text)


def test_every_answered_question_has_its_seven_steps_and_facts() -> None:
    catalog, _ = load(ROOT)
    answered = pool(catalog)
    assert answered
    for one in answered:
        assert tuple(step.step for step in one.answer) == STEPS, one.id
        assert one.answer[0].facts, one.id
        assert one.answer[0].text, one.id


def test_links_of_an_answer_lead_on_from_the_page(filled: Path) -> None:
    """What the answer links is found from /mock/ too; code is left alone."""
    page = filled / f"docs/questions/q-{NAME}.md"
    words = f"A [page](../scenarios/{NAME}.md#code), [here](#4-code-example), [web](https://a.b/), "
    text = page.read_text().replace("## 2. Id", f"{words}`[a](b)`.\n\n### Sub\n\n## 2. Id")
    page.write_text(text)
    written = mock(load(filled)[0])
    moved = words.replace("../", "").replace("(#", f"(questions/q-{NAME}.md#")
    assert f"{moved}`[a](b)`.\n\n**Sub**\n" in written


def test_a_page_without_answers_is_whole(bare: Path) -> None:
    written = mock(load(bare)[0])
    assert "Drawn from the 0 questions answered so far" in written
    assert "<details id=" not in written
    assert "## Ready draws" not in written


def test_all_questions_fit_one_page(full: Catalog) -> None:
    """Ten draws of five, a fold-out for each question, ordered by scenario."""
    written = mock(full)
    names = re.findall(r'<details id="(q-[a-z-]+)"', written)
    assert names == [one.id for one in pool(full)]
    assert sorted(names) == sorted(one.id for one in full.questions)
    draws = re.findall(r"^- Seed (\d+): (.*)$", written, re.MULTILINE)
    assert [seed for seed, _ in draws] == [str(seed) for seed in range(1, 11)]
    for seed, row in draws:
        assert re.findall(r"\(#(q-[a-z-]+)\)", row) == draw(names, 5, seed)


def test_21_questions_make_a_page_that_loads() -> None:
    """All model answers stand in the page: a page on disk can fetch nothing."""
    written = mock(load(ROOT)[0])
    folds = re.findall('<details id="q-.*?</details>', written, re.DOTALL)
    assert 21 * len("".join(folds).encode()) / len(folds) < 160_000


def test_every_question_that_is_drawn_has_a_card_to_review() -> None:
    catalog, _ = load(ROOT)
    assert {one.id for one in pool(catalog)} <= {card.id for card in cards(catalog)}


def test_the_revision_tells_pools_apart() -> None:
    rows = [{"id": name, "parts": ["a"]} for name in IDS]
    found = {revision(rows), revision(rows[1:]), revision(rows[::-1]), revision([])}
    assert len(found) == 4
