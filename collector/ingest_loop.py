"""The loop that stores what is journalled, soon after it is."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sqlalchemy.engine import Engine

from collector.clock import now_us
from collector.core.errors import CallmeterError, LockHeld
from collector.ledger.book import load_book
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.questions import pulled
from collector.settings import Settings
from collector.signals import Stop

LOOK_EVERY_S = 0.25
DRAIN_ANYWAY_S = 5.0  # a writer that died changes no file, it only frees its lock
LONGEST_PAUSE_S = 30.0
TICK_US = 50_000
Say = Callable[[str], None]


State: TypeAlias = tuple[tuple[str, int, int], ...]


def ingest_forever(settings: Settings, stop: Stop, say: Say) -> None:
    """Drains soon after any change in the journal, until `stop`. A failure is said once and tried again."""
    engine = open_ledger(settings.ledger_url, create=True)
    loop = _Loop(settings, engine, stop, say)
    said, pause_s = "", LOOK_EVERY_S
    while not stop():
        try:
            loop.look()
            said, pause_s = "", LOOK_EVERY_S
        except LockHeld:
            pause_s = LOOK_EVERY_S
        except Exception as problem:
            said, pause_s = say_once(say, said, problem), min(max(1.0, 2 * pause_s), LONGEST_PAUSE_S)
        stop.wait(pause_s)
    engine.dispose()


class _Loop:
    """What is remembered between two looks at the journal."""

    def __init__(self, settings: Settings, engine: Engine, stop: Stop, say: Say) -> None:
        self._settings, self._engine, self._stop, self._say = settings, engine, stop, say
        self._book, self._book_of = load_book(settings), self._prices_stamp()
        self._seen: State | None = None
        self._drained_at = 0.0

    def look(self) -> None:
        """Drains when the journal has changed, and now and then when it has not."""
        state = journal_state(self._settings.journal_dir)
        if state == self._seen and time.monotonic() - self._drained_at < DRAIN_ANYWAY_S:
            return
        self._reread_prices()
        zones, limits = self._settings.zones, self._settings.limits
        drain(self._engine, self._settings.journal_dir, self._book, limits, now_us(), zones, self._stop)
        self._seen = state if is_settled(state, now_us()) else None
        self._drained_at = time.monotonic()

    def _prices_stamp(self) -> tuple[int | None, tuple[int, int]]:
        return stamp(self._settings.data_dir / "prices.toml"), pulled.stamp(self._engine)

    def _reread_prices(self) -> None:
        """Takes over changed prices; a file that is wrong is said once, and the prices before it stay in force."""
        if (changed := self._prices_stamp()) != self._book_of:
            self._book_of = changed
            try:
                self._book = load_book(self._settings)
            except CallmeterError as problem:
                self._say(f"the prices stay as they were: {problem}")


def is_settled(state: State, at_us: int) -> bool:
    """Whether the last change is so long ago that another one in the same tick of the file system's clock is seen."""
    return all(changed_ns // 1000 < at_us - TICK_US for _, _, changed_ns in state)


def journal_state(journal: Path) -> State:
    """Name, size and time of change of every segment: equal means that nothing was appended in between."""
    try:
        with os.scandir(journal) as entries:
            found = [entry for entry in entries if entry.name.endswith(".jnl")]
            return tuple(sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in found))
    except FileNotFoundError:
        return ()


def stamp(path: Path) -> int | None:
    """When a file was changed; None when it is absent."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def say_once(say: Say, said: str, problem: object) -> str:
    """Says what went wrong unless it was the last thing said; what to give as `said` the next time."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    if text != said:
        say(text)
    return text
