"""A connection that is not given back is missing, and an error keeps its own."""

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from snippets.memory_leaks import naive_pool_checkout
from tests.scenarios.memory_leaks.conftest import Demo


def test_a_connection_is_returned_only_if_nothing_raises(postgres_url: str) -> None:
    with ConnectionPool(postgres_url, min_size=1, max_size=1, timeout=5) as pool:
        assert naive_pool_checkout.price(pool, 4) == 25
        assert pool.get_stats()["pool_available"] == 1
        with pytest.raises(psycopg.errors.DivisionByZero):
            naive_pool_checkout.price(pool, 0)
        assert pool.get_stats()["pool_available"] == 0


def test_a_request_that_succeeds_keeps_nothing(postgres_url: str) -> None:
    with pytest.warns(ResourceWarning, match="deleted while still open"):
        naive_pool_checkout.price_alone(postgres_url, 4)
    assert naive_pool_checkout.LAST_ERRORS == []


def test_a_request_that_fails_keeps_its_error_and_its_connection(postgres_url: str) -> None:
    naive_pool_checkout.price_alone(postgres_url, 0)
    (error,) = naive_pool_checkout.LAST_ERRORS
    assert isinstance(error, psycopg.errors.DivisionByZero)
    del error
    with pytest.warns(ResourceWarning, match="deleted while still open"):
        naive_pool_checkout.LAST_ERRORS.clear()


def test_demo_of_the_pool(demo: Demo, postgres_url: str) -> None:
    assert demo("naive_pool_checkout", postgres_url) == [
        "request 1: a customer ordered nothing",
        "request 2: a customer ordered nothing",
        "request 3: couldn't get a connection after 0.50 sec",
        "0 of 2 available",
    ]
    with pytest.raises(SystemExit, match="Set DATABASE_URL"):
        demo("naive_pool_checkout")
