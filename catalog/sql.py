"""The SQL that runs in the page: a setup, and steps that build on each other.

It lives with the tests of its scenario, in `tests/scenarios/<id>/sql/`: `setup.sql` makes the data,
`1_name.sql`, `2_name.sql` and so on are the steps. Each file begins with comments: the first line
is its title, the others say in Markdown what to see. What follows is the SQL itself, the very text
that the page shows, the reader runs, and the tests run on a real server.

`plans.json` holds the plan that PostgreSQL gave for each step that has one; `python -m lab.plans`
records it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from catalog.problem import Problem
from catalog.source import read_text

SETUP = "setup.sql"
PLANS = "plans.json"
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF)"
"""How the page asks for a plan: what was read, without times, which differ from run to run."""
SIZE = "5.4 MB"
"""What a first press loads, compressed; `tests/run/test_kit.py` measures it."""
UNPACKED = "16 MB"
WIDTH = 80
_STEP = re.compile(r"(?P<number>[1-9][0-9]*)_[a-z0-9_]+\.sql")
_EXPLAINED = re.compile(r"(SELECT|WITH|VALUES|TABLE|INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """One file of SQL.

    Attributes:
        name: its name, without suffix.
        title: what it shows, in a few words.
        words: what to see, in Markdown; may be empty.
        sql: what runs, with a newline at the end.
    """

    name: str
    title: str
    words: str
    sql: str

    @property
    def explained(self) -> bool:
        """Say whether PostgreSQL has a plan for it: it reads or changes rows."""
        return _EXPLAINED.match(self.sql) is not None


@dataclass(frozen=True, slots=True)
class Sql:
    """The SQL of one scenario.

    Attributes:
        folder: where it lives, relative to the root of the repository.
        setup: what makes the data.
        steps: what the reader runs, in order.
        postgres: version of the server that gave the plans.
        plans: its plan for each step that has one, by name of the step.
        problems: what is wrong with the files.
    """

    folder: str
    setup: Step
    steps: tuple[Step, ...]
    postgres: str = ""
    plans: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def sha256(self) -> str:
        """Give the hash of all that runs: a plan belongs to it, whatever the comments say."""
        return fingerprint(self.setup, self.steps)

    def json(self) -> bytes:
        """Write what the page loads."""
        value = {
            "setup": self.setup.sql,
            "explain": f"{EXPLAIN}\n",
            "steps": {step.name: step.sql for step in self.steps},
        }
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def served(scenario: str) -> str:
    """Give the staged path of a scenario's SQL: `assets/run/sql/large-datasets.json`."""
    return f"assets/run/sql/{scenario}.json"


def scenarios(root: Path) -> list[str]:
    """Give the ids of all scenarios that have SQL for the page, sorted."""
    found = (root / "tests" / "scenarios").glob("*/sql")
    return sorted(path.parent.name.replace("_", "-") for path in found if path.is_dir())


