"""Cards: only of what is complete, with ids that stay, and the same in every form."""

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest

from catalog.cards import MOST_WORDS, Card, cards, rich, slug
from catalog.check import check
from catalog.export import deck, files
from catalog.load import load
from catalog.model import Catalog, SelfCheck, Status
from catalog.pages import generate
from catalog.selfcheck import first_action, plain, self_checks
from tests.catalog.repository import NAME, PAGE, QUESTION, ROOT, edit

SITE = "https://firedrill.example/"
STORED_ID = re.compile(r"^[a-z0-9][a-z0-9:#._/-]{0,120}$")  # as store.js takes it


def catalog_of(root: Path) -> Catalog:
    catalog, problems = load(root, environ={"SITE_URL": SITE})
    assert problems == []
    return catalog


def everything_complete(catalog: Catalog) -> Catalog:
    """Give the catalog as it will be: every scenario and question complete, a dozen cards each."""
    like = next(one for one in catalog.scenarios if one.status is Status.COMPLETE)
    answered = next(one for one in catalog.questions if one.status is Status.COMPLETE)
    checks = tuple(SelfCheck(q=f"Question {n}?", a="An answer. " * 10) for n in range(6))
    page = {name: getattr(like, name) for name in ("summary", "changes", "measured")}
    page |= {"checks": checks, "status": Status.COMPLETE}
    answer = {name: getattr(answered, name) for name in ("rubric", "changes", "follow_ups")}
    answer |= {"status": Status.COMPLETE}
    return catalog.model_copy(
        update={
            "scenarios": tuple(one.model_copy(update=page) for one in catalog.scenarios),
            "questions": tuple(one.model_copy(update=answer) for one in catalog.questions),
        }
    )


def by_id(root: Path) -> dict[str, Card]:
    return {card.id: card for card in cards(catalog_of(root))}


def test_a_finished_scenario_makes_every_kind_of_card(filled: Path) -> None:
    made = by_id(filled)
    kinds = {one: [card.id for card in made.values() if card.kind == one] for one in (
        "check", "checklist", "symptom", "question", "follow-up"
    )}  # fmt: skip
    (asked,) = kinds["check"]
    assert asked.startswith(f"{NAME}#written-by-an-author-sentence")
    assert kinds["checklist"] == ["a-22"]
    assert kinds["symptom"] == [NAME]
    assert kinds["question"] == [f"q-{NAME}"]
    assert kinds["follow-up"] == [f"q-{NAME}#f-{NAME}-{n}" for n in range(1, 6)]
    assert {card.scenario for card in made.values()} == {NAME}
    assert made[NAME].back.startswith("Open first: Twenty second.\n")
    assert made[f"q-{NAME}"].back.startswith("In three words.\n")
    assert "level::must-know" in made["a-22"].tags
    assert made["a-22"].changed.isoformat() == "2026-11-22"


def test_what_is_not_complete_makes_none(filled: Path) -> None:
    edit(filled, PAGE, "page-type: scenario\n", "page-type: scenario\nstatus: draft\n")
    assert by_id(filled) == {}
    drafts, _ = load(filled, drafts=True)
    assert cards(drafts) == ()


@pytest.mark.parametrize("place", ["this repository", "all complete"])
def test_cards_fit_a_screen_the_store_and_the_site(place: str) -> None:
    catalog = catalog_of(ROOT)
    made = cards(catalog if place == "this repository" else everything_complete(catalog))
    assert len(made) > (30 if place == "this repository" else 300)
    ids = [card.id for card in made]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not STORED_ID.match(one)] == []
    for card in made:
        assert 0 < len(card.back.split()) <= MOST_WORDS, card.id
        assert "[[" not in card.front + card.back, card.id
        assert "](" not in card.front + card.back, card.id


