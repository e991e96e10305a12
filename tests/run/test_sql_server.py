"""The SQL of every page on the laboratory's PostgreSQL: the plans that pages show are its plans."""

import psycopg
import pytest

from lab.plans import pages, plans_of, shape
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
