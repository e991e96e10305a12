"""The deck in the real Anki: imported twice, changed, and nothing that was learnt is lost."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anki.collection import Collection, ImportAnkiPackageOptions, ImportAnkiPackageRequest

from catalog.cards import Card, cards
from catalog.export import deck
from catalog.load import load
from tests.catalog.repository import ROOT

SITE = "https://firedrill.example/"


class Reader:
    """A reader's own collection in the real Anki."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collection = Collection(str(folder / "own.anki2"))
        self.imports = 0

    def take(self, made: tuple[Card, ...]) -> tuple[int, int, int]:
        """Import a deck as Anki's own window does by default: (new, updated, known already)."""
        self.imports += 1
        package = self.folder / f"{self.imports}.apkg"
        package.write_bytes(deck.anki(made, SITE))
        request = ImportAnkiPackageRequest(
            package_path=str(package), options=ImportAnkiPackageOptions()
        )
        log = self.collection.import_anki_package(request).log
        assert not log.conflicting
        assert not log.empty_first_field
        return len(log.new), len(log.updated), len(log.duplicate)

    def card(self, name: str) -> Any:  # noqa: ANN401 - Anki's own card
        """Give the one card of a note."""
        (found,) = self.collection.find_cards(f'"Id:{name}"')
        return self.collection.get_card(found)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    found = Reader(tmp_path)
    yield found
    found.collection.close()


def test_anki_keeps_what_was_learnt_when_the_deck_comes_again(reader: Reader) -> None:
    """All new at first; nothing the second time; then what changed is new in words only."""
    made = cards(load(ROOT, environ={"SITE_URL": SITE})[0])
    assert reader.take(made) == (len(made), 0, 0)
    name = reader.collection.decks.id_for_name("Firedrill")
    assert name is not None
    reader.collection.decks.select(name)
    studied = reader.collection.sched.getCard()
    assert studied is not None
    studied.start_timer()
    reader.collection.sched.answerCard(studied, 3)
    learnt = reader.card(studied.note()["Id"])
    assert (learnt.reps, learnt.queue) == (1, 1)

    assert reader.take(made) == (0, 0, len(made))
    assert reader.collection.note_count() == len(made)

    first = next(card for card in made if card.id == learnt.note()["Id"])
    changed = first.model_copy(
        update={
            "back": "Another `answer`.",
            "rev": "00000000",
            "tags": ("part::9",),
            "changed": first.changed + dt.timedelta(days=1),
        }
    )
    new = first.model_copy(update={"id": "a-99", "front": "New?"})
    rest = tuple(card for card in made if card.id != first.id)
    assert reader.take((changed, *rest[1:], new)) == (1, 1, len(made) - 2)
    again = reader.card(first.id)
    assert again.note()["Back"] == "Another <code>answer</code>."
    assert "part::9" in again.note().tags
    assert (again.id, again.reps, again.queue, again.due) == (
        learnt.id,
        1,
        learnt.queue,
        learnt.due,
    )
    # A card that left the site stays with those who have it.
    assert reader.collection.note_count() == len(made) + 1
    shown = again.render_output()
    assert f'href="{SITE}{first.see}"' in shown.answer_text
    assert "Another <code>answer</code>." in shown.answer_text
    assert "Another" not in shown.question_text
