"""readlines() and split(","): right for the plain file, wrong for the real one."""

import io

from snippets.large_datasets.naive_read_lines import csv_rows

from .conftest import Demo
from .test_file_stream import HAZARDS


def test_a_plain_file_is_read() -> None:
    assert csv_rows(io.StringIO("a,b\n1,2\n3,4\n")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def as_opened(content: bytes) -> list[dict[str, str]]:
    return csv_rows(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_most_hazards_are_read_wrong_without_an_error() -> None:
    wrong = {
        name
        for name, (content, rows) in HAZARDS.items()
        if [(row.get("a"), row.get("b")) for row in as_opened(content)] != rows
    }
    assert wrong == {
        "byte-order mark",
        "byte-order mark before a quote",
        "comma in quotes",
        "doubled quote",
        "empty lines",
        "empty quoted field",
        "json in a field",
        "line feed in quotes",
        "only a quote",
        "quotes around a header",
        "spaces are kept",
        "windows line end in quotes",
    }


def test_the_demo_makes_three_rows_of_two(demo: Demo) -> None:
    assert demo("naive_read_lines") == [
        "{'id': '1', 'name': '\"Doe', 'note': ' Jane\"'}",
        "{'id': 'lines\"'}",
        "{'id': '2', 'name': 'Bo', 'note': '\"say \"\"hi\"\"\"'}",
    ]
