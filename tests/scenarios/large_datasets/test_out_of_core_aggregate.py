"""Three engines, one answer; and what a memory limit does to DuckDB."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snippets.large_datasets.out_of_core_aggregate import (
    Total,
    totals_by_duckdb,
    totals_by_generator,
    totals_by_polars,
)

from .conftest import Demo

ENGINES: dict[str, Callable[[Sequence[Path]], Iterator[Total]]] = {
    "generator": totals_by_generator,
    "duckdb": totals_by_duckdb,
    "polars": totals_by_polars,
}


def write(folder: Path, *files: list[tuple[int, int]]) -> list[Path]:
    paths = [folder / f"{number}.csv" for number in range(len(files))]
    for path, rows in zip(paths, files, strict=True):
        path.write_text("user_id,cents\n" + "".join(f"{user},{cents}\n" for user, cents in rows))
    return paths


@pytest.mark.parametrize("name", ENGINES)
def test_sums_go_across_files_and_come_out_by_user(tmp_path: Path, name: str) -> None:
    paths = write(tmp_path, [(10, 5), (9, -7), (10, 1)], [(2, 0), (9, 2**40)], [])
    assert list(ENGINES[name](paths)) == [(2, 0), (9, 2**40 - 7), (10, 6)]


@pytest.mark.parametrize("name", ENGINES)
def test_files_without_rows_have_no_totals(tmp_path: Path, name: str) -> None:
    assert list(ENGINES[name](write(tmp_path, [], []))) == []


DIRTY = {
    "not a whole number": "user_id,cents\n1,1.5\n",
    "user not a whole number": "user_id,cents\n1.5,1\n",
    "no user": "user_id,cents\n,4\n",
    "no cents": "user_id,cents\n1,\n",
    "a field too few": "user_id,cents\n1,2\n2\n",
    "a field too many": "user_id,cents\n1,2\n1,2,3\n",
    "another delimiter": "user_id;cents\n1;2\n",
}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("fault", DIRTY)
def test_a_dirty_row_is_an_error_in_every_engine(tmp_path: Path, name: str, fault: str) -> None:
    path = tmp_path / "dirty.csv"
    path.write_text(DIRTY[fault])
    with pytest.raises((ValueError, TypeError, KeyError, duckdb.Error, pl.exceptions.PolarsError)):
        list(ENGINES[name]([path]))


@pytest.mark.parametrize("name", ENGINES)
def test_a_byte_order_mark_a_bracket_and_a_large_sum_are_no_trouble(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "data1.csv").write_text("user_id,cents\n9,9\n")  # what the name would match
    path = tmp_path / "data[1].csv"
    path.write_text(f"\ufeffuser_id,cents\n1,{2**62}\n1,{2**62}\n1,7\n")
    assert list(ENGINES[name]([path])) == [(1, 2**63 + 7)]


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(-(2**50), 2**50)), max_size=8)


@settings(max_examples=20)
@given(st.lists(rows, min_size=1, max_size=3))
def test_the_engines_agree(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[int, int]]]
) -> None:
    paths = write(tmp_path_factory.mktemp("totals"), *files)
    first, *others = (list(engine(paths)) for engine in ENGINES.values())
    assert others == [first, first]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files, 400,000 rows, 100,000 users, some 5 MB."""
    folder = tmp_path_factory.mktemp("large")
    return write(
        folder,
        *(
            [
                (n * 2_654_435_761 % 100_000, n % 10_000)
                for n in range(part * 200_000, (part + 1) * 200_000)
            ]
            for part in range(2)
        ),
    )


@pytest.mark.slow
def test_duckdb_fails_cleanly_where_its_buffers_do_not_fit(large: list[Path]) -> None:
    with pytest.raises(duckdb.OutOfMemoryException):
        list(totals_by_duckdb(large, memory_limit="4MB"))
    assert list(totals_by_duckdb(large, memory_limit="1GB")) == list(totals_by_generator(large))


@pytest.mark.slow
def test_duckdb_takes_its_spill_folder_along(
    large: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    totals = totals_by_duckdb(large)
    next(totals)
    assert len(list(tmp_path.iterdir())) == 1
    totals.close()  # type: ignore[attr-defined]  # a generator, typed as what callers need
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_cluster_gives_the_same_answer(large: list[Path]) -> None:
    """What comes after one machine: the same aggregation in dask, on two local workers."""
    import dask
    import dask.dataframe as dd
    import distributed

    # The package has annotations, but not on these two.
    start: Any = distributed.LocalCluster
    connect: Any = distributed.Client

    with (
        dask.config.set({"distributed.worker.use-file-locking": False}),
        start(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: 8787 may be in use
            worker_dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        connect(cluster),
    ):
        frame = dd.read_csv([str(path) for path in large])
        sums = frame.groupby("user_id")["cents"].sum().compute().sort_index()
        totals = [(int(user), int(cents)) for user, cents in sums.items()]
    assert totals == list(totals_by_generator(large))


def test_the_demo_agrees_with_itself(demo: Demo) -> None:
    assert demo("out_of_core_aggregate") == [
        "500 users, the first: [(0, 190020), (1, 190060), (2, 190100)]",
        "the three agree: True",
    ]