def fingerprint(setup: Step, steps: Sequence[Step]) -> str:
    """Hash the SQL of a setup and its steps, in order.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    digest = hashlib.sha256(setup.sql.encode())
    for step in steps:
        digest.update(f"\0{step.name}\0{step.sql}".encode())
    return digest.hexdigest()


def read_sql(root: Path, scenario: str) -> Sql | None:
    """Read the SQL of a scenario; None when it has none.

    Args:
        root: root of the repository.
        scenario: its id in Python, with underscores.
    """
    folder = f"tests/scenarios/{scenario}/sql"
    if not (root / folder).is_dir():
        return None
    problems: list[Problem] = []
    names = sorted(file.name for file in (root / folder).iterdir() if file.name[0] != ".")
    numbered: list[tuple[int, str]] = []
    for name in names:
        if match := _STEP.fullmatch(name):
            numbered.append((int(match["number"]), name))
        elif name not in {SETUP, PLANS}:
            mend = "name it 1_what.sql, in lower case, or remove it"
            problems.append(Problem(f"{folder}/{name}", 1, "is no step of the page's SQL", mend))
    numbered.sort()
    for wanted, (number, name) in enumerate(numbered, 1):
        if number != wanted:
            what = f"is numbered {number} where {wanted} comes next"
            mend = "number the steps 1, 2, 3 without a gap"
            problems.append(Problem(f"{folder}/{name}", 1, what, mend))
            break
    if not numbered:
        problems.append(Problem(f"{folder}/{SETUP}", 1, "has no step", "add 1_what.sql beside it"))
    if SETUP not in names:
        mend = "add it: it makes the tables and their rows"
        problems.append(Problem(f"{folder}/{SETUP}", 1, "is missing", mend))
        setup = Step("setup", "", "", "")
    else:
        setup, found = _read_step(root, f"{folder}/{SETUP}")
        problems += found
    steps: list[Step] = []
    for _, name in numbered:
        step, found = _read_step(root, f"{folder}/{name}")
        steps.append(step)
        problems += found
    postgres, plans, found = _read_plans(root, f"{folder}/{PLANS}", setup, steps)
    problems = problems or found  # another step is no reason to complain of its plan as well
    return Sql(folder, setup, tuple(steps), postgres, plans, tuple(problems))


def _read_step(root: Path, path: str) -> tuple[Step, list[Problem]]:
    """Split a file into its title, its words and its SQL."""
    text, problems = read_text(root, path)
    lines = (text or "").rstrip().split("\n")
    head = 0
    while head < len(lines) and lines[head].startswith("--"):
        head += 1
    told = [line.removeprefix("--").strip() for line in lines[:head]]
    sql = "\n".join(lines[head:]).strip("\n")
    if text is not None and not (told and told[0]):
        mend = "begin it with a comment: -- What it shows"
        problems.append(Problem(path, 1, "has no title", mend))
    if text is not None and not sql:
        mend = "write the SQL below the comments"
        problems.append(Problem(path, max(1, head), "has no SQL", mend))
    for number, line in enumerate(lines, 1):
        if number > head and len(line) > WIDTH:
            what = f"has a line of {len(line)} characters of at most {WIDTH}"
            problems.append(Problem(path, number, what, "break it: it is read on a phone"))
    name = path.rpartition("/")[2].removesuffix(".sql")
    title = told[0] if told else ""
    return Step(name, title, "\n".join(told[1:]).strip(), f"{sql}\n"), problems


def _read_plans(
    root: Path, path: str, setup: Step, steps: Sequence[Step]
) -> tuple[str, dict[str, str], list[Problem]]:
    """Read the recorded plans; they count only for this very SQL."""
    wanted = {step.name for step in steps if step.explained}
    mend = f"python -m lab.plans {path.split('/')[2].replace('_', '-')}"
    if not (root / path).is_file():
        missing = [Problem(path, 1, "is missing: no plan is recorded", mend)] if wanted else []
        return "", {}, missing
    try:
        value = json.loads((root / path).read_text(encoding="utf-8"))
        postgres, sha256 = str(value["postgres"]), str(value["sql"])
        plans = {str(name): str(plan) for name, plan in value["plans"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"cannot be read: {type(error).__name__}: {error}"
        return "", {}, [Problem(path, 1, what, mend)]
    if sha256 != fingerprint(setup, steps) or plans.keys() != wanted:
        return postgres, {}, [Problem(path, 1, "was recorded for other SQL", mend)]
    return postgres, plans, []


def section(sql: Sql, address: str) -> Iterator[str]:
    """Give the section of the page: the data, and each step with its plan folded.

    Args:
        sql: what it shows.
        address: where the page finds `served`, relative to the page.
    """
    carried = f'class="fd-run" data-fd-sql="{address}"'
    yield ""
    yield (
        "These statements run on a PostgreSQL server in the tests, and in this page on "
        "[PGlite](https://pglite.dev/), which is PostgreSQL compiled to WebAssembly."
    )
    yield "Each builds on the ones before."
    yield f"Plans are those of `{EXPLAIN}`: rows of each node, and the pages of 8 KiB it touched."
    yield (
        "The page has one connection: locks, replication and other sessions cannot be seen here."
    )
    yield ""
    yield f'<div {carried} data-size="{SIZE}" data-unpacked="{UNPACKED}"></div>'
    yield ""
    yield f'??? example "The data: {_quoted(sql.setup.title)}"'
    yield ""
    lines = [*sql.setup.words.split("\n"), ""] if sql.setup.words else []
    lines += _listing(sql.setup)
    yield from (f"    {line}".rstrip() for line in lines)
    for number, step in enumerate(sql.steps, 1):
        yield ""
        yield f"#### {number}. {step.title} {{ #sql-{number} }}"
        yield ""
        if step.words:
            yield from (*step.words.split("\n"), "")
        yield from _listing(step)
        yield ""
        explained = ' data-explained="1"' if step.explained else ""
        yield f'<div {carried} data-step="{step.name}" data-size="{SIZE}"{explained}></div>'
        if plan := sql.plans.get(step.name):
            yield ""
            yield f'??? note "Its plan on PostgreSQL {sql.postgres}"'
            yield ""
            fence = ["```{.text}", *plan.split("\n"), "```"]
            yield from (f"    {line}".rstrip() for line in fence)
    yield ""


def _listing(step: Step) -> list[str]:
    return [f'```{{.sql title="{step.name}.sql"}}', *step.sql.rstrip("\n").split("\n"), "```"]


def _quoted(text: str) -> str:
    return text.replace('"', '\\"')
