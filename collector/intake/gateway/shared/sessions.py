"""Who answered a conversation last, in memory, and shared between workers: it is asked first the next time.

What conversations are called is kept as a digest.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

from collector.core.periods import SECOND_US

IDLE_US = 600 * SECOND_US  # as long as providers keep a prompt's cache (openrouter.ai, prompt caching)
MAX_SESSIONS = 50_000
OVERLAP_US = 5 * SECOND_US  # another worker's clock is read before it saves
Served = dict[bytes, tuple[str, int]]  # by digest: the endpoint's id, and when it answered


class Sessions:
    """What this worker has seen and was told. `take` is what it has seen since that was last taken."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self._unsaved: Served = {}

    def put(self, session: str, model: str, endpoint: str, now_us: int) -> None:
        """An endpoint has answered a session."""
        place = _digest(session, model)
        self._keep(place, endpoint, now_us)
        self._unsaved[place] = endpoint, now_us

    def endpoint(self, session: str, model: str, now_us: int) -> str | None:
        """Who answered it last; None where that is longer ago than caches live."""
        endpoint, at_us = self._known.get(_digest(session, model), ("", 0))
        return endpoint if now_us - at_us <= IDLE_US else None

    def take(self) -> Served:
        taken, self._unsaved = self._unsaved, {}
        return taken

    def put_back(self, taken: Served) -> None:
        """What was taken could not be saved: it is taken again the next time."""
        self._unsaved = taken | self._unsaved if len(self._unsaved) < MAX_SESSIONS else self._unsaved

    def learn(self, told: Iterable[tuple[bytes, str, int]]) -> None:
        """What all workers have saved; the latest answer counts."""
        for place, endpoint, at_us in told:
            if at_us > self._known.get(place, ("", 0))[1]:
                self._keep(place, endpoint, at_us)

    def _keep(self, place: bytes, endpoint: str, at_us: int) -> None:
        self._known[place] = endpoint, at_us
        self._known.move_to_end(place)
        if len(self._known) > MAX_SESSIONS:
            self._known.popitem(last=False)


def save(connection: sqlite3.Connection, seen: Served, now_us: int) -> None:
    """Add what one worker saw, and forget what is idle, or more than any worker remembers."""
    connection.executemany(
        "INSERT INTO sessions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " endpoint = excluded.endpoint, at_us = excluded.at_us WHERE at_us < excluded.at_us",
        [(place, endpoint, at_us) for place, (endpoint, at_us) in seen.items()],
    )
    connection.execute("DELETE FROM sessions WHERE at_us < ?", (now_us - IDLE_US,))
    if seen:
        connection.execute(
            "DELETE FROM sessions WHERE at_us < (SELECT at_us FROM sessions ORDER BY at_us DESC LIMIT 1 OFFSET ?)",
            (MAX_SESSIONS - 1,),
        )


def load(connection: sqlite3.Connection, since_us: int) -> list[tuple[bytes, str, int]]:
    """What all workers have saved of the answers from an instant on, the oldest first."""
    rows = connection.execute("SELECT * FROM sessions WHERE at_us >= ? ORDER BY at_us", (since_us - OVERLAP_US,))
    return rows.fetchall()


def _digest(session: str, model: str) -> bytes:
    return blake2b(f"{session}\0{model}".encode(), digest_size=16).digest()
