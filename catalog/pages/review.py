"""Review: the cards of what is complete, and a script that says when each comes back."""

import html
from collections.abc import Sequence

from catalog.cards import Card, cards, rich
from catalog.model import Catalog
from catalog.pages.sheet import Sheet, count
from catalog.pages.tool import own_data, scripts

GRADES = ("Again", "Hard", "Good", "Easy")
KINDS = {
    "check": "check yourself",
    "checklist": "checklist",
    "symptom": "on call",
    "question": "interview question",
    "follow-up": "follow-up",
}


def review(catalog: Catalog) -> str:
    """Give review.md."""
    sheet = Sheet(catalog, "review.md")
    made = cards(catalog)
    deck = sheet.address("downloads.md")
    body = [
        (
            f'<p class="fd-lead">{count(len(made), "card")} from the finished scenarios: answer '
            "aloud, look, and say how well it went. Each card comes back shortly before you would "
            "forget it.</p>"
        ),
        _region(),
        _options(),
        "## All cards",
        f'<p>They are an <a href="{deck}">Anki deck and a CSV file</a> as well.</p>',
        _fold_outs(sheet, made),
        (
            '<p class="fd-quiet">The schedule is FSRS-6 with its default weights, aiming at nine '
            "of ten answers remembered, by "
            '<a href="https://github.com/open-spaced-repetition/py-fsrs">open-spaced-repetition'
            "</a> (MIT).</p>"
        ),
        own_data(),
        scripts(sheet, "review"),
    ]
    return sheet.write(
        "Review",
        "Learn the answers for good: one card at a time, and each comes back shortly before you "
        "would forget it.",
        body,
    )


def _region() -> str:
    """Give the place where one card is shown; the script fills it."""
    buttons = "\n".join(
        f'<button type="button" class="md-button" data-fd-grade>{name} <span></span></button>'
        for name in GRADES
    )
    return f"""<section class="fd-review fd-tools" data-fd-keys="1234" aria-label="Review" hidden>
<p class="fd-problem" data-fd-clock role="status" hidden>The clock of this device is behind: you \
answered a card on <b></b>. Set it right and reload the page, or cards come late. Nothing is \
lost.</p>
<p class="fd-problem" data-fd-gone role="status" hidden>These cards that you answered are no \
longer on this site: <b></b>. What you answered is kept, and exported.</p>
<p class="fd-problem" data-fd-elsewhere role="status" hidden>That card was answered, imported or \
deleted elsewhere since, so it stays as it is.</p>
<p role="status" data-fd-counts></p>
<div class="fd-flash">
<p class="fd-quiet" data-fd-topic></p>
<p class="fd-flash__front" data-fd-front tabindex="-1"></p>
<p data-fd-next hidden>The next card is due on <b></b>.</p>
<p class="fd-flash__updated" data-fd-updated hidden>The answer was updated since you saw it.</p>
<div data-fd-back tabindex="-1"></div>
</div>
<p class="fd-buttons">
<button type="button" class="md-button" data-fd-show>Show answer</button>
{buttons}
<button type="button" class="md-button" data-fd-undo disabled>Undo</button>
</p>
<p class="fd-quiet">While the focus is here, <kbd>Space</kbd> shows the answer, and <kbd>1</kbd> \
to <kbd>4</kbd> say how well it went.</p>
</section>"""


def _options() -> str:
    return """<details class="fd-tools" data-fd-options hidden><summary>Options</summary>
<p class="fd-fields">
<label>New cards a day <input type="number" min="0" max="999" required data-fd-per-day></label>
<label>Interview on <input type="date" data-fd-interview></label>
</p>
<p data-fd-limit role="status" hidden>Until your interview no card stays away longer than half \
of the days left, now <b></b>.</p>
</details>"""


def _fold_outs(sheet: Sheet, made: Sequence[Card]) -> str:
    """Give every card as a fold-out, by scenario; search knows them from their own pages."""
    lines = ['<div class="fd-deck" data-search-exclude>']
    for scenario in sheet.catalog.scenarios:
        own = [card for card in made if card.scenario == scenario.id]
        if own:
            title = html.escape(f"{scenario.number} · {scenario.title}")
            lines.append(f"<details><summary>{title} ({count(len(own), 'card')})</summary>")
            lines += [_fold_out(card) for card in own]
            lines.append("</details>")
    return "\n".join([*lines, "</div>"])


def _fold_out(card: Card) -> str:
    topic = html.escape(f"{card.topic} · {KINDS[card.kind]}")
    # `see` counts from the root of the site, and this page is one folder below it.
    return (
        f'<details data-fd-card="{card.id}" data-fd-rev="{card.rev}" data-fd-topic="{topic}">'
        f"<summary>{rich(card.front)}</summary><div><p>{rich(card.back)}</p>"
        f'<p><a href="../{card.see}">Where it is explained</a></p></div></details>'
    )
