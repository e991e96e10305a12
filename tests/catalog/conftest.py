"""A finished repository to spoil, one fault at a time."""

from pathlib import Path

import pytest

from tests.catalog import repository


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A repository with vocabularies and no page."""
    return repository.bare(tmp_path)


@pytest.fixture
def filled(bare: Path) -> Path:
    """A repository with one finished scenario beyond the 21."""
    return repository.filled(bare)
