"""The count of connections comes from the server itself."""

from __future__ import annotations

import psycopg
import pytest

from lab.postgres import server_connections


def test_server_connections_counts_one_application_and_not_itself(postgres_url: str) -> None:
    name = "lab-test-count"
    assert server_connections(postgres_url, name) == 0
    with (
        psycopg.connect(postgres_url, application_name=name),
        psycopg.connect(postgres_url, application_name=name),
        psycopg.connect(postgres_url, application_name="another"),
    ):
        assert server_connections(postgres_url, name) == 2
        assert server_connections(postgres_url, "lab count") == 0


def test_server_connections_of_a_dead_server_raises() -> None:
    with pytest.raises(psycopg.OperationalError):
        server_connections("postgresql://postgres@127.0.0.1:1/postgres", "x")
