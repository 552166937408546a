"""Puts the calls of a batch into the ledger: as new rows, or merged with what is already there.

arrivals.py   1. which calls can be stored, and which of them may be in the ledger already
known.py         how that is found out
fresh.py      2. the others are priced and inserted
joined.py     3. with those, everything that could be the same call is loaded, grouped anew by merge.py, and what
                 changed is taken out and put in again, rows and cells alike
desk.py       what all of them need
"""

from collector.ledger.settle.arrivals import Settled, settle
from collector.ledger.settle.desk import Desk

__all__ = ["Desk", "Settled", "settle"]
