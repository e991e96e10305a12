"""What read_sql(chunksize=...) holds: the whole result, unless the connection streams."""

import sys

import pytest

from lab.memory import peak_rss

MIB = 2**20
ROWS = 200_000  # of some 100 bytes


def peak(url: str, *, rows: int, stream: bool) -> int:
    """The peak of a fresh process that reads the rows in frames of 2,000, in bytes."""
    program = f"""
import pandas as pd
import sqlalchemy as sa
engine = sa.create_engine({url.replace("postgresql:", "postgresql+psycopg:")!r})
query = "SELECT n, repeat('x', 100) AS note FROM generate_series(1, {rows}) AS n"
with engine.connect().execution_options(stream_results={stream}) as conn:
    for frame in pd.read_sql(sa.text(query), conn, chunksize=2000):
        pass
"""
    return peak_rss([sys.executable, "-c", program], baseline=False)


@pytest.mark.slow
def test_chunksize_holds_every_row_unless_the_connection_streams(postgres_url: str) -> None:
    nothing = peak(postgres_url, rows=1, stream=False)
    assert peak(postgres_url, rows=ROWS, stream=False) - nothing >= 15 * MIB
    assert peak(postgres_url, rows=ROWS, stream=True) - nothing <= 10 * MIB
