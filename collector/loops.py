"""The two loops of a running callmeter: store what is journalled, and do each job when it is due."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from collector.core.errors import LockHeld
from collector.jobs import collect, zones
from collector.ledger.book import load_book
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.settings import Settings
from collector.signals import Stop

LOOK_EVERY_S = 0.25
DRAIN_ANYWAY_S = 5.0  # a writer that died changes no file, it only frees its lock
JOBS_EVERY_S = 15.0
LONGEST_PAUSE_S = 30.0
Say = Callable[[str], None]


def now_us() -> int:
    """The clock, microseconds UTC."""
    return time.time_ns() // 1000


def ingest_forever(settings: Settings, stop: Stop, say: Say) -> None:
    """Drains soon after any change in the journal, until `stop`. A failure is said once and tried again."""
    journal, prices = settings.journal_dir, settings.data_dir / "prices.toml"
    engine = open_ledger(settings.ledger_url, create=True)
    book, book_of = load_book(settings), stamp(prices)
    drained_at, seen, said, pause_s = 0.0, None, "", LOOK_EVERY_S
    while not stop():
        state = journal_state(journal)
        if state != seen or time.monotonic() - drained_at > DRAIN_ANYWAY_S:
            try:
                if stamp(prices) != book_of:
                    book, book_of = load_book(settings), stamp(prices)
                drain(engine, journal, book, settings.limits, now_us=now_us(), zones=zones(settings), stop=stop)
                seen, said, pause_s = state, "", LOOK_EVERY_S
            except LockHeld:
                pause_s = LOOK_EVERY_S
            except Exception as problem:
                said, pause_s = _say_once(say, said, problem), min(max(1.0, 2 * pause_s), LONGEST_PAUSE_S)
            drained_at = time.monotonic()
        stop.wait(pause_s)
    engine.dispose()


def jobs_forever(settings: Settings, stop: Stop, say: Say) -> None:
    """Does what is due, looks again every quarter of a minute, until `stop`."""
    said = ""
    while not stop():
        try:
            failed = "; ".join(collect(settings, now_us))
            said = _say_once(say, said, failed) if failed else ""
        except LockHeld:
            pass  # cron is at it
        except Exception as problem:
            said = _say_once(say, said, problem)
        stop.wait(JOBS_EVERY_S)


def journal_state(journal: Path) -> tuple[tuple[str, int, int], ...]:
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


def _say_once(say: Say, said: str, problem: object) -> str:
    text = " ".join(str(problem).split()) or type(problem).__name__
    if text != said:
        say(text)
    return text
