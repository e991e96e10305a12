"""What the first version does get right, and how it is sent."""

import pytest

from tests.scenarios.bulk_download.conftest import Demo


@pytest.mark.usefixtures("demo_postgres")
def test_one_piece_or_one_piece_a_row(demo: Demo) -> None:
    whole, streamed = demo("naive_build_in_memory")
    assert whole.split(": ")[1] == "76893 bytes in 1 pieces"
    assert streamed.split(": ")[1] == "76893 bytes in 2001 pieces"
