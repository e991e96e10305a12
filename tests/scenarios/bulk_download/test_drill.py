"""FILL: what this drill proves."""

from lab.story import Story
from snippets.bulk_download import batches, naive_batches


def test_no_row_is_lost(story: Story) -> None:
    """The last rows of an import never arrive, and nobody notices."""
    story.scene("ten rows, in batches of four")
    rows = range(10)

    arrived = sum(len(batch) for batch in naive_batches.batches(rows, 4))
    story.naive("the last batch is dropped", arrived=arrived)
    assert arrived == 8

    arrived = sum(len(batch) for batch in batches.batches(rows, 4))
    story.good("every row arrives", arrived=arrived)
    assert arrived == 10
