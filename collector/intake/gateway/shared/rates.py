"""Calls per minute and key, counted by all workers together; and how often requests were turned away, and why."""

import sqlite3
from collections.abc import Mapping

MINUTE_US = 60_000_000
KEPT_MINUTES = 8 * 24 * 60  # of what was turned away
_COUNT = """
INSERT INTO rates VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET
    calls = CASE WHEN minute = excluded.minute THEN calls + 1 ELSE 1 END, minute = excluded.minute
RETURNING calls
"""

_ADD_UP = """
INSERT INTO turned_away SELECT 0, reason, sum(requests) FROM turned_away WHERE minute > 0 AND minute < ? GROUP BY reason
ON CONFLICT DO UPDATE SET requests = requests + excluded.requests
"""


def count(connection: sqlite3.Connection, key: str, now_us: int) -> int:
    """How many calls this is of a key in the running minute, of UTC."""
    calls: int = connection.execute(_COUNT, (key, now_us // MINUTE_US)).fetchall()[0][0]
    return calls


def seconds_left(now_us: int) -> int:
    """How long the running minute still is, in whole seconds, at least 1."""
    return max(1, -(-(MINUTE_US - now_us % MINUTE_US) // 1_000_000))


def add_turned_away(connection: sqlite3.Connection, counts: Mapping[tuple[int, str], int], now_us: int) -> None:
    """Add requests by (minute, reason); those older than KEPT_MINUTES are added up, under the minute 0."""
    connection.executemany(
        "INSERT INTO turned_away VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
        [(minute, reason, n) for (minute, reason), n in counts.items()],
    )
    oldest = now_us // MINUTE_US - KEPT_MINUTES
    connection.execute(_ADD_UP, (oldest,))
    connection.execute("DELETE FROM turned_away WHERE minute > 0 AND minute < ?", (oldest,))


def turned_away(connection: sqlite3.Connection, since_us: int) -> dict[str, int]:
    """Requests by reason since the minute of an instant (0: all there ever were), the most frequent first."""
    rows = connection.execute(
        "SELECT reason, sum(requests) AS n FROM turned_away WHERE minute >= ? GROUP BY reason ORDER BY n DESC, reason",
        (since_us // MINUTE_US,),
    )
    return dict(rows.fetchall())
