"""FILL: what is measured, and against what."""

from evidence.harness import Run
from snippets.bulk_download import batches, naive_batches


def measure(run: Run) -> None:
    """Count the rows that arrive."""
    run.uses("snippets/bulk_download/batches.py", "snippets/bulk_download/naive_batches.py")
    rows = range(10)
    for name, cut in (("naive", naive_batches.batches), ("good", batches.batches)):
        arrived = sum(len(batch) for batch in cut(rows, 4))
        run.value(f"rows-{name}", arrived, unit="rows")
