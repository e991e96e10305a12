"""The cards as an Anki deck and as CSV. Pure: the same cards give the same bytes.

genanki writes the collection; it is taken from memory and packed here, since its own packing
stamps the time of day and leaves a temporary file behind.
"""

import csv
import datetime as dt
import functools
import io
import itertools
import sqlite3
import zipfile

from catalog.cards import Card, rich

# Never change these: a deck that is imported again finds its notes by them.
NAMESPACE = "firedrill"
DECK_ID = 1_795_204_461
MODEL_ID = 1_795_204_462
# Raise it whenever the model below changes: Anki then takes the new one over.
_MODEL_CHANGED = dt.datetime(2026, 11, 27, tzinfo=dt.UTC).timestamp()
_FIELDS = ("Id", "Topic", "Front", "Back", "Source", "Revision")
_FRONT = '<p class="topic">{{Topic}}</p>\n<p>{{Front}}</p>'
_BACK = """{{FrontSide}}
<hr id="answer">
<p>{{Back}}</p>
{{#Source}}<p class="topic"><a href="{{Source}}">Where it is explained</a></p>{{/Source}}"""
_STYLE = """.card { font-family: system-ui, sans-serif; font-size: 20px; line-height: 1.4;
  max-width: 34em; margin: 0 auto; padding: 1em; text-align: left; }
.topic { font-size: 15px; opacity: .8; }
code { font-family: ui-monospace, monospace; font-size: .9em; }"""
_PACKED = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


@functools.lru_cache(maxsize=2)
def anki(cards: tuple[Card, ...], site_url: str) -> bytes:
    """Give the deck as a package that Anki imports.

    A note's time is the day on which its page says that it changed last, so that an import
    replaces what is older and nothing else.
    """
    # Late: it costs more to import than everything around it.
    import genanki

    model = genanki.Model(
        MODEL_ID,
        "Firedrill card",
        fields=[{"name": name} for name in _FIELDS],
        templates=[{"name": "Card", "qfmt": _FRONT, "afmt": _BACK}],
        css=_STYLE,
    )
    deck = genanki.Deck(DECK_ID, "Firedrill")
    for card in cards:
        deck.add_note(
            genanki.Note(
                model=model,
                fields=[
                    rich(card.id),
                    rich(card.topic),
                    rich(card.front),
                    rich(card.back),
                    rich(f"{site_url}{card.see}") if site_url else "",
                    card.rev,
                ],
                guid=guid(card),
                tags=card.tags,
            )
        )
    with sqlite3.connect(":memory:") as db:
        package = genanki.Package(deck)
        package.write_to_db(db.cursor(), _MODEL_CHANGED, itertools.count(_ids_from()))
        for card in cards:
            db.execute("UPDATE notes SET mod = ? WHERE guid = ?", (_time(card), guid(card)))
        db.commit()
        collection = db.serialize()
    db.close()
    return _zipped({"collection.anki2": collection, "media": b"{}"})


def guid(card: Card) -> str:
    """Give the name by which Anki knows a note, the same for ever."""
    import genanki

    return str(genanki.guid_for(NAMESPACE, card.id))


def table(cards: tuple[Card, ...], site_url: str) -> bytes:
    """Give the cards as CSV: RFC 4180 in UTF-8, with the mark by which Excel knows it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("id", "kind", "topic", "front", "back", "see", "tags", "rev", "changed"))
    for card in cards:
        writer.writerow(
            (
                card.id,
                card.kind,
                card.topic,
                card.front,
                card.back,
                f"{site_url}{card.see}",
                " ".join(card.tags),
                card.rev,
                card.changed.isoformat(),
            )
        )
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _ids_from() -> int:
    """Give the first of the numbers for notes and cards; Anki takes milliseconds."""
    return int(_MODEL_CHANGED * 1000)


def _time(card: Card) -> int:
    return int(dt.datetime.combine(card.changed, dt.time(), dt.UTC).timestamp())


def _zipped(files: dict[str, bytes]) -> bytes:
    """Pack files without saying when."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _PACKED)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return packed.getvalue()
