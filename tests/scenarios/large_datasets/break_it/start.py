"""What does another client do, so that OFFSET misses rows that never go away?"""

import sqlite3


def between_pages(conn: sqlite3.Connection, page: list[int]) -> None:
    """Work on the table events(id) after the reader got a page of ids."""
    new = 1000 + page[-1]
    conn.execute("INSERT OR IGNORE INTO events (id) VALUES (?)", (new,))
