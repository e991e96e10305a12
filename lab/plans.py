"""Record what PostgreSQL plans for the SQL of a page: `python -m lab.plans [scenario ...]`.

The page shows these plans to whoever runs nothing. A test compares them on each commit with what
the server says then, by `shape`.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from catalog.sql import EXPLAIN, PLANS, Sql, read_sql, scenarios
from lab import servers
from lab.errors import ServerUnavailable

ROOT = Path(__file__).resolve().parent.parent


def plans_of(conn: psycopg.Connection[Any], sql: Sql) -> dict[str, str]:
    """Run the setup and every step on an empty database, and give the plan of each that has one.

    A query is run before it is explained, so that what it reads is cached; a change is explained
    only, which makes it.

    Args:
        conn: in autocommit mode.
        sql: what to run.

    Raises:
        psycopg.Error: a statement fails.
    """
    conn.execute(sql.setup.sql.encode())
    plans = {}
    for step in sql.steps:
        if not step.explained or step.sql.upper().startswith("SELECT"):
            conn.execute(step.sql.encode())
        if step.explained:
            lines = conn.execute(f"{EXPLAIN}\n{step.sql}".encode()).fetchall()
            plans[step.name] = _without_planning([str(line) for (line,) in lines])
    return plans


def _without_planning(lines: Sequence[str]) -> str:
    """Leave out what the planner itself read: that depends on what it read before."""
    at = lines.index("Planning:") if "Planning:" in lines else len(lines)
    return "\n".join(lines[:at])


def shape(plan: str) -> list[str]:
    """Give what of a plan holds on every machine: its nodes, their conditions and rows.

    Memory and temporary files do not: they depend on the size of a pointer.
    """
    lines = _without_planning(plan.split("\n")).split("\n")
    kept = (line for line in lines if not line.strip().startswith("Buffers:"))
    return [re.sub(r" +(Memory|Disk): \d+kB", "", line) for line in kept]


def pages(plan: str) -> list[int]:
    """Give the pages of 8 KiB that each node touched, the top one first, its children counted in.

    Pages found in the cache and pages read into it count alike. A table may have some empty ones
    at its end, as many as the server saw fit to add at once.
    """
    lines = _without_planning(plan.split("\n")).split("\n")
    touched = (re.search(r"Buffers: shared ([^,]*)", line) for line in lines)
    return [
        sum(map(int, re.findall(r"\b(?:hit|read)=(\d+)", found[1]))) for found in touched if found
    ]


def record(root: Path, scenario: str) -> Path:
    """Ask a server of our own for the plans of one scenario and write them beside its SQL.

    Raises:
        ServerUnavailable: there is no PostgreSQL.
        ValueError: the scenario has no SQL for its page.
        psycopg.Error: a statement fails.
    """
    sql = read_sql(root, scenario.replace("-", "_"))
    if sql is None:
        known = ", ".join(scenarios(root)) or "none yet"
        raise ValueError(f"no SQL for the page of {scenario}. Mend: name one of: {known}")
    with servers.postgres() as server, psycopg.connect(server.url, autocommit=True) as conn:
        version = conn.info.server_version
        value = {
            "postgres": f"{version // 10000}.{version % 10000}",
            "sql": sql.sha256,
            "plans": plans_of(conn, sql),
        }
    path = root / sql.folder / PLANS
    path.write_text(f"{json.dumps(value, ensure_ascii=False, indent=1)}\n", encoding="utf-8")
    return path.relative_to(root)


def main(arguments: Sequence[str], *, root: Path = ROOT) -> int:
    """Record the plans of the named scenarios, or of all; give the exit status."""
    for scenario in arguments or scenarios(root):
        try:
            print(f"wrote {record(root, scenario)}")
        except (ServerUnavailable, ValueError, psycopg.Error) as error:
            print(f"plans: {str(error).strip()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
