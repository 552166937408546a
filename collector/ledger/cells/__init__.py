"""Cells: sums of calls that are written in the same transaction as the calls, and rebuilt from them.

usage.py      what calls add to sums of usage and cost, by quarter-hour, day, user and dimension
health.py     what calls, attempts and probes add to counts of endings and histograms of times
tables.py     the tables of cells, and how sums get into them
counting.py   `Cells`: the rows that come and go within a transaction
floor.py      how long health is kept by five minutes
every.py      all calls and probes, some thousands at a time
zones.py      declared zones, and the day cells of one that is new
rebuild.py    all cells anew
"""

from collector.ledger.cells.counting import Cells
from collector.ledger.cells.every import Progress, all_rows, probes_of, rows_of
from collector.ledger.cells.floor import raise_floor
from collector.ledger.cells.rebuild import rebuild
from collector.ledger.cells.zones import count_some, declare, intern_zones, kept

__all__ = [
    "Cells",
    "Progress",
    "all_rows",
    "count_some",
    "declare",
    "intern_zones",
    "kept",
    "probes_of",
    "raise_floor",
    "rebuild",
    "rows_of",
]
