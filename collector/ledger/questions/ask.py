"""Runs a question. Everything else in this package only builds SELECTs."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import Engine, Row, Select, select

from collector.ledger.schema import names

Question: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


def rows(engine: Engine, question: Question) -> list[AnyRow]:
    """All rows that a question selects, with its column labels as field names."""
    with engine.connect() as connection:
        return list(connection.execute(question))


def total(answer: Iterable[AnyRow], column: str) -> int:
    """The sum of a column of day sums, in whole numbers of any size; None counts as nothing."""
    return sum(getattr(row, column) or 0 for row in answer)


def declared_zones(engine: Engine) -> frozenset[str]:
    """The zones that the ledger keeps day cells for."""
    return frozenset(row.name for row in rows(engine, select(names.c.name).where(names.c.kind == "zone")))
