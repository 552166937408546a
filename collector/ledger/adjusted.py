"""Adjustments beside the calls they changed: they go where the call goes, and lead from its first cost to its cost.

`reprice` writes them. Merging moves them with their call, and marks as superseded those of a cost that it replaced.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from collector.core.periods import DAY_S, SECOND_US
from collector.ledger.rows import AT, Row
from collector.ledger.schema import adjustments, calls
from collector.ledger.touched import WHOLE, Span

_AT_ONCE = 10_000
_DAY_US = DAY_S * SECOND_US
_MONEY = [AT[name] for name in ("cost", "price", "unpriced_reason", "original_cost", "cost_stated")]
_SUPERSEDED = list(adjustments.c.keys()).index("superseded")
_INSERT = str(sa.insert(adjustments).compile(dialect=sqlite.dialect()))


class Home(NamedTuple):
    """Where a call of the ledger is after a merge, and whether its cost is as it was."""

    call_id: bytes
    is_kept: bool


def is_same_money(old: Row, new: Row) -> bool:
    """Whether two rows say the same of cost, price and reason."""
    return all(old[at] == new[at] for at in _MONEY)


def follow(connection: Connection, homes: Mapping[bytes, Home], batch: int) -> None:
    """Moves adjustments with their calls; those of a cost that `batch` has replaced are superseded by it."""
    moving = {at: list(rows) for at, rows in groupby(_of_calls(connection, list(homes)), key=lambda row: row[0])}
    if not moving:
        return
    new: dict[bytes, list[Row]] = {}
    for at, rows in sorted(moving.items(), key=lambda each: homes[each[0]].is_kept):
        there = new.setdefault(homes[at].call_id, [])
        there[:] = [_ended(row, batch) for row in there]  # one call has one chain
        there += rows if homes[at].is_kept else [_ended(row, batch) for row in rows]
    connection.exec_driver_sql("DELETE FROM adjustments WHERE call_id = ?", [(at,) for at in moving])
    connection.exec_driver_sql(
        _INSERT, [(at, n, *row[2:]) for at, rows in new.items() for n, row in enumerate(rows, start=1)]
    )


def broken_chains(connection: Connection, span: Span = WHOLE) -> Iterator[str]:
    """Calls of a span whose adjustments do not lead from their first cost to their cost, one sentence each."""
    within = span.within("calls.started_at", _DAY_US)
    a, c = adjustments.c, calls.c
    told = [a.call_id, a.old_cost, a.new_cost, a.old_price, a.new_price, a.old_reason, a.new_reason, a.old_stated]
    now = [c.id, c.cost, c.price, c.unpriced_reason, c.original_cost]
    chains = (
        sa.select(*told, *now)
        .select_from(adjustments.outerjoin(calls, c.id == a.call_id))
        .where(a.superseded.is_(None), sa.text(within))
        .order_by(a.call_id, a.n)
        .execution_options(yield_per=1_000)
    )
    for call_id, links in groupby(connection.execute(chains), key=lambda link: link.call_id):
        if problem := _chain_problem(list(links)):
            yield f"call {call_id.hex()}: {problem}"
    yield from _unexplained(connection, within)


def _chain_problem(links: list[Any]) -> str | None:
    first, last = links[0], links[-1]
    if last.id is None:
        return "it was adjusted, and there is no such call"
    for one, following in pairwise(links):
        if _new(one) != _old(following):
            return f"an adjustment ends at the cost {one.new_cost}, the one after it begins at {following.old_cost}"
    if _new(last) != (last.cost, last.price, last.unpriced_reason):
        return f"its cost is {last.cost}, its last adjustment makes it {last.new_cost}"
    added = sum((link.new_cost or 0) - (link.old_cost or 0) for link in links)
    if (first.old_cost or 0) + added != (last.cost or 0):
        return f"its cost is {last.cost}, its first cost {first.old_cost} and its adjustments make it {added} more"
    costs = [first.old_cost, *(link.new_cost for link in links)]
    original = next((cost for cost in costs if cost is not None), None)
    kept = last.cost if last.original_cost is None else last.original_cost
    if original != kept and not first.old_stated:
        return f"its first cost is {kept}, its adjustments say that it was {original}"
    return None


def _unexplained(connection: Connection, within: str) -> Iterator[str]:
    """Calls whose cost changed, by their row, and that no adjustment tells of."""
    found = connection.exec_driver_sql(
        f"SELECT lower(hex(id)), cost, original_cost FROM calls WHERE {within} AND original_cost IS NOT NULL"
        " AND cost_stated IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM adjustments AS a WHERE a.call_id = calls.id AND a.superseded IS NULL)"
    )
    for call_id, cost, original in found:
        yield f"call {call_id}: its cost was {original} and is {cost}, and no adjustment says why"


def _old(link: Any) -> tuple[int | None, ...]:
    return link.old_cost, link.old_price, link.old_reason


def _new(link: Any) -> tuple[int | None, ...]:
    return link.new_cost, link.new_price, link.new_reason


def _of_calls(connection: Connection, ids: list[bytes]) -> Iterator[Row]:
    for at in range(0, len(ids), _AT_ONCE):
        some = sorted(ids)[at : at + _AT_ONCE]
        query = sa.select(adjustments).where(adjustments.c.call_id.in_(some))
        yield from map(tuple, connection.execute(query.order_by(adjustments.c.call_id, adjustments.c.n)).all())


def _ended(row: Row, batch: int) -> Row:
    return row if row[_SUPERSEDED] is not None else (*row[:_SUPERSEDED], batch, *row[_SUPERSEDED + 1 :])
