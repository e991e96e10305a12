"""What the first version does get right, and how it is sent."""

import pytest

from tests.scenarios.bulk_download.conftest import Demo


@pytest.mark.usefixtures("demo_postgres")
def test_one_piece_or_one_piece_a_row(demo: Demo) -> None:
    assert demo("naive_build_in_memory") == [
        "Response: 76893 bytes in 1 piece",
        "StreamingResponse: 2000 pieces",
    ]
