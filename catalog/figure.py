"""What diagrams and charts share: a cache of finished SVG, and the figure around it."""

import html
import os
import re
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path("build") / "cache"

_ID = re.compile(r'(?P<before>\bid="|url\(#)')


def cached(root: Path, kind: str, key: str, suffix: str = "svg") -> str | None:
    """Give the picture stored under a key, or None."""
    try:
        return (root / CACHE / kind / f"{key}.{suffix}").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def store(root: Path, kind: str, key: str, picture: str, suffix: str = "svg") -> None:
    """Store a picture; a reader sees the whole of it or nothing."""
    folder = root / CACHE / kind
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(picture)
    Path(name).replace(folder / f"{key}.{suffix}")


def attributes(info: str) -> dict[str, str]:
    """Give the `key="value"` pairs of a fence's info string."""
    return dict(re.findall(r'([A-Za-z][\w-]*)="([^"]*)"', info))


def unit(md: object, kind: str) -> str:
    """Give an id prefix that no other figure of the page has."""
    counter = f"firedrill_{kind}"
    number = int(getattr(md, counter, 0)) + 1
    setattr(md, counter, number)
    return f"{kind}-{number}"


def figure(picture: str, kind: str, uid: str, title: str, alt: str) -> str:
    """Wrap an SVG: ids of its own, title and description, a box that scrolls when narrow.

    Args:
        picture: an `<svg ...>` element with `width="<pixels>"`.
        kind: d2 or chart.
        uid: id prefix, unique on the page.
        title: its name, for those who cannot see it.
        alt: what it shows, for those who cannot see it.
    """
    head, _, body = _ID.sub(rf"\g<before>{uid}-", picture).partition(">")
    width = re.search(r'width="(\d+)', head)
    size = width[1] if width else "600"
    return (
        f'<figure class="fd-figure fd-figure--{kind}">'
        f'<div class="fd-scroll" role="group" aria-label="{html.escape(title)}" tabindex="0">'
        f'{head} style="--fd-width:{size}px" role="img" aria-labelledby="{uid}-t {uid}-d">'
        f'<title id="{uid}-t">{html.escape(title)}</title>'
        f'<desc id="{uid}-d">{html.escape(alt)}</desc>{body}</div></figure>'
    )