def test_a_word_changes_the_revision_and_nothing_else_does(filled: Path) -> None:
    before = by_id(filled)
    edit(filled, QUESTION, "follow_ups:", "follow_ups:\n  # a comment")
    edit(
        filled,
        PAGE,
        "  - {date: 2026-11-22",
        "  - {date: 2026-11-23, what: More}\n  - {date: 2026-11-22",
    )
    dated = by_id(filled)
    assert {one: card.rev for one, card in dated.items()} == {
        one: card.rev for one, card in before.items()
    }
    assert dated["a-22"].changed > before["a-22"].changed
    edit(filled, QUESTION, "probes: scale", "probes: scale")
    text = (filled / QUESTION).read_text()
    answer = re.search(r'    a: "(.*?)"', text)
    assert answer is not None
    edit(filled, QUESTION, answer[1], "Something else.")
    after = by_id(filled)
    changed = [one for one, card in after.items() if card.rev != before[one].rev]
    assert changed == [f"q-{NAME}#f-{NAME}-1"]


def test_folded_questions_are_read_as_the_page_shows_them() -> None:
    body = """## Problem

??? question "Not this one"

    It is in another section.

## Check yourself

??? question "What does `a[0]` *cost*, and **why**?"

    It [costs](../x.md#y "t"){ .c } two[^1] \\*stars\\*: `__init__` and `*args`.
    On the same line.

    - one
      more
    - two

    ```python
    ## Check
    x = 1
    ```

??? note "No question"

    Nothing.

???+ question "Unanswered"

Text between.

??? question "Say \\"no\\""

    No.

## Related

??? question "Nor this"

    No.
"""
    first, second = self_checks(body)
    assert first.q == "What does `a[0]` cost, and why?"
    assert first.a.split("\n") == [
        "It costs two *stars*: `__init__` and `*args`. On the same line.",
        "- one more",
        "- two",
        "`## Check`",
        "`x = 1`",
    ]
    assert (second.q, second.a) == ('Say "no"', "No.")
    assert rich("a < `b & c`\nd") == "a &lt; <code>b &amp; c</code><br>d"
    assert plain("snake_case and __dunder__ a*b*c") == "snake_case and dunder a*b*c"


def test_a_runbook_gives_its_first_action() -> None:
    steps = "Act.\n\n1. Restart `web`,\n   once.\n2. Wait.\n\n### Fix\n\n1. No.\n"
    body = f"## Runbook\n\n### First 5 minutes\n\n{steps}"
    assert first_action(body) == "Restart `web`, once."
    assert first_action("## Problem\n") == ""


def test_an_id_is_of_whole_words() -> None:
    assert slug("What's `X-Forwarded-For`, in 5 words?") == "what-s-x-forwarded-for-in-5-words"
    assert slug("word " * 30) == "-".join(["word"] * 12)
    assert slug("w" * 100) == "w" * 60


