"""Puts the calls of a batch into the ledger: as new rows, or merged with what is already there.

1. `fresh` calls, those that nothing in the ledger or in the batch could be, are inserted.
2. For the others everything that could be the same call is loaded, grouped anew by merge.py, and what changed is
   taken out and put in again, rows and cells alike.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.prices import PriceBook
from collector.ledger import merge, names, schema
from collector.ledger.priced import Billed, PriceSets, bill, price_bodies
from collector.ledger.rollups import Cells
from collector.ledger.rows import (
    AT,
    KINDS,
    MAX_COST,
    Charged,
    Ids,
    Row,
    attempt_rows,
    call_of,
    ids_in,
    meters_of,
    names_in,
    origin_key,
    row_of,
    storable,
)

_AT_ONCE = 10_000
_INSERT_CALL = str(sa.insert(schema.calls).compile(dialect=sqlite.dialect()))
_INSERT_ATTEMPT = str(sa.insert(schema.attempts).compile(dialect=sqlite.dialect()))
_INSERT_WITNESS = str(sa.insert(schema.witnesses).compile(dialect=sqlite.dialect()))
_encode = msgspec.json.Encoder(order="deterministic").encode
_decoder = msgspec.json.Decoder(Call)
_BATCH = AT["batch"]


class Desk(msgspec.Struct):
    """What settling needs besides the calls: the transaction, the book, and the memories of names and price sets."""

    connection: Connection
    book: PriceBook
    names: names.Names
    price_sets: PriceSets
    cells: Cells
    batch: int


class Settled(NamedTuple):
    """How many calls became rows and how many joined one; `rejected` by their place, with the reason."""

    stored: int
    merged: int
    rejected: dict[int, str]


class _Known(NamedTuple):
    """A call in the ledger: its row, its rows of attempts, and the records it was made of."""

    row: Row
    attempts: list[Row]
    records: list[Call]


def settle(desk: Desk, arrivals: Sequence[Call]) -> Settled:
    """Stores calls, with their cells. A call that cannot be stored is rejected with its reason; the rest are stored."""
    rejected: dict[int, str] = {}
    fit: list[tuple[Call, Billed]] = []
    titles: dict[str, str] = {}
    for place, call in enumerate(arrivals):
        try:
            kept = storable(call)
            fit.append((kept, _billed(kept, desk.book)))
        except InputError as error:
            rejected[place] = str(error)
            continue
        if call.app_title and kept.app:
            titles[kept.app] = call.app_title
    known = _perhaps_known(desk, [call for call, _ in fit])
    fresh = [each for each in fit if each[0].id not in known]
    others = [call for call, _ in fit if call.id in known]
    _insert(desk, fresh)
    joined = _merge(desk, others) if others else 0
    desk.names.label(desk.connection, "app", titles)
    return Settled(len(fresh) + joined, len(others) - joined, rejected)


def _billed(call: Call, book: PriceBook) -> Billed:
    billed = bill(call, book)
    if billed.cost is not None and not -MAX_COST <= billed.cost <= MAX_COST:
        raise InputError(f"cost {billed.cost} picodollars is beyond {MAX_COST} for one call: {dict(call.meters)}")
    return billed


def _insert(desk: Desk, fresh: Sequence[tuple[Call, Billed]]) -> None:
    if not fresh:
        return
    ids = _interned(desk, fresh)
    used = {id(billed.price_set): billed.price_set for _, billed in fresh if billed.price_set}
    sets = desk.price_sets.store(desk.connection, used.values())
    rows = [row_of(call, desk.batch, ids, _charged(billed, ids, sets, call)) for call, billed in fresh]
    tries: list[Row] = []
    for (call, _), row in zip(fresh, rows, strict=True):
        if call.attempts:
            own = attempt_rows(call, ids)
            tries += own
            desk.cells.add(row, own)
        else:
            desk.cells.add(row)
    desk.connection.exec_driver_sql(_INSERT_CALL, rows)
    if tries:
        desk.connection.exec_driver_sql(_INSERT_ATTEMPT, tries)


def _interned(desk: Desk, billed: Sequence[tuple[Call, Billed]]) -> Ids:
    wanted = names_in([call for call, _ in billed])
    wanted["reason"] = {b.reason for _, b in billed if b.reason}
    return Ids(**{kind: desk.names.intern(desk.connection, kind, wanted[kind]) for kind in KINDS})


def _charged(billed: Billed, ids: Ids, sets: Mapping[str, int], call: Call) -> Charged:
    price = sets[billed.price_set.id] if billed.price_set else None
    reason = ids.reason[billed.reason] if billed.reason else None
    if not billed.is_stated:
        return Charged(billed.meters, billed.cost, price, reason)
    original = call.original_cost if call.original_cost != billed.cost else None
    return Charged(billed.meters, billed.cost, price, reason, original, 1)


def _perhaps_known(desk: Desk, calls: Sequence[Call]) -> set[str]:
    """Ids of the calls that the ledger, or another record of the batch, may tell of already."""
    found = {call_id for call_id, times in Counter(call.id for call in calls).items() if times > 1}
    ids = [bytes.fromhex(call.id) for call in calls]
    for table in (schema.calls, schema.witnesses):
        for some in _pieces(ids):
            query = sa.select(table.c.id).where(table.c.id.in_(some))
            found.update(row.id.hex() for row in desk.connection.execute(query))
    by_key: dict[int, list[Call]] = {}
    for call in calls:
        key = origin_key(call)
        if key is not None:
            by_key.setdefault(key, []).append(call)
    found.update(call.id for same in by_key.values() if len({c.source for c in same}) > 1 for call in same)
    for key, source, has_witnesses in _of_origins(desk, list(by_key)):
        found.update(call.id for call in by_key[key] if has_witnesses or call.source != source)
    return found


def _of_origins(desk: Desk, keys: list[int]) -> Iterator[tuple[int, str, bool]]:
    """The calls in the ledger with these origins: key, source, and whether more than one record tells of it."""
    calls, witnesses = schema.calls.c, schema.witnesses.c
    has_witnesses = sa.exists().where(witnesses.call_id == calls.id)
    for some in _pieces(keys):
        query = sa.select(calls.origin_key, schema.names.c.name, has_witnesses).join(
            schema.names, schema.names.c.id == calls.source
        )
        yield from map(tuple, desk.connection.execute(query.where(calls.origin_key.in_(some))))


def _merge(desk: Desk, arrivals: Sequence[Call]) -> int:
    """Groups arrivals with all that could be the same call, and stores what changed; returns by how many rows."""
    known = _load(desk, arrivals)
    records = [record for each in known.values() for record in each.records]
    groups = merge.group([*records, *arrivals])
    bills = [_bill_of(desk, group, known) for group in groups]
    ids = _interned(desk, [(call, billed) for call, billed in bills if isinstance(billed, Billed)] + _only_names(bills))
    used = {b.price_set.id: b.price_set for _, b in bills if isinstance(b, Billed) and b.price_set}
    sets = desk.price_sets.store(desk.connection, used.values())
    new: dict[bytes, tuple[Row, list[Row]]] = {}
    for call, billed in bills:
        charged = _charged(billed, ids, sets, call) if isinstance(billed, Billed) else billed
        row = row_of(call, desk.batch, ids, charged)
        new[row[0]] = row, attempt_rows(call, ids)
    _replace(desk, known, new)
    _keep_witnesses(desk, known, groups, ids)
    return len(new) - len(known)


def _only_names(bills: Sequence[tuple[Call, Billed | Charged]]) -> list[tuple[Call, Billed]]:
    return [(call, Billed(call.meters, None, None, None)) for call, billed in bills if isinstance(billed, Charged)]


def _bill_of(desk: Desk, group: merge.Group, known: Mapping[bytes, _Known]) -> tuple[Call, Billed | Charged]:
    """The call of a group and what it costs: as before, where nothing that a price depends on has changed."""
    call = storable(merge.combine(group))
    if not merge.states_cost(call):
        for record in group:
            before = known.get(bytes.fromhex(record.id))
            if before and (kept := _kept_charge(call, before)):
                return call, kept
    return call, _billed(call, desk.book)


def _kept_charge(call: Call, before: _Known) -> Charged | None:
    row = before.row
    was = merge.combine(merge.group(before.records)[0])
    if row[AT["cost_stated"]] or any(getattr(was, name) != getattr(call, name) for name in _PRICED_BY):
        return None
    if was.meters != call.meters and was.meters != {**call.meters, "requests": 1}:  # billed requests are not told
        return None
    return Charged(
        meters_of(row), row[AT["cost"]], row[AT["price"]], row[AT["unpriced_reason"]], row[AT["original_cost"]]
    )


_PRICED_BY = ("started_at", "model", "served_model", "provider", "service_tier", "key", "outcome")


def _replace(desk: Desk, known: Mapping[bytes, _Known], new: Mapping[bytes, tuple[Row, list[Row]]]) -> None:
    """Takes rows that are gone or changed out of the tables and cells, and puts the new ones in."""
    gone = [at for at, old in known.items() if at not in new or not _is_same(old, *new[at])]
    come = [each for at, each in new.items() if at not in known or at in set(gone)]
    for at in gone:
        desk.cells.add(known[at].row, known[at].attempts, -1)
    for row, attempts in come:
        desk.cells.add(row, attempts)
    _delete(desk, "calls", "id", gone)
    _delete(desk, "attempts", "call_id", gone)
    if come:
        desk.connection.exec_driver_sql(_INSERT_CALL, [row for row, _ in come])
    if tries := [each for _, attempts in come for each in attempts]:
        desk.connection.exec_driver_sql(_INSERT_ATTEMPT, tries)


def _is_same(old: _Known, row: Row, attempts: list[Row]) -> bool:
    return old.row[:_BATCH] == row[:_BATCH] and old.row[_BATCH + 1 :] == row[_BATCH + 1 :] and old.attempts == attempts


def _keep_witnesses(desk: Desk, known: Mapping[bytes, _Known], groups: Sequence[merge.Group], ids: Ids) -> None:
    _delete(desk, "witnesses", "call_id", [at for at, old in known.items() if len(old.records) > 1])
    desk.names.intern(desk.connection, "source", {record.source for group in groups for record in group})
    rows = [
        (bytes.fromhex(record.id), ids.source[record.source], bytes.fromhex(group[0].id), _encode(record))
        for group in groups
        if len(group) > 1
        for record in group
    ]
    if rows:
        desk.connection.exec_driver_sql(_INSERT_WITNESS, rows)


def _delete(desk: Desk, table: str, column: str, values: Sequence[bytes]) -> None:
    if values:
        desk.connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = ?", [(value,) for value in values])


def _load(desk: Desk, arrivals: Sequence[Call]) -> dict[bytes, _Known]:
    """All calls of the ledger that one of the arrivals, or one of those calls in turn, may be."""
    known: dict[bytes, _Known] = {}
    records: list[Call] = list(arrivals)
    while records:
        found = _rows_of_ids(desk, records) | _rows_of_origins(desk, records)
        new = {at: row for at, row in found.items() if at not in known}
        loaded = _with_records(desk, new)
        known |= loaded
        records = [record for each in loaded.values() for record in each.records]
    return known


def _rows_of_ids(desk: Desk, records: Sequence[Call]) -> dict[bytes, Row]:
    calls, witnesses = schema.calls, schema.witnesses.c
    found: dict[bytes, Row] = {}
    for some in _pieces([bytes.fromhex(record.id) for record in records]):
        aliases = sa.select(witnesses.call_id).where(witnesses.id.in_(some))
        query = sa.union(sa.select(calls).where(calls.c.id.in_(some)), sa.select(calls).where(calls.c.id.in_(aliases)))
        found.update({row[0]: tuple(row) for row in desk.connection.execute(query)})
    return found


def _rows_of_origins(desk: Desk, records: Sequence[Call]) -> dict[bytes, Row]:
    """Rows with the origin of a record, that started within the window before or after it."""
    starts: dict[int, list[int]] = {}
    for record in records:
        key = origin_key(record)
        if key is not None:
            starts.setdefault(key, []).append(record.started_at)
    calls, found = schema.calls.c, dict[bytes, Row]()
    for some in _pieces(list(starts)):
        first = min(min(starts[key]) for key in some) - merge.WINDOW_US
        last = max(max(starts[key]) for key in some) + merge.WINDOW_US
        query = sa.select(schema.calls).where(calls.origin_key.in_(some), calls.started_at.between(first, last))
        for row in desk.connection.execute(query):
            if any(abs(row.started_at - start) <= merge.WINDOW_US for start in starts[row.origin_key]):
                found[row.id] = tuple(row)
    return found


def _with_records(desk: Desk, rows: Mapping[bytes, Row]) -> dict[bytes, _Known]:
    if not rows:
        return {}
    attempts = _grouped(desk, schema.attempts, "call_id", rows)
    witnesses = _grouped(desk, schema.witnesses, "call_id", rows)
    ids = {each for row in rows.values() for each in ids_in(row)}
    ids |= {each for some in attempts.values() for row in some for each in (row[3], row[4], row[8]) if each}
    text = names.by_id(desk.connection, ids)
    stated = {row[AT["price"]] for row in rows.values() if row[AT["cost_stated"]]} - {None}
    bodies = price_bodies(desk.connection, stated)
    found = {}
    for at, row in rows.items():
        tries = attempts.get(at, [])
        told = [_decoder.decode(each[3]) for each in witnesses.get(at, [])]
        found[at] = _Known(row, tries, told or [call_of(row, tries, text, bodies)])
    return found


def _grouped(desk: Desk, table: sa.Table, column: str, ids: Iterable[bytes]) -> dict[bytes, list[Row]]:
    found: dict[bytes, list[Row]] = {}
    for some in _pieces(list(ids)):
        query = sa.select(table).where(table.c[column].in_(some)).order_by(*table.primary_key.columns)
        for row in desk.connection.execute(query):
            found.setdefault(getattr(row, column), []).append(tuple(row))
    return found


def _pieces(some: list[Any]) -> Iterator[list[Any]]:
    return (some[at : at + _AT_ONCE] for at in range(0, len(some), _AT_ONCE))
