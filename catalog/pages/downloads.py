"""Downloads: the files for learning elsewhere and for programs, with their sizes."""

from catalog.cards import cards
from catalog.export import files
from catalog.model import Catalog
from catalog.pages.sheet import Sheet, count

_FILES = (
    (
        "downloads/firedrill.apkg",
        "Anki deck",
        "every card, for [Anki](https://apps.ankiweb.net/) on a computer or a phone",
    ),
    ("downloads/firedrill-cards.csv", "Cards as CSV", "the same for a table or another program"),
    ("api/v1/cards.json", "Cards as JSON", "the same for programs"),
    ("api/v1/catalog.json", "Catalog as JSON", "scenarios, questions and indexes, for programs"),
    ("llms.txt", "llms.txt", "the list of pages, for language models"),
)
_SCHEMAS = {
    "api/v1/cards.json": "api/v1/cards.schema.json",
    "api/v1/catalog.json": "api/v1/catalog.schema.json",
}


def downloads(catalog: Catalog) -> str:
    """Give downloads.md."""
    sheet = Sheet(catalog, "downloads.md")
    made = files(catalog)
    rows = ["| File | Size | What it is |", "| --- | ---: | --- |"]
    for path, title, about in _FILES:
        schema = _SCHEMAS.get(path)
        more = f" ([JSON Schema]({sheet.to(schema)}))" if schema else ""
        link = f"[{title}]({sheet.to(path)}){{ download }}"
        rows.append(f"| {link} | {size(len(made[path]))} | {about}{more} |")
    body = [
        (
            f'<p class="fd-lead">{count(len(cards(catalog)), "card")} to take along; for programs, '
            "everything this site knows.</p>"
        ),
        "\n".join(rows),
        "## The deck in Anki",
        (
            "Import `firedrill.apkg` by *File → Import*, and import it again whenever this site "
            "has changed.\n"
            "New cards come in, changed cards get their new words, and what you have learnt stays "
            "scheduled as it was.\n"
            "By default Anki changes a card only if its page has a newer date than your copy; "
            "with *Update notes: Always* it changes every card.\n"
            "Edit no field of these notes, since an update would replace it; write into notes of "
            "your own.\n"
            "Tags such as `level::must-know`, `tech::redis` or `scenario::05` let you study a part."
        ),
        "The deck loads no picture, font or script from anywhere.",
        "## Without Anki",
        (
            f"[Review]({sheet.to('review.md')}) schedules the same cards in your browser.\n"
            "It and the deck do not know of each other: choose one."
        ),
    ]
    return sheet.write(
        "Downloads",
        "The cards as an Anki deck, as CSV and as JSON, and the catalog for programs: every file "
        "with its size.",
        body,
    )


def size(count_of_bytes: int) -> str:
    """Write a size in kilobytes of 1,000 bytes."""
    return f"{count_of_bytes / 1000:,.1f}\N{NO-BREAK SPACE}kB"