FAULTS = {
    "nothing asked": (
        '??? question "',
        '??? note "',
        "'Check yourself' asks nothing that could become a card",
    ),
    "an essay": (
        "    Written by",
        f"    {'word ' * 60}\n    Written by",
        "words. Mend: cut it to 60",
    ),
    "asked twice": (
        "## Interview questions",
        '??? question "A?"\n\n    Yes.\n\n??? question "a"\n\n    No.\n\n## Interview questions',
        "is made twice",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_mend(filled: Path, fault: str) -> None:
    old, new, said = FAULTS[fault]
    edit(filled, PAGE, old, new)
    catalog = catalog_of(filled)
    (problem,) = check(catalog, filled)
    assert problem.path == PAGE
    assert said in str(problem)


# Every form ---------------------------------------------------------------------------------------


def test_page_json_csv_and_deck_hold_the_same_cards() -> None:
    """Each id once, with the same revision; the JSON follows its schema."""
    catalog = catalog_of(ROOT)
    written = files(catalog)
    api = json.loads(written["api/v1/cards.json"])
    schema = json.loads(written["api/v1/cards.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(api, schema)
    assert set(api) == {"version", "revision", "cards"}
    assert set(api["cards"][0]) == {
        "id", "kind", "scenario", "topic", "front", "back", "see", "tags", "rev", "changed"
    }  # fmt: skip
    expected = {card.id: card.rev for card in cards(catalog)}
    assert {one["id"]: one["rev"] for one in api["cards"]} == expected
    page = generate(catalog)["review.md"]
    found = re.findall(r'data-fd-card="([^"]+)" data-fd-rev="([^"]+)"', page)
    assert dict(found) == expected
    assert len(found) == len(expected)
    text = written["downloads/firedrill-cards.csv"].decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["id"]: row["rev"] for row in rows} == expected
    assert {row["id"]: row["back"] for row in rows} == {
        card.id: card.back for card in cards(catalog)
    }
    assert [row["id"] for row in rows if re.match(r"[=+@\t\r-]", row["front"] + row["back"])] == []
    assert all(row["see"].startswith(SITE) for row in rows)
    notes = notes_of(written["downloads/firedrill.apkg"])
    assert {fields[0]: fields[5] for _, fields, _ in notes.values()} == expected


def test_the_downloads_page_tells_true_sizes() -> None:
    catalog = catalog_of(ROOT)
    written = files(catalog)
    page = generate(catalog)["downloads.md"]
    rows = re.findall(r"\]\(([^)]+)\)\{ download \} \| ([\d.,]+)\N{NO-BREAK SPACE}kB", page)
    assert len(rows) == 5
    for path, told in rows:
        assert float(told.replace(",", "")) == round(len(written[path]) / 1000, 1)


def notes_of(package: bytes) -> dict[str, tuple[int, list[str], str]]:
    """Give modification time, fields and tags of each note, by GUID."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.read("media") == b"{}"
        db = sqlite3.connect(":memory:")
        db.deserialize(archive.read("collection.anki2"))
    rows = db.execute("SELECT guid, mod, flds, tags FROM notes").fetchall()
    db.close()
    return {guid: (mod, fields.split("\x1f"), tags) for guid, mod, fields, tags in rows}


def test_the_deck_loads_nothing_and_escapes_everything() -> None:
    catalog = catalog_of(ROOT)
    hostile = cards(catalog)[0].model_copy(
        update={"front": "<img src=https://x.example/y> & `<b>`", "topic": "<script>"}
    )
    package = deck.anki((hostile,), SITE)
    (note,) = notes_of(package).values()
    assert note[1][2] == "&lt;img src=https://x.example/y&gt; &amp; <code>&lt;b&gt;</code>"
    assert note[1][1] == "&lt;script&gt;"
    with zipfile.ZipFile(io.BytesIO(deck.anki(cards(catalog), SITE))) as archive:
        collection = archive.read("collection.anki2").decode("utf-8", "replace")
    assert not re.search(r"<(img|script|link|iframe|audio|video)|url\(|@import", collection)


def test_guids_never_change() -> None:
    """Readers' decks hang on them: a change of this table loses everybody's progress."""
    like = cards(catalog_of(ROOT))[0]
    made = {name: deck.guid(like.model_copy(update={"id": name})) for name in (
        "a-01", "q-rate-limiting", "q-rate-limiting#f-clock"
    )}  # fmt: skip
    assert made == GUIDS
    assert (deck.DECK_ID, deck.MODEL_ID) == (1_795_204_461, 1_795_204_462)


GUIDS = {
    "a-01": "o$B1iaxzub",
    "q-rate-limiting": "G;i6xeIY$",
    "q-rate-limiting#f-clock": "o#uv&?M8M%",
}


@pytest.mark.slow
def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """In other processes, with other hash seeds, at other times, and no file is left behind."""
    code = (
        "import sys; from pathlib import Path; from catalog.load import load;"
        "from catalog.export import files;"
        f"made = files(load(Path({str(ROOT)!r}), environ={{}})[0]);"
        "[sys.stdout.buffer.write(made[name]) for name in sorted(made)]"
    )
    made = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": f"UTC{seed}", "TMPDIR": str(tmp_path)},
            capture_output=True,
            check=True,
        )
        made.add(done.stdout)
    assert len(made) == 1
    assert list(tmp_path.iterdir()) == []
    assert b"PK" in made.pop()
