"""`make new` writes a whole skeleton or nothing, and adding a scenario edits no existing file."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.check import check, open_in_drafts
from catalog.exercise import PARTS, folder
from catalog.load import load
from catalog.model import Status
from catalog.new import NewError, create
from tests.catalog import repository
from tests.catalog.repository import NAME, PAGE, TODAY
from tests.site.small import small_repository

BREAK_IT = folder(NAME.replace("-", "_"))


def digest(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "build" not in path.relative_to(root).parts
    }


def test_a_skeleton_is_a_draft_that_breaks_nothing(bare: Path) -> None:
    before = digest(bare)
    made = create(bare, NAME, today=TODAY)
    after = digest(bare)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == {path.as_posix() for path in made}
    catalog, problems = load(bare)
    assert problems == []
    assert check(catalog, bare) == []
    assert catalog.scenario(NAME).status is Status.DRAFT
    assert not catalog.has_page(catalog.scenario(NAME))


def test_the_checker_lists_every_blank_of_a_draft(bare: Path) -> None:
    create(bare, NAME, today=TODAY)
    blanks = sum(path.read_text().count("FILL:") for path in bare.rglob("*") if path.is_file())
    listed = [one for one in open_in_drafts(bare) if one.what.startswith("a blank")]
    lines = {(one.path, one.line) for one in listed}
    assert len(lines) == len(listed)
    assert blanks - len(listed) == 2  # the row of the table holds three on one line
    exercise = {f"{BREAK_IT}/{name}" for name in PARTS}
    assert {path for path, _ in lines} >= {PAGE, "snippets/twenty_second/batches.py"} | exercise


JUDGE = f"""
import sys
sys.path.insert(0, ".")
from {BREAK_IT.replace("/", ".")} import check, solution, start
print(check.check(solution))
check.check(start)
"""


def test_the_exercise_of_a_skeleton_can_be_done_and_is_not_done_yet(bare: Path) -> None:
    """With this repository's packages out of reach."""
    create(bare, NAME, today=TODAY)
    command = [sys.executable, "-I", "-S", "-B", "-c", JUDGE]
    done = subprocess.run(command, cwd=bare, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "100 of 199 rows arrived, and nothing was said.",
        "With the good code 199 arrive.",
    ]
    told = "AssertionError: 0 of 200 rows are lost instead of 99."
    assert done.stderr.splitlines()[-1] == told


def test_one_of_the_21_gets_no_row_and_its_planned_questions(bare: Path) -> None:
    made = {path.as_posix() for path in create(bare, "database-crash", today=TODAY)}
    page = (bare / "docs/scenarios/database-crash.md").read_text()
    assert "row:" not in page
    assert "## Runbook" in page
    assert "docs/questions/q-db-crash.md" in made
    assert load(bare)[1] == []


@pytest.mark.parametrize(
    ("bad", "mend"),
    [
        ("", "make new ID=my-scenario"),
        ("Twenty Second", "make new ID=twenty-second"),
        ("twenty_second", "make new ID=twenty-second"),
        ("../../etc", "make new ID=etc"),
        ("2nd", "make new ID=nd"),
        ("a--b", "make new ID=a-b"),
        ("import", "make new ID=import-page"),
        ("x" * 39, f"make new ID={'x' * 38}"),
    ],
)
def test_a_bad_id_is_refused_with_a_good_one(bare: Path, bad: str, mend: str) -> None:
    before = digest(bare)
    with pytest.raises(NewError) as error:
        create(bare, bad, today=TODAY)
    assert str(error.value).endswith(f"Mend: {mend}.")
    assert digest(bare) == before


def test_an_existing_scenario_is_refused(filled: Path) -> None:
    before = digest(filled)
    with pytest.raises(NewError, match="'twenty-second' is there already"):
        create(filled, NAME, today=TODAY)
    assert digest(filled) == before


def test_ctrl_c_leaves_nothing_behind(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(bare.rglob("*"))
    count = 0
    real = Path.open

    def interrupted(path: Path, *args: str, **options: str) -> object:
        nonlocal count
        if args == ("x",):
            count += 1
            if count == 4:
                raise KeyboardInterrupt
        return real(path, *args, **options)  # type: ignore[call-overload] # passed on as it came

    monkeypatch.setattr(Path, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create(bare, NAME, today=TODAY)
    monkeypatch.undo()
    assert sorted(bare.rglob("*")) == before


@pytest.mark.slow
def test_a_22nd_scenario_reaches_every_index_of_the_built_site(tmp_path: Path) -> None:
    root = small_repository(tmp_path / "copy", "rate-limiting")
    before = digest(root)
    command = [sys.executable, "-m", "catalog"]
    made = subprocess.run([*command, "new", NAME], cwd=root, check=False, capture_output=True)
    assert made.returncode == 0, made.stderr.decode()
    for path in set(digest(root)) - set(before):
        file = root / path
        file.write_text(repository.fill(file.read_text()))
    built = subprocess.run([*command, "site"], cwd=root, check=False, capture_output=True)
    assert built.returncode == 0, built.stderr.decode()
    after = digest(root)
    assert {path: after[path] for path in before} == before
    site = root / "site"
    api = json.loads((site / "api/v1/catalog.json").read_text())
    mine = next(one for one in api["scenarios"] if one["id"] == NAME)
    assert mine["status"] == "complete"
    assert (site / mine["url"] / "index.html").is_file()
    assert (site / mine["snippets"][0]["url"]).is_file()
    for page in (
        "", "scenarios", "finder", "questions", "levels", "plan", "checklist", "cheatsheet",
        "related", "oncall",
    ):  # fmt: skip
        assert "Twenty second" in (site / page / "index.html").read_text(), page
