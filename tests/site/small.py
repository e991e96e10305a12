"""A copy of the repository with few scenarios: it stages and builds in a second or two."""

import shutil
from pathlib import Path

from tests.browser.conftest import NOT_SOURCE, share_kit
from tests.browser.site import ROOT


def small_repository(root: Path, *scenarios: str) -> Path:
    """Copy the repository to `root` with no page, snippet or result but those of `scenarios`."""
    shutil.copytree(ROOT, root, ignore=NOT_SOURCE)
    share_kit(root)
    rooms = {name.replace("-", "_") for name in scenarios}
    kept = {f"{name}.md" for name in scenarios} | {f"q-{name}.md" for name in scenarios}
    for page in [*(root / "docs/scenarios").iterdir(), *(root / "docs/questions").iterdir()]:
        if page.name not in kept:
            page.unlink()
    for room in [*(root / "snippets").glob("*/"), *(root / "tests/scenarios").glob("*/")]:
        if room.name not in rooms:
            shutil.rmtree(room)
    for result in (root / "evidence/results").iterdir():
        if result.stem not in scenarios:
            result.unlink()
    return root
