"""All cells, made anew from the rows."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from collector.core.errors import LedgerError
from collector.core.periods import day_number, format_day
from collector.ledger import engines
from collector.ledger.cells.every import Progress, count_all
from collector.ledger.cells.tables import TABLES
from collector.ledger.cells.zones import intern_zones, kept
from collector.ledger.pending import set_counted_from
from collector.ledger.pruned import ROWS_FROM, instant_of


def rebuild(engine: Engine, zones: Iterable[str] = (), progress: Progress | None = None) -> None:
    """Makes all cells anew from the rows, in one transaction; readers see the old ones until it is done.

    Day cells are made for the declared zones and for `zones`, which are declared by this. Raises LedgerError when rows
    were pruned: then the cells know more than the rows.
    """
    with engines.writing(engine).begin() as connection:
        if at := instant_of(connection, ROWS_FROM):
            day = format_day(day_number(at, "UTC"))
            raise LedgerError(f"rows before {day} were pruned: the cells cannot be made anew from the rows")
        for table in TABLES:
            connection.execute(sa.delete(table))
        for zone in intern_zones(connection, zones):
            set_counted_from(connection, zone, 0)
        count_all(connection, kept(connection), progress)
