"""Batches and pipelines: lazy, exact, and resumable from any moment of death."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.large_datasets.batched_pipeline import Checkpoint, batched, pipeline, process

from .conftest import Demo

Pair = tuple[int, int]


@given(st.lists(st.integers()), st.integers(1, 12))
def test_batches_hold_n_items_each_and_all_of_them(items: list[int], n: int) -> None:
    batches = list(batched(items, n))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == n for batch in batches[:-1])
    assert all(1 <= len(batch) <= n for batch in batches)


@pytest.mark.parametrize("n", [0, -1])
def test_a_batch_without_items_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 item, got {n}"):
        next(batched([1], n))


def test_a_batch_reads_no_further_than_itself() -> None:
    source = iter(range(100))
    assert next(batched(source, 3)) == (0, 1, 2)
    assert next(source) == 3


def test_each_item_passes_every_stage_before_the_next_is_read() -> None:
    trace: list[str] = []

    def source() -> Iterator[int]:
        for n in range(2):
            trace.append(f"read {n}")
            yield n

    def stage(name: str, items: Iterator[int]) -> Iterator[int]:
        for item in items:
            trace.append(f"{name} {item}")
            yield item * 10

    results = list(pipeline(source(), lambda i: stage("a", i), lambda i: stage("b", i)))
    assert results == [0, 100]
    assert trace == ["read 0", "a 0", "b 0", "read 1", "a 1", "b 10"]


def test_a_pipeline_without_stages_is_its_source() -> None:
    assert list(pipeline([1, 2])) == [1, 2]


def test_an_error_in_a_stage_reaches_the_consumer() -> None:
    results = pipeline(["1", "x"], lambda items: map(int, items))
    assert next(results) == 1
    with pytest.raises(ValueError, match="'x'"):
        next(results)


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE done (item INT)")
    yield connection
    connection.close()


def source(position: int) -> Iterator[Pair]:
    return ((n, n * 10) for n in range(position + 1, 11))


def sink(conn: sqlite3.Connection, items: list[int]) -> None:
    conn.executemany("INSERT INTO done VALUES (?)", [(item,) for item in items])


def done(conn: sqlite3.Connection) -> list[int]:
    return [row[0] for row in conn.execute("SELECT item FROM done ORDER BY rowid")]


ALL = list(range(10, 101, 10))


def test_a_clean_run_does_every_item_in_batches(conn: sqlite3.Connection) -> None:
    sizes: list[int] = []

    def counting(conn: sqlite3.Connection, items: list[int]) -> None:
        sizes.append(len(items))
        sink(conn, items)

    checkpoint = Checkpoint(conn, "job")
    assert process(source, counting, checkpoint, 4) == 10
    assert (done(conn), sizes, checkpoint.load()) == (ALL, [4, 4, 2], 10)
    assert not conn.in_transaction


def test_a_second_run_has_nothing_left(conn: sqlite3.Connection) -> None:
    process(source, sink, Checkpoint(conn, "job"), 4)
    assert process(source, sink, Checkpoint(conn, "job"), 4) == 0
    assert done(conn) == ALL


def test_jobs_have_positions_of_their_own(conn: sqlite3.Connection) -> None:
    process(source, sink, Checkpoint(conn, "one"), 4)
    assert Checkpoint(conn, "two").load() == 0


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before the effect", "after the effect"])
def test_a_batch_that_fails_is_undone_and_done_again(
    conn: sqlite3.Connection, fails_at: int, moment: str
) -> None:
    batches = 0

    def failing(conn: sqlite3.Connection, items: list[int]) -> None:
        nonlocal batches
        batches += 1
        if batches == fails_at and moment == "before the effect":
            raise OSError("disk full")
        sink(conn, items)
        if batches == fails_at:
            raise OSError("disk full")

    checkpoint = Checkpoint(conn, "job")
    with pytest.raises(OSError, match="disk full"):
        process(source, failing, checkpoint, 4)
    assert done(conn) == ALL[: 4 * (fails_at - 1)]
    assert checkpoint.load() == 4 * (fails_at - 1)
    process(source, failing, checkpoint, 4)
    assert done(conn) == ALL


def test_each_batch_is_committed_before_the_next_begins(conn: sqlite3.Connection) -> None:
    seen: list[tuple[bool, int]] = []

    def watching(position: int) -> Iterator[Pair]:
        for pair in source(position):
            seen.append((conn.in_transaction, len(done(conn))))
            yield pair

    process(watching, sink, Checkpoint(conn, "job"), 5)
    assert seen == [(False, 0)] * 5 + [(False, 5)] * 5


def test_of_two_runs_that_overlap_the_slower_one_is_stopped(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "job.db")) as slow:
        slow.execute("CREATE TABLE done (item INT)")
        statements: list[str] = []
        slow.set_trace_callback(statements.append)

        def overtaken(position: int) -> Iterator[Pair]:
            for number, item in source(position):
                if number == 6:  # the orchestrator believes this run dead
                    with closing(sqlite3.connect(tmp_path / "job.db")) as second:
                        assert process(source, sink, Checkpoint(second, "job"), 4) == 6
                yield number, item

        with pytest.raises(RuntimeError, match="another run of 'job'"):
            process(overtaken, sink, Checkpoint(slow, "job"), 4)
        slow.set_trace_callback(None)
        assert done(slow) == ALL
        assert Checkpoint(slow, "job").load() == 10
    # With a plain BEGIN both could read the position before either writes.
    assert statements.count("BEGIN IMMEDIATE") == 2


def test_a_sink_that_commits_is_found_out(conn: sqlite3.Connection) -> None:
    def committing(conn: sqlite3.Connection, items: list[int]) -> None:
        sink(conn, items)
        conn.commit()

    with pytest.raises(RuntimeError, match="the sink committed"):
        process(source, committing, Checkpoint(conn, "job"), 4)
    assert done(conn) == ALL[:4]


def test_the_demo_ends_with_the_right_total(demo: Demo) -> None:
    assert demo("batched_pipeline") == [
        "power cut after the writes of batch 4; checkpoint at 300",
        "restarted, 700 items left",
        "total 500500, expected 500500",
    ]
