"""What the practice tools share: their scripts, the data they carry, the reader's own data.

Every tool is a page that is complete without scripts; its controls carry `hidden`, and the script
that serves them shows them. Scripts are classic and deferred, and the data stands in the page, so
that all of it works from a folder on disk too.
"""

import json
from typing import Any

from catalog.pages.sheet import Sheet


def scripts(sheet: Sheet, *names: str, store: bool = True) -> str:
    """Load the store of practice data if needed, then the named scripts, in order."""
    return "\n".join(
        f'<script defer src="{sheet.address(f"assets/practice/{name}.js")}"></script>'
        for name in (("store", *names) if store else names)
    )


def data(name: str, value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Carry data in the page for `firedrill.data(name)`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # `<` cannot end the element then; a line of its own cannot become Markdown either.
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json" id="{name}">{text}</script>'


def own_data(heading: str = "Your data") -> str:
    """Give the section in which readers export, import and delete what this browser keeps."""
    return f"""<section class="fd-own" data-fd-practice-data hidden aria-labelledby="own-data">
<h2 id="own-data">{heading}</h2>
<p>What you do here stays in this browser. Nothing is sent anywhere.</p>
<p class="fd-problem" data-fd-problem role="status" hidden></p>
<p class="fd-buttons">
<button type="button" class="md-button" data-fd-export>Export</button>
<button type="button" class="md-button" data-fd-import>Import</button>
<button type="button" class="md-button" data-fd-delete>Delete</button>
</p>
<input type="file" accept="application/json,.json" aria-label="Practice file to import" hidden>
<p role="status" data-fd-status></p>
<dialog aria-labelledby="own-delete">
<form method="dialog">
<p id="own-delete">Delete all practice data that this browser keeps for this site?</p>
<p class="fd-buttons">
<button class="md-button" value="keep" autofocus>Keep</button>
<button class="md-button" value="delete">Delete</button>
</p>
</form>
</dialog>
</section>"""
