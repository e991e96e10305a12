"""What the popular stream loses, by its own demo."""

import pytest

from tests.scenarios.bulk_download.conftest import Demo


@pytest.mark.usefixtures("demo_postgres")
def test_an_account_comes_twice_and_another_never(demo: Demo) -> None:
    assert demo("naive_paged_stream") == [
        "ten accounts, exported: [1, 2, 3, 4, 5, 7, 8, 9, 10, 2]",
        "b'1\\n'",
        "a table that is not there: []",
    ]
