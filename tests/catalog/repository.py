"""A small repository in a temporary folder, with one finished scenario beyond the 21."""

import datetime as dt
import itertools
import re
import shutil
from pathlib import Path

from catalog.new import create

ROOT = Path(__file__).resolve().parents[2]
TODAY = dt.date(2026, 11, 22)
NAME = "twenty-second"
PAGE = f"docs/scenarios/{NAME}.md"
QUESTION = f"docs/questions/q-{NAME}.md"
_WORDS = "every row arrives because the last batch is cut like the first and counted twice "


def bare(root: Path) -> Path:
    """Copy what every repository has: the vocabularies and the settings."""
    shutil.copytree(ROOT / "catalog" / "data", root / "catalog" / "data")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / "mkdocs.yml", root)
    return root


def filled(root: Path, name: str = NAME) -> Path:
    """Write a skeleton and fill every blank of it, as an author would."""
    for path in create(root, name, today=TODAY):
        file = root / path
        file.write_text(fill(file.read_text()))
    return root


def fill(text: str) -> str:
    """Fill the blanks of a skeleton, each with other words, and take the draft mark away."""
    numbers = itertools.count(1)
    text = text.replace("status: draft\n", "")
    text = re.sub(r'"FILL: 50 to 160[^"]*"', f'"{_WORDS.strip()}"', text)
    text = re.sub(r"FILL: 60 to 110[^\n]*", (_WORDS * 5).strip(), text)
    text = re.sub(r"[ \t]+# FILL:[^\n]*", "", text)
    return re.sub(
        r"FILL:[^\n\"|]*", lambda _: f"Written by an author, sentence {next(numbers)}. ", text
    )


def edit(root: Path, path: str, old: str, new: str) -> int:
    """Replace a text that occurs in a file; give the line on which it starts."""
    file = root / path
    before = file.read_text()
    assert old in before, f"{path} does not hold {old!r}"
    file.write_text(before.replace(old, new, 1))
    return before[: before.index(old)].count("\n") + 1
