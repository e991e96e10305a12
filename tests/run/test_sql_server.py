"""The SQL of every page on the laboratory's PostgreSQL: the plans that pages show are its plans."""

from pathlib import Path

import psycopg
import pytest

from catalog.sql import read_sql
from lab.plans import main, pages, plans_of, shape
from tests.run.test_sql import SCENARIOS, read


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_recorded_plans_are_what_the_server_says(scenario: str, postgres_url: str) -> None:
    """Nodes, conditions, rows and pages; record them anew with `python -m lab.plans`."""
    sql = read(scenario)
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        version = conn.info.server_version // 10000
        assert sql.postgres.split(".")[0] == str(version), "plans are those of another version"
        now = plans_of(conn, sql)
    assert now.keys() == sql.plans.keys()
    for name, plan in now.items():
        assert shape(plan) == shape(sql.plans[name]), name
        assert pages(plan) == pages(sql.plans[name]), name


def test_pages_count_from_cache_and_disk_alike_and_memory_is_no_shape() -> None:
    plan = (
        "Sort (actual rows=3.00 loops=1)\n"
        "  Sort Method: quicksort  Memory: 25kB\n"
        "  Buffers: shared hit=1 read=3 dirtied=5, temp read=7 written=9\n"
        "  ->  Seq Scan on t (actual rows=3.00 loops=1)\n"
        "        Buffers: shared read=4\n"
        "Planning:\n"
        "  Buffers: shared hit=20"
    )
    assert pages(plan) == [4, 4]
    assert shape(plan) == [
        "Sort (actual rows=3.00 loops=1)",
        "  Sort Method: quicksort",
        "  ->  Seq Scan on t (actual rows=3.00 loops=1)",
    ]


@pytest.mark.server
def test_the_command_writes_what_a_server_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a server of its own; a name without SQL and a statement that fails are one line each."""
    folder = tmp_path / "tests/scenarios/a_page/sql"
    folder.mkdir(parents=True)
    (folder / "setup.sql").write_text("-- Rows\nCREATE TABLE t AS SELECT 1 AS a;\n")
    (folder / "1_read.sql").write_text("-- Read\nSELECT a FROM t;\n")
    (folder / "2_change.sql").write_text("-- Change\nUPDATE t SET a = a + 1;\n")
    (folder / "3_index.sql").write_text("-- Index\nCREATE INDEX ON t (a);\n")
    assert main([], root=tmp_path) == 0
    assert capsys.readouterr().out == "wrote tests/scenarios/a_page/sql/plans.json\n"
    sql = read_sql(tmp_path, "a_page")
    assert sql is not None
    assert sql.problems == ()
    assert [plan.split(" ")[0] for plan in sql.plans.values()] == ["Seq", "Update"]
    (folder / "4_wrong.sql").write_text("-- Wrong\nSELECT b FROM t;\n")
    assert main(["a-page"], root=tmp_path) == 1
    assert 'plans: column "b" does not exist' in capsys.readouterr().err
    assert main(["another"], root=tmp_path) == 1
    told = "plans: no SQL for the page of another. Mend: name one of: a-page\n"
    assert capsys.readouterr().err == told
