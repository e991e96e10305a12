"""A small repository, as the tests of the catalog have it."""

from pathlib import Path

import pytest

from tests.catalog import repository


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A repository with vocabularies and no page."""
    return repository.bare(tmp_path)
