"""Neither a long file nor a line without end fills the memory."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.memory import traced_peak
from snippets.large_datasets.file_stream import CsvError, csv_rows

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def test_a_line_without_end_is_refused_before_it_is_in_memory() -> None:
    class Endless(io.RawIOBase):
        """A header, and then 256 MiB of one character."""

        left = 2**28

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: "WriteableBuffer") -> int:
            view = memoryview(buffer)
            text = b"a,b\n" if self.left == 2**28 else b"x" * len(view)
            count = min(len(view), len(text), self.left)
            view[:count] = text[:count]
            self.left -= count
            return count

    def read() -> None:
        with pytest.raises(CsvError, match="line 2: a row longer"):
            list(csv_rows(io.BufferedReader(Endless()), ["a"]))

    assert traced_peak(read) < 2_000_000


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.csv"
        path.write_bytes(b"a,b\n" + b"1234567,some text\n" * rows)

        def read() -> None:
            with path.open("rb") as file:
                for _ in csv_rows(file, ["a", "b"]):
                    pass

        read()
        return traced_peak(read)

    assert peak(20_000) < peak(1_000) + 20_000
