"""Each fault gets one clear problem, with its place and its mend, and never an exception."""

import shutil
from pathlib import Path

import pytest

from catalog.check import check
from catalog.load import load
from catalog.problem import Problem
from tests.catalog import repository
from tests.catalog.repository import NAME, PAGE, QUESTION, edit

# The tables below hold one fault a line: what is replaced, by what, and what is said of it.
# ruff: noqa: E501 - a table reads best unbroken


def problems(root: Path) -> list[Problem]:
    catalog, found = load(root)
    return found or check(catalog, root)


def one(root: Path) -> tuple[str, int, str]:
    found = problems(root)
    assert len(found) == 1, "\n".join(map(str, found))
    assert found[0].mend
    return found[0].path, found[0].line, str(found[0])


def test_a_filled_skeleton_has_no_problem(filled: Path) -> None:
    assert problems(filled) == []


PAGE_FAULTS = {
    "unknown key": ("aliases: []", "aliasses: []", "aliasses is not a known key. Mend: did you mean 'aliases'"),
    "broken YAML": ("aliases: []", "aliases: [", "not valid YAML"),
    "doubled key": ("aliases: []", "id: other\naliases: []", "key 'id' is written twice"),
    "other id": (f"id: {NAME}", "id: other", "id is 'other', but the file is twenty-second.md"),
    "missing key": ("page-type: scenario\n", "", "page-type is missing. Mend: add 'page-type'"),
    "unknown technology": ("[python-runtime]", "[python-runtim]", "there is no technology 'python-runtim'. Mend: did you mean 'python-runtime'"),
    "unknown group": ("group: data-handling", "group: data-handing", "there is no topic group 'data-handing'. Mend: did you mean 'data-handling'"),
    "unknown level": ("level: must-know", "level: must-knew", "there is no level 'must-knew'. Mend: did you mean 'must-know'"),
    "unknown part": ("part: data-processing-performance", "part: data", "there is no part 'data'"),
    "taken number": ("number: 22", "number: 21", "row.number is 21"),
    "plan in the original's days": ("day: 5", "day: 4", "row.plan.day is 4"),
    "no such date": ("2026-11-22", "2026-13-22", "month must be in 1..12"),
    "future date": ("2026-11-22", "2999-11-22", "change of 2999-11-22 is in the future"),
    "history upside down": (
        "  - {date: 2026-11-22, what: First version}",
        "  - {date: 2026-11-21, what: First version}\n  - {date: 2026-11-22, what: Later}",
        "stands below an older one",
    ),
    "unknown prerequisite": ("prerequisites: []", "prerequisites: [caching2]", "names 'caching2'"),
    "unknown confusion": ("confused_with: []", "confused_with: [{id: x-y, difference: d}]", "confused_with names 'x-y'"),
    "before itself": ("prerequisites: []", f"prerequisites: [{NAME}]", "no other scenario"),
    "missing section": ("## Best practices\n", "", "section 'Best practices' is missing. Mend: add '## Best practices' after '## Trade-offs'"),
    "misspelt section": ("## Measured", "## Measurd", "section 'Measurd' is not in the contract. Mend: did you mean 'Measured'"),
    "doubled section": ("## Measured", "## Measured\n\n## Measured", "section 'Measured' is written twice"),
    "first-level heading": ("## Problem", "# Title\n\n## Problem", "heading 'Title' is of the first level"),
    "no table to choose": ("| --- | --- | --- |\n", "", "no table stands before the first section"),
    "no technique": ("**Twenty second technique**", "**Something**", "technique 'Twenty second technique' is no heading"),
    "no summary": ("[[summary]]\n", "words\n", "section 'In one minute' lacks [[summary]]"),
    "a blank": ("## Sources\n", "## Sources\n\nFILL: sources\n", "a blank is not filled: sources"),
    "an alias": ("aliases: []", "aliases: *x", "not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("fault", PAGE_FAULTS)
def test_a_fault_in_a_page(filled: Path, fault: str) -> None:
    old, new, said = PAGE_FAULTS[fault]
    line = edit(filled, PAGE, old, new)
    path, at, message = one(filled)
    assert (path, said in message) == (PAGE, True), message
    assert abs(at - line) <= 20


def test_a_problem_names_the_line_of_the_key(filled: Path) -> None:
    line = edit(filled, PAGE, "aliases: []", "aliasses: []")
    assert one(filled)[1] == line


def test_code_that_runs_in_the_page_without_an_exercise(filled: Path) -> None:
    shutil.rmtree(filled / "tests/scenarios/twenty_second/break_it")
    path, line, message = one(filled)
    assert path == PAGE
    assert (filled / PAGE).read_text().split("\n")[line - 1] == "## Check yourself"
    assert "twenty_second/batches.py runs in the page, and the page has no exercise" in message
    assert "break_it/ with task.md, start.py, check.py, solution.py" in message
    for name in ("batches", "naive_batches"):
        edit(filled, f"snippets/twenty_second/{name}.py", "browser = true", "browser = false")
    assert {problem.what for problem in problems(filled)} == {
        "runs in a browser, and is marked browser = false"
    }


def test_sections_in_the_wrong_order(filled: Path) -> None:
    edit(filled, PAGE, "## At scale", "## Swap")
    edit(filled, PAGE, "## In production", "## At scale")
    edit(filled, PAGE, "## Swap", "## In production")
    assert "section 'In production' stands where 'At scale' should" in one(filled)[2]


def test_a_short_summary(filled: Path) -> None:
    text = (filled / PAGE).read_text()
    start, end = text.index("summary: >-"), text.index("error_messages:")
    (filled / PAGE).write_text(f"{text[:start]}summary: Too short.\n{text[end:]}")
    assert "summary has 2 words. Mend: write 60 to 110" in one(filled)[2]


def test_a_short_description(filled: Path) -> None:
    text = (filled / PAGE).read_text()
    start, end = text.index("description:"), text.index("summary:")
    (filled / PAGE).write_text(f"{text[:start]}description: Short.\n{text[end:]}")
    assert "description has 6 characters. Mend: write 50 to 160" in one(filled)[2]


def test_too_few_error_messages(filled: Path) -> None:
    text = (filled / PAGE).read_text()
    start, end = text.index("error_messages:"), text.index("aliases:")
    (filled / PAGE).write_text(f"{text[:start]}error_messages: [one]\n{text[end:]}")
    assert "error_messages has 1 of at least 3" in one(filled)[2]


QUESTION_FAULTS = {
    "unknown scenario": ("scenarios: [twenty-second]", "scenarios: [twenty-secnd]", "there is no scenario 'twenty-secnd'"),
    "unknown anchor": ("#at-scale", "#at-sale", "has no anchor 'at-sale'. Mend: did you mean 'at-scale'"),
    "planned page": ("/scenarios/twenty-second/#at-scale", "/scenarios/caching/", "/scenarios/caching/ has no page"),
    "other step": ("step: scale", "step: scaling", "there is no step 'scaling'. Mend: did you mean 'scale'"),
    "missing step": ("  - {step: scale,", "  - {step: clarify,", "the rubric says nothing of scale"),
    "wrong heading": ("## 3. Propose a solution", "## 3. Propose solution", "section '3. Propose solution' is not in the contract"),
    "unknown probe": ("probes: scale", "probes: luck", "probes is 'luck'"),
    "doubled follow-up": ("id: f-twenty-second-2", "id: f-twenty-second-1", "follow-up 'f-twenty-second-1' is used twice"),
}  # fmt: skip


@pytest.mark.parametrize("fault", QUESTION_FAULTS)
def test_a_fault_in_a_question(filled: Path, fault: str) -> None:
    old, new, said = QUESTION_FAULTS[fault]
    edit(filled, QUESTION, old, new)
    path, _, message = one(filled)
    assert (path, said in message) == (QUESTION, True), message


def test_a_long_answer_to_a_follow_up(filled: Path) -> None:
    line = edit(filled, QUESTION, '    a: "', f'    a: "{"x" * 320}')
    path, at, message = one(filled)
    assert (path, at) == (QUESTION, line)
    assert "at most 320 characters" in message


def test_a_step_without_a_tested_snippet(filled: Path) -> None:
    edit(filled, QUESTION, '```python\n--8<-- "snippets/twenty_second/batches.py:batches"\n```', "")
    assert "step 4 shows no tested snippet" in one(filled)[2]


@pytest.mark.parametrize(
    "shown",
    [
        '```python\n--8<-- "snippets/twenty_second/naive_batches.py:batches"\n```',
        '<!-- --8<-- "snippets/twenty_second/batches.py:batches" -->',
    ],
)
def test_a_step_whose_snippet_is_naive_or_not_shown(filled: Path, shown: str) -> None:
    good = '```python\n--8<-- "snippets/twenty_second/batches.py:batches"\n```'
    edit(filled, QUESTION, good, shown)
    assert any("step 4 shows no tested snippet" in str(one) for one in problems(filled))


def test_too_few_follow_ups(filled: Path) -> None:
    text = (filled / QUESTION).read_text()
    last = text.index("  - id: f-twenty-second-5")
    (filled / QUESTION).write_text(text[:last] + text[text.index("red_flags:") :])
    assert "follow_ups has 4 of at least 5" in one(filled)[2]


def test_a_complete_scenario_needs_its_question(filled: Path) -> None:
    edit(filled, QUESTION, "changes:", "status: draft\nchanges:")
    assert f"its question 'q-{NAME}' has no answer" in one(filled)[2]  # a draft is none
    (filled / QUESTION).unlink()
    path, _, message = one(filled)
    assert path == PAGE
    assert f"no interview question asks '{NAME}'" in message


def test_one_of_the_21_needs_the_answer_to_its_question(bare: Path) -> None:
    root = repository.filled(bare, "caching")
    (root / "docs/questions/q-scale.md").unlink()
    path, _, message = one(root)
    assert path == "docs/scenarios/caching.md"
    assert "'caching' is complete, but its question 'q-scale' has no answer" in message


def test_one_of_the_21_has_no_row(bare: Path) -> None:
    root = repository.filled(bare, "caching")
    row = (repository.filled(root) / PAGE).read_text()
    row = row[row.index("row:") : row.index("\n---\n")]
    edit(root, "docs/scenarios/caching.md", "changes:", f"{row}\nchanges:")
    assert "is one of the 21 of the original, so it has no 'row'" in one(root)[2]


def test_another_scenario_needs_a_row(filled: Path) -> None:
    text = (filled / PAGE).read_text()
    start, end = text.index("row:"), text.index("\n---\n")
    (filled / PAGE).write_text(text[:start] + text[end + 1 :])
    (filled / QUESTION).unlink()
    assert "is none of the 21 of the original and has no 'row'" in one(filled)[2]


def test_an_error_message_leads_to_one_page(filled: Path) -> None:
    repository.filled(filled, "caching")
    text = (filled / "docs/scenarios/caching.md").read_text()
    message = text[text.index("error_messages:\n") :].split("\n")[1]
    page = (filled / PAGE).read_text()
    mine = page[page.index("error_messages:\n") :].split("\n")[1]
    edit(filled, "docs/scenarios/caching.md", message, mine)
    found = [str(one) for one in problems(filled) if "error message" in str(one)]
    assert len(found) <= 3
    assert any("is used twice (first at docs/scenarios/caching.md" in line for line in found)


DATA_FAULTS = {
    "unknown scenario": ("topics", "scenarios: [caching]", "scenarios: [cashing]", "there is no scenario 'cashing'. Mend: did you mean 'caching'"),
    "doubled id": ("symptoms", "id: stale-reads", "id: db-down", "id 'db-down' is used twice"),
    "unknown key": ("parts", "short:", "shorter:", "not a known key"),
    "ours without a reason": ("levels", "origin: firedrill", "origin: firedrill2", "origin is"),
    "lost question": ("triage", "root: t-up", "root: t-slow", "no answer leads to 't-up'"),
    "bad answer": ("triage", "if_yes: partner-429", "if_yes: partner-428", "is neither a question of the tree nor a symptom. Mend: did you mean 'partner-429'"),
    "circle": ("triage", "if_yes: partner-429", "if_yes: t-dep", "lead back to it"),
    "not a list": ("parts", "- number: 1", "number: 1", "not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_a_fault_in_the_data(bare: Path, fault: str) -> None:
    name, old, new, said = DATA_FAULTS[fault]
    path = f"catalog/data/{name}.yml"
    edit(bare, path, old, new)
    found = problems(bare)
    assert {one.path for one in found} == {path}
    assert any(said in str(one) for one in found), "\n".join(map(str, found))


def test_a_data_file_is_missing(bare: Path) -> None:
    (bare / "catalog/data/triage.yml").unlink()
    assert str(problems(bare)[0]) == (
        "catalog/data/triage.yml:1: cannot be read: No such file or directory. "
        "Mend: restore the file."
    )


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", b"---\nid: [\n---\n", b"---\n- a\n---\n", b"---\n\x00\n---\n", b"---\nid: 1\n"],
)
def test_no_bytes_raise(filled: Path, data: bytes) -> None:  # fmt: skip
    (filled / PAGE).write_bytes(data)
    found = problems(filled)
    assert found
    assert all(one.line >= 1 and one.what and one.mend for one in found)


def test_a_bad_site_address(bare: Path) -> None:
    _, found = load(bare, environ={"SITE_URL": "example.org"})
    assert "SITE_URL (or site-url) is 'example.org', not a web address" in str(found[0])
