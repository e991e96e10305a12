"""The tables behind `[[counts]]`: how much is tested, as the repository and the last run say."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from catalog.model import Catalog
from catalog.results import Results, Verified

KINDS = ("embedded", "executed", "exempt")


@dataclass(frozen=True, slots=True)
class Counts:
    """What only the whole stage knows.

    Attributes:
        pages: how many pages are staged.
        fences: Python fences by kind.
        budget: how many fences may be exempt.
    """

    pages: int = 0
    fences: Mapping[str, int] = field(default_factory=dict)
    budget: int = 0


def count_fences(kinds: Iterable[str]) -> dict[str, int]:
    """Count fences by kind; a kind that has none is counted as 0."""
    found = Counter(kinds)
    return {kind: found[kind] for kind in KINDS}


def counts_table(
    counts: Counts, catalog: Catalog, results: Results, verified: Verified
) -> Iterator[str]:
    """Give the lines of two Markdown tables: what there is, and what the last full run proved."""
    complete = sum(scenario.status == "complete" for scenario in catalog.scenarios)
    fences = {kind: counts.fences.get(kind, 0) for kind in KINDS}
    exempt = f"{fences['exempt']} of {counts.budget} allowed"
    yield from _table(
        ("In this build", "Count"),
        {
            "Scenarios complete": f"{complete} of {len(catalog.scenarios)}",
            "Pages": f"{counts.pages}",
            "Snippets": f"{sum(len(one.snippets) for one in catalog.scenarios)}",
            "Drills": f"{sum(len(one.drills) for one in catalog.scenarios)}",
            "Python listings embedded from tested files": f"{fences['embedded']}",
            "Python listings executed where they stand": f"{fences['executed']}",
            "Python listings exempt, with a reason": exempt,
            "Recorded measurements": f"{len(results.value_keys())}",
            "Recorded charts": f"{len(results.chart_keys())}",
        },
    )
    yield ""
    if not verified.tests:
        yield "No full test run is recorded in this build."
        return
    yield from _table(("In the last full test run", "What it says"), _run(verified))


def _run(verified: Verified) -> Iterator[tuple[str, str]]:
    yield "Date", verified.date
    yield "Machine", verified.platform
    for part, outcome in verified.tests.items():
        words = {"parallel": "Tests side by side", "serial": "Tests alone"}.get(part, part)
        failed = f", {outcome['failed']:,} failed" if outcome.get("failed") else ""
        yield words, f"{outcome.get('passed', 0):,} passed{failed}"
    for need, number in verified.left_out.items():
        yield f"Left out on this machine: needs {need}", f"{number:,}"
    if pages := verified.counted.get("axe-pages"):
        runs = verified.counted.get("axe-runs", 0)
        yield "Pages audited by axe-core", f"{pages:,}, in {runs:,} audits"
    yield "Snippets verified", f"{len(verified.files):,}"
    for name, version in verified.servers.items():
        yield SERVERS.get(name, name), version


SERVERS = {
    "postgres": "PostgreSQL",
    "redis": "Valkey",
    "valkey": "Valkey",
    "nats": "NATS",
    "nginx": "nginx",
    "s3": "SeaweedFS",
    "seaweedfs": "SeaweedFS",
}
"""The servers' own names, by the short names of reports and metadata."""


def _table(
    head: tuple[str, str], rows: Mapping[str, str] | Iterable[tuple[str, str]]
) -> Iterator[str]:
    yield f"| {head[0]} | {head[1]} |"
    yield "| --- | ---: |"
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    for name, value in pairs:
        yield f"| {name} | {value.replace('|', chr(92) + '|')} |"
