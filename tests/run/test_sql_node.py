"""Each page's SQL under the page's own PostgreSQL in node, and what it says of faults."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.run import kit
from lab.plans import pages, shape
from tests.run.test_sql import SCENARIOS, read

pytestmark = pytest.mark.slow

ENGINE = Path(__file__).with_name("postgres.mjs")


class Postgres:
    """PostgreSQL as a page has it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, **job: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def run(self, sql: str, explain: str = "") -> dict[str, Any]:
        """Run statements on an empty database, or on what is there."""
        return self(setup="", sql=sql, explain=explain)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    command = [str(kit.node()), str(ENGINE), str(kit.ensure())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Postgres(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


def test_it_is_the_version_of_the_laboratory(postgres: Postgres) -> None:
    [[version]] = postgres()["results"][0]["rows"]
    for scenario in SCENARIOS:
        major = read(scenario).postgres.split(".")[0]
        assert re.match(rf"PostgreSQL {major}\.\d+ \(PGlite ", version)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_step_runs_and_plans_as_on_a_server(postgres: Postgres, scenario: str) -> None:
    """The same nodes, conditions and rows; a table may be some empty pages shorter."""
    sql = read(scenario)
    job = json.loads(sql.json())
    postgres.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for number, step in enumerate(sql.steps):
        ran = postgres(setup=job["setup"], sql=job["steps"][step.name], explain="")
        assert ran["error"] is None, step
        assert ran["stages"] == (["Making the data…", "Running…"] if number == 0 else [])
        if step.explained:
            told = postgres(setup=job["setup"], sql=step.sql, explain=job["explain"])
            (plan,) = told["results"]
            assert plan["fields"] == ["QUERY PLAN"]
            here, there = "\n".join(line for (line,) in plan["rows"]), sql.plans[step.name]
            assert shape(here) == shape(there), step
            assert pages(here) == pytest.approx(pages(there), rel=0.1), step


def test_an_error_has_the_words_of_postgresql_and_its_place(postgres: Postgres) -> None:
    """Counted in characters, from the reader's own text, whatever was put before it."""
    answer = postgres.run("SELECT 'é😀',\n  '😀', ünknown\n")
    assert answer["error"] == {
        "type": "ERROR 42703",
        "line": 2,
        "text": (
            "ERROR:  column \"ünknown\" does not exist\nLINE 2:   '😀', ünknown\n               ^\n"
        ),
    }
    answer = postgres.run("DROP TABLE t", "EXPLAIN (ANALYZE)\n")
    assert answer["error"]["text"].splitlines()[1:] == ["LINE 1: DROP TABLE t", "        ^"]
    answer = postgres.run("SELECT lenght('a')")
    assert answer["error"]["text"].splitlines()[-1].startswith("HINT:  No function")
    answer = postgres.run("SELECT 1; SELECT 1 / (i - 2) FROM generate_series(1, 3) AS i; SELECT 2")
    assert answer["error"]["text"] == "ERROR:  division by zero\n"
    assert [one["rows"] for one in answer["results"]] == [[["1"]]]
    assert postgres.run("SELECT 1")["error"] is None


def test_an_answer_has_bounds(postgres: Postgres) -> None:
    """A hundred rows, some hundred characters a value; the rest is counted, not kept."""
    (result,) = postgres.run("SELECT i, repeat('x', 1000), NULL FROM generate_series(1, 100000) i")[
        "results"
    ]
    assert result["count"] == 100_000
    assert len(result["rows"]) == 100
    assert result["rows"][0] == ["1", f"{'x' * 400}…", None]
    loud = "DO $$ BEGIN FOR i IN 1..100 LOOP RAISE NOTICE 'number %', i; END LOOP; END $$"
    answer = postgres.run(loud)
    assert answer["notices"][0] == "NOTICE:  number 1"
    assert len(answer["notices"]) == 20
    long = "DO $$ BEGIN RAISE NOTICE '%', repeat('x', 9000); RAISE '%', repeat('y', 9000); END $$"
    answer = postgres.run(long)
    assert answer["notices"] == [f"NOTICE:  {'x' * 4000}…"]
    assert f"{'y' * 4000}…\n" in answer["error"]["text"]
    answer = postgres.run("SELECT 1;" * 60)
    assert (len(answer["results"]), answer["more"]) == (50, 10)
    answer = postgres.run(
        "SELECT length(string_agg(repeat('x', 1000000), '')) FROM generate_series(1, 900)"
    )
    assert answer["error"]["type"] in {"ERROR 53200", "ERROR 54000"}
    assert postgres.run("SELECT 1")["error"] is None


def test_an_encoding_or_a_character_that_cannot_be_had_is_told(postgres: Postgres) -> None:
    """In PostgreSQL's words where it has any, and the session lives."""
    for change in ("SET client_encoding TO 'LATIN1'", "SET NAMES 'LATIN1'"):
        assert postgres.run(f"{change}; SELECT 'é'")["error"] == {
            "type": "ERROR 0A000",
            "line": 0,
            "text": (
                'ERROR:  invalid value for parameter "client_encoding": "LATIN1"\n'
                "DETAIL:  Conversion between LATIN1 and UTF8 is not supported.\n"
            ),
        }
    for call in (r"convert_from('\x41', 'SJIS')", "convert_to('é', 'WIN1252')"):
        answer = postgres.run(f"SELECT {call}")
        assert answer["error"]["type"] == "ERROR 42883"
        assert "default conversion function for encoding" in answer["error"]["text"]
    for encoding in ("SQL_ASCII", "UTF8"):
        _, result = postgres.run(f"SET client_encoding = '{encoding}'; SELECT 'é€'")["results"]
        assert result["rows"] == [["é€"]]
    answer = postgres.run("SELECT 'é😀',\n  'é\0' AS x; SELECT 1", "EXPLAIN (ANALYZE)\n")
    assert answer["results"] == []
    assert answer["error"] == {
        "type": "ERROR 08P01",
        "line": 0,
        "text": "ERROR:  invalid message format\nDETAIL:  The text holds a NUL character.\n",
    }
    assert postgres.run("SELECT 1")["error"] is None


def test_what_a_session_can_be_left_in(postgres: Postgres) -> None:
    """An open transaction is told, a failed one too; COPY finds no input and gives its lines."""
    assert postgres.run("BEGIN; CREATE TABLE t (a int, b text)")["state"] == "T"
    answer = postgres.run("COPY t FROM STDIN")
    assert "a page has no input to read" in answer["error"]["text"]
    assert answer["state"] == "E"
    answer = postgres.run("SELECT 1")
    assert "current transaction is aborted" in answer["error"]["text"]
    assert postgres.run("ROLLBACK")["state"] == "I"
    (result,) = postgres.run("COPY (VALUES (1, 'é'), (2, NULL)) TO STDOUT")["results"]
    assert result == {
        "tag": "COPY 2",
        "fields": ["COPY"],
        "rows": [["1\té"], ["2\t\\N"]],
        "count": 2,
    }
    assert postgres.run("-- nothing")["results"] == []
    # Last, since it ends the database; the worker of a page starts another.
    endless = "CREATE TABLE big AS SELECT i, md5(i::text) FROM generate_series(1, 5000000) AS i"
    assert postgres.run(endless)["ended"] == "its files would have outgrown 256 MiB"
