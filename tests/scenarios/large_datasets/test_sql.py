"""The SQL of the page, on a real server: what OFFSET reads, what a key reads, and the index."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog.sql import Sql, read_sql
from lab.plans import pages, plans_of
from tests.catalog.repository import ROOT

PAGE = 10
BEFORE = 90_000
ORDERS = 100_000
Plans = dict[str, str]


def sql_of_the_page() -> Sql:
    found = read_sql(ROOT, "large_datasets")
    assert found is not None
    return found


@pytest.fixture
def conn(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def plans(conn: psycopg.Connection[Any]) -> Plans:
    return plans_of(conn, sql_of_the_page())


def rows(plan: str) -> int:
    """Rows that the scan, the lowest node, gave."""
    return int(float(re.findall(r"actual rows=([\d.]+)", plan)[-1]))


def removed(plan: str) -> int:
    """Rows that the scan read and threw away."""
    found = re.search(r"Rows Removed by Filter: (\d+)", plan)
    return int(found[1]) if found else 0


def test_every_page_of_the_steps_is_the_same_page(conn: psycopg.Connection[Any]) -> None:
    """Whatever the plan: by OFFSET, by key, written out, before and after the index."""
    sql = sql_of_the_page()
    conn.execute(sql.setup.sql.encode())
    given = []
    for step in sql.steps:
        cursor = conn.execute(step.sql.encode())
        if step.explained:
            given.append([row[0] for row in cursor])
    newest_first = range(ORDERS, 0, -1)
    assert given == [list(newest_first[BEFORE : BEFORE + PAGE])] * len(given)


def test_without_an_index_both_read_the_whole_table(plans: Plans) -> None:
    for name in ("1_offset", "2_keyset"):
        assert "Seq Scan on orders" in plans[name]
        assert rows(plans[name]) + removed(plans[name]) == ORDERS
    assert pages(plans["1_offset"])[0] == pages(plans["2_keyset"])[0]
    assert "external merge" in plans["1_offset"], "all are sorted"
    assert "top-N heapsort" in plans["2_keyset"], "ten are kept"


def test_with_the_index_offset_reads_every_row_before_the_page_and_a_key_none(
    plans: Plans,
) -> None:
    offset, keyset = plans["4_offset_indexed"], plans["5_keyset_indexed"]
    for plan in (offset, keyset):
        assert "Sort" not in plan
        assert "Index Scan Backward using orders_by_key" in plan
    assert rows(offset) == BEFORE + PAGE
    assert rows(keyset) == PAGE
    assert removed(keyset) == 0
    assert pages(keyset)[0] <= 8
    assert pages(offset)[0] >= 100 * pages(keyset)[0]


def test_written_out_with_or_the_scan_starts_at_the_front_unless_a_bound_stands_before(
    plans: Plans,
) -> None:
    written_out, bounded = plans["6_keyset_or"], plans["7_keyset_bounded"]
    assert "Index Cond" not in written_out
    assert removed(written_out) == BEFORE
    assert pages(written_out)[0] == pages(plans["4_offset_indexed"])[0]
    assert "Index Cond: (created_at <=" in bounded
    assert removed(bounded) < 40, "those of one second"
    assert pages(bounded)[0] <= 8
