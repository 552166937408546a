"""What settling needs besides the calls, and what both its ways have in common."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from collector.core.calls import Attempt, Call
from collector.core.prices import Charge, PriceBook
from collector.ledger import schema
from collector.ledger.cells import Cells
from collector.ledger.merge import states_cost
from collector.ledger.names import Names
from collector.ledger.priced import PriceSets
from collector.ledger.rows import KINDS, Charged, Ids, Row, Shared, names_in

_AT_ONCE = 10_000
_INSERT_CALL = str(sa.insert(schema.calls).compile(dialect=sqlite.dialect()))
_INSERT_ATTEMPT = str(sa.insert(schema.attempts).compile(dialect=sqlite.dialect()))


class Desk(msgspec.Struct):
    """The transaction, the book, the memories of names and price sets, the cells, and the batch's id."""

    connection: Connection
    book: PriceBook
    names: Names
    price_sets: PriceSets
    cells: Cells
    batch: int


def interned(
    desk: Desk,
    calls: Sequence[Call],
    shared: Iterable[Shared],
    own: Iterable[Attempt],
    reasons: Iterable[str | None],
) -> Ids:
    """The ids of all names that the rows of some calls need; new names are stored."""
    wanted = names_in(calls, shared, own)
    wanted["reason"] = {reason for reason in reasons if reason}
    return Ids(**{kind: desk.names.intern(desk.connection, kind, wanted[kind]) for kind in KINDS})


def charged_of(charge: Charge, ids: Ids, sets: Mapping[str, int], call: Call) -> Charged:
    """What the row of a call says of its charge."""
    price = sets[charge.price_set.id] if charge.price_set is not None else None
    reason = ids.reason[charge.unpriced_reason] if charge.unpriced_reason else None
    if not states_cost(call):
        return Charged(charge.meters, charge.cost, price, reason)
    original = call.original_cost if call.original_cost != charge.cost else None
    return Charged(charge.meters, charge.cost, price, reason, original, 1)


def insert_rows(desk: Desk, rows: list[Row], tries: list[Row]) -> None:
    """Rows of calls and of attempts that are not there yet."""
    if rows:
        desk.connection.exec_driver_sql(_INSERT_CALL, rows)
    if tries:
        desk.connection.exec_driver_sql(_INSERT_ATTEMPT, tries)


def where_in(desk: Desk, query: str, values: Sequence[Any]) -> Iterator[Any]:
    """The rows of a query that ends in IN, for any number of values."""
    for some in pieces(list(values)):
        yield from desk.connection.exec_driver_sql(f"{query} ({', '.join('?' * len(some))})", tuple(some))


def pieces(some: list[Any]) -> Iterator[list[Any]]:
    """Parts of a list, as many values as one statement takes."""
    return (some[at : at + _AT_ONCE] for at in range(0, len(some), _AT_ONCE))
