"""The append-only segments that a call is in before it is anywhere else.

records.py   what a line can say, and the line itself: checksum, JSON, newline
shrink.py    how a record that is too large loses details, and never its usage
space.py     room on the disk, taken in advance
segment.py   one file, locked by its writer for the writer's life
commit.py    group commit: one sync for all who wait
writer.py    one process's way in: open, close, whole, reject
reader.py    what ingest reads, and what may be done with the file of a writer that is gone
"""

from collector.ledger.journal.reader import (
    Batch,
    Chunk,
    Unreadable,
    batches,
    cut_tail,
    is_abandoned,
    read,
    segment_source,
    segments,
)
from collector.ledger.journal.records import (
    Beside,
    Close,
    Open,
    Opening,
    Record,
    Reject,
    Skimmed,
    Uncounted,
    Whole,
    opened,
)
from collector.ledger.journal.writer import Ticket, Writer

__all__ = [
    "Batch",
    "Beside",
    "Chunk",
    "Close",
    "Open",
    "Opening",
    "Record",
    "Reject",
    "Skimmed",
    "Ticket",
    "Uncounted",
    "Unreadable",
    "Whole",
    "Writer",
    "batches",
    "cut_tail",
    "is_abandoned",
    "opened",
    "read",
    "segment_source",
    "segments",
]
