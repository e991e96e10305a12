"""Write the skeleton of a scenario: every file it needs, with every blank marked `FILL:`."""

import datetime as dt
import keyword
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template

from catalog.load import load
from catalog.model import Catalog, Status
from catalog.skeleton import (
    BEHAVIOUR,
    CHECK,
    DRILL,
    EVIDENCE,
    GOOD,
    NAIVE,
    NAIVE_BEHAVIOUR,
    PAGE,
    QUESTION,
    QUESTION_ROW,
    ROW,
    RUNBOOK,
    SOLUTION,
    START,
    TASK,
)

LONGEST = 38  # `q-<id>` is a question's id, and holds at most 40 characters


class NewError(ValueError):
    """A scenario that cannot be started; says why, and what mends it."""


def create(root: Path, scenario_id: str, *, today: dt.date | None = None) -> list[Path]:
    """Write the skeleton of a scenario and give its files, relative to root.

    The page says `status: draft` until every blank is filled; `python -m catalog check` lists them.

    Raises:
        NewError: the id is no id, or exists; or a file cannot be written. Then nothing is written.
    """
    _refuse_bad(scenario_id)
    catalog, problems = load(root)
    if not catalog.scenarios:
        raise NewError(f"the catalog cannot be read, for one thing: {problems[0]}")
    files = _files(catalog, scenario_id, today or dt.datetime.now(tz=dt.UTC).date())
    existing = [path for path in files if (root / path).exists()]
    if existing:
        raise NewError(
            f"scenario {scenario_id!r} is there already: {existing[0]} exists. "
            "Mend: choose another id, or remove its files first."
        )
    _write(root, files)
    return [Path(path) for path in files]


def _refuse_bad(scenario_id: str) -> None:
    """Refuse what cannot be an address, a folder and a Python package at once."""
    if not scenario_id:
        raise NewError("no id was given. Mend: make new ID=my-scenario.")
    fault = None
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", scenario_id):
        fault = "is no id: lower-case letters, digits and single hyphens, a letter first"
    elif len(scenario_id) > LONGEST:
        fault = f"has {len(scenario_id)} characters of at most {LONGEST}"
    elif keyword.iskeyword(scenario_id) or scenario_id == "index":
        fault = "is a reserved word"
    if fault:
        plain = re.sub(r"[^a-z0-9]+", "-", scenario_id.lower()).strip("-0123456789")[:LONGEST]
        good = plain.strip("-") or "my-scenario"
        good = f"{good}-page" if keyword.iskeyword(good) or good == "index" else good
        raise NewError(f"{scenario_id!r} {fault}. Mend: make new ID={good}.")


def _files(catalog: Catalog, name: str, today: dt.date) -> dict[str, str]:
    """Give the text of every file of the skeleton, by path."""
    python = name.replace("-", "_")
    known = next((one for one in catalog.scenarios if one.id == name), None)
    title = name.replace("-", " ").capitalize()
    words = {
        "id": name,
        "python": python,
        "title": title,
        "date": today.isoformat(),
        "number": str(max(one.number for one in catalog.scenarios) + 1),
        "day": str(max(*(day.day for day in catalog.plan), 4) + 1),
    }
    if known is None:
        part = catalog.parts[0]
        row = Template(ROW).substitute(words, part=part.id, level=catalog.levels[0].id)
        labels = [f"{title} technique"]
        fire = part.fire
        questions = {f"q-{name}": Template(QUESTION_ROW).substitute(words)}
    else:
        if known.status is not Status.PLANNED:
            raise NewError(f"scenario {name!r} is there already: {known.page} exists.")
        row = ""
        labels = [technique.label for technique in known.techniques]
        fire = catalog.crisis(known)
        planned = (catalog.question(one) for one in known.questions)
        questions = {one.id: "" for one in planned if one.status is Status.PLANNED}
    techniques = "\n".join(f"- **{label}**: FILL: what it does, and its bound." for label in labels)
    page = Template(PAGE).substitute(
        words, row=row, techniques=techniques, runbook=RUNBOOK if fire else ""
    )
    files = {f"docs/scenarios/{name}.md": page}
    for question, own in questions.items():
        follow = question.removeprefix("q-")
        text = Template(QUESTION).substitute(words, question=question, follow=follow, row=own)
        files[f"docs/questions/{question}.md"] = text
    for path, template in {
        f"snippets/{python}/naive_batches.py": NAIVE,
        f"snippets/{python}/batches.py": GOOD,
        f"tests/scenarios/{python}/test_naive_batches.py": NAIVE_BEHAVIOUR,
        f"tests/scenarios/{python}/test_batches.py": BEHAVIOUR,
        f"tests/scenarios/{python}/test_drill.py": DRILL,
        f"tests/scenarios/{python}/break_it/task.md": TASK,
        f"tests/scenarios/{python}/break_it/start.py": START,
        f"tests/scenarios/{python}/break_it/check.py": CHECK,
        f"tests/scenarios/{python}/break_it/solution.py": SOLUTION,
        f"evidence/{python}.py": EVIDENCE,
    }.items():
        files[path] = Template(template).substitute(words)
    files[f"tests/scenarios/{python}/__init__.py"] = ""
    return files


def _write(root: Path, files: Mapping[str, str]) -> None:
    """Write all files or none; what was made before a failure or Ctrl-C is removed again."""
    made: list[Path] = []
    try:
        for path, text in files.items():
            target = root / path
            missing = [one for one in target.parents if not one.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                made.append(folder)
            with target.open("x", encoding="utf-8", newline="\n") as file:
                made.append(target)
                file.write(text)
    except BaseException as error:
        for one in reversed(made):
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            raise NewError(
                f"cannot write {error.filename}: {reason}. Mend: make the folder writable for you."
            ) from error
        raise
