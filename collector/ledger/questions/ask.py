"""Runs a question. Everything else in this package only builds SELECTs."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Engine, Row, Select, select

from collector.ledger.pending import COUNTED_FROM
from collector.ledger.pruned import ROWS_FROM, USERS_FROM
from collector.ledger.schema import meta, names

Question: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


def reading(url: str) -> Engine:
    """The ledger, for questions alone. Raises LedgerError where there is none, or of another revision."""
    from collector.ledger.engines import open_ledger

    return open_ledger(url, read_only=True)


def rows(engine: Engine, question: Question) -> list[AnyRow]:
    """All rows that a question selects, with its column labels as field names."""
    with engine.connect() as connection, _collecting_nothing():
        return list(connection.execute(question).all())


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Within it garbage is not looked for: thousands of new rows, which hold no cycles, would have all that the process
    holds searched, which takes longer than to read them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def total(answer: Iterable[AnyRow], column: str) -> int:
    """The sum of a column of day sums, in whole numbers of any size; None counts as nothing."""
    return sum(getattr(row, column) or 0 for row in answer)


class Kept(frozenset[str]):
    """The zones that day cells are kept for, and from which instant on single calls are, in microseconds."""

    rows_from_us = 0  # 0: of all calls
    users_from_us: Mapping[str, int]  # by zone: from where on its user cells are complete


def declared_zones(engine: Engine) -> Kept:
    """The zones that the ledger keeps day cells for, of all days."""
    begun = [row.name for row in rows(engine, select(names.c.name).where(names.c.kind == "zone"))]
    told = {
        row.key: int(row.value) for row in rows(engine, select(meta).where(meta.c.key.like("%\\_from%", escape="\\")))
    }
    kept = Kept(zone for zone in begun if COUNTED_FROM + zone not in told)
    kept.rows_from_us = told.get(ROWS_FROM, 0)
    kept.users_from_us = {zone: told.get(USERS_FROM + zone, 0) for zone in kept}
    return kept
