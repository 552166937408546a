"""Calls of a file into the journal."""

from collections.abc import Callable, Iterable

import msgspec

from collector.core.calls import Call
from collector.core.errors import JournalFull
from collector.intake.files.reading import Rejected
from collector.ledger.journal import Writer

DRAIN_EVERY = 200_000  # rows: the journal stays small however long the file is


class Loaded(msgspec.Struct):
    """How many rows were read, and how many of them were no calls."""

    rows: int = 0
    rejected: int = 0


def load(
    found: Iterable[Call | Rejected],
    writer: Writer,
    drain: Callable[[], None],
    on_reject: Callable[[Rejected], None],
    loaded: Loaded,
) -> None:
    """Writes every call and every rejected row to the journal; `drain` is called when there is much in it.

    `loaded` counts along, so that it tells how far an unreadable file was read. Raises JournalFull where a drain made
    no room, and what `found` raises.
    """
    for item in found:
        try:
            _record(writer, item)
        except JournalFull:
            writer.stop()  # an ended segment can be deleted once it is in the ledger
            drain()
            _record(writer, item)
        loaded.rows += 1
        if isinstance(item, Rejected):
            loaded.rejected += 1
            on_reject(item)
        if loaded.rows % DRAIN_EVERY == 0:
            drain()


def _record(writer: Writer, item: Call | Rejected) -> None:
    if isinstance(item, Rejected):
        writer.reject(item.line, item.reason, item.text)
    else:
        writer.whole(item)
