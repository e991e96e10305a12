"""Archive a part of what was read."""

import sqlite3


def between_pages(conn: sqlite3.Connection, page: list[int]) -> None:
    """Work on the table events(id) after the reader got a page of ids."""
    gone = [(number,) for number in page[:20]]
    conn.executemany("DELETE FROM events WHERE id = ?", gone)
