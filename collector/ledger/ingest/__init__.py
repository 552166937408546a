"""The journal becomes the ledger: rows, cells and the journal's position change together, in one transaction a batch.

segments.py   segment by segment, batch by batch
sorting.py    what is to be done with each record of a batch
account.py    what became of the calls that a segment's writer accepted
writing.py    what a batch writes beside calls and cells
"""

from collector.ledger.ingest.segments import LOCK_NAME, Drained, drain

__all__ = ["LOCK_NAME", "Drained", "drain"]
