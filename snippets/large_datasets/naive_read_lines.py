# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""A CSV file read with readlines() and split(","): too much, and wrong.

Memory grows with the file, and each line end or comma inside quotes breaks a
row in two without an error. Use csv_rows of file_stream.py instead.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

import io
from typing import TextIO


# --8<-- [start:read]
def csv_rows(file: TextIO) -> list[dict[str, str]]:
    """Return the rows of a CSV file. Memory: O(size of the file), twice."""
    lines = file.readlines()  # BUG: the whole file, before the first row.
    header = lines[0].strip().split(",")
    return [
        # BUG: a comma in quotes is no separator, a line is not a row, and
        # zip() without strict=True drops fields that are too many.
        dict(zip(header, line.strip().split(",")))
        for line in lines[1:]
    ]


# --8<-- [end:read]


# --8<-- [start:demo]
def main() -> None:
    """Read two rows, and get three that nobody wrote."""
    text = 'id,name,note\n1,"Doe, Jane","two\nlines"\n2,Bo,"say ""hi"""\n'
    for row in csv_rows(io.StringIO(text)):
        print(row)


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
