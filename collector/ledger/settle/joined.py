"""Calls that may be in the ledger already: grouped anew with all that could be the same call."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from collector.core.calls import Call
from collector.core.prices import Charge, has_usage
from collector.ledger import adjusted, merge, names, schema
from collector.ledger.priced import bill, price_bodies
from collector.ledger.rows import (
    AT,
    Charged,
    Ids,
    Row,
    attempt_rows,
    call_of,
    ids_in,
    meters_of,
    origin_key,
    own_attempts,
    row_of,
    shared_names,
)
from collector.ledger.settle.desk import Desk, charged_of, insert_rows, interned, pieces

_INSERT_WITNESS = str(sa.insert(schema.witnesses).compile(dialect=sqlite.dialect()))
_BATCH = AT["batch"]
_encode = msgspec.json.Encoder(order="deterministic").encode
_decoder = msgspec.json.Decoder(Call)


class _Known(NamedTuple):
    """A call in the ledger: its row, its rows of attempts, and the records it was made of."""

    row: Row
    attempts: list[Row]
    records: list[Call]


def join(desk: Desk, arrivals: Sequence[Call]) -> int:
    """Groups arrivals with all that could be the same call, and stores what changed; returns by how many rows."""
    known = _load(desk, arrivals)
    records = [record for each in known.values() for record in each.records]
    groups = merge.group([*records, *arrivals])
    bills = [_bill_of(desk, group, known) for group in groups]
    calls = [call for call, _ in bills]
    reasons = [b.unpriced_reason for _, b in bills if isinstance(b, Charge)]
    tried = [attempt for call in calls for attempt in own_attempts(call)]
    ids = interned(desk, calls, map(shared_names, calls), tried, reasons)
    sets = desk.price_sets.store(desk.connection, [b.price_set for _, b in bills if isinstance(b, Charge)])
    new: dict[bytes, tuple[Row, list[Row]]] = {}
    for call, billed in bills:
        charged = charged_of(billed, ids, sets, call) if isinstance(billed, Charge) else billed
        row = row_of(call, desk.batch, ids, ids.of_shared(shared_names(call)), charged, origin_key(call))
        new[row[0]] = row, attempt_rows(call, own_attempts(call), ids)
    _replace(desk, known, new)
    _keep_witnesses(desk, known, groups, ids)
    adjusted.follow(desk.connection, _homes(known, groups, new), desk.batch)
    return len(new) - len(known)


def _homes(
    known: Mapping[bytes, _Known], groups: Sequence[merge.Group], new: Mapping[bytes, tuple[Row, list[Row]]]
) -> dict[bytes, adjusted.Home]:
    """Where the calls that were known are now."""
    homes = {}
    for group in groups:
        home = bytes.fromhex(group[0].id)
        for at in {bytes.fromhex(record.id) for record in group} & known.keys():
            homes[at] = adjusted.Home(home, adjusted.is_same_money(known[at].row, new[home][0]))
    return homes


def _bill_of(desk: Desk, group: merge.Group, known: Mapping[bytes, _Known]) -> tuple[Call, Charge | Charged]:
    """The call of a group and what it costs: as before, where nothing that a price depends on has changed."""
    call = merge.combine(group)
    if not merge.states_cost(call):
        for record in group:
            before = known.get(bytes.fromhex(record.id))
            if before and (kept := _kept_charge(call, before)):
                return call, kept
    return call, bill(call, desk.book.route_of(call))


def _kept_charge(call: Call, before: _Known) -> Charged | None:
    row = before.row
    was = _told_of(before.records)
    if row[AT["cost_stated"]] or any(getattr(was, name) != getattr(call, name) for name in _PRICED_BY):
        return None
    if has_usage(was) != has_usage(call):
        return None
    if was.meters != call.meters and was.meters != {**call.meters, "requests": 1}:  # billed requests are not told
        return None
    return Charged(
        meters_of(row), row[AT["cost"]], row[AT["price"]], row[AT["unpriced_reason"]], row[AT["original_cost"]]
    )


def _told_of(records: Sequence[Call]) -> Call:
    """The call that the records of one call tell of."""
    return merge.combine(merge.group(records)[0])


_NO_COST = {"cost": None, "original_cost": None, "price": None, "unpriced_reason": None}
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
    insert_rows(desk, [row for row, _ in come], [each for _, attempts in come for each in attempts])


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
    of_id: dict[str, list[Call]] = {}
    records: list[Call] = list(arrivals)
    while records:
        for record in records:
            of_id.setdefault(record.id, []).append(record)
        units = [of_id[each] for each in {record.id for record in records}]
        found = _rows_of_ids(desk, records) | _rows_of_origins(desk, units)
        new = {at: row for at, row in found.items() if at not in known}
        loaded = _with_records(desk, new)
        known |= loaded
        records = [record for each in loaded.values() for record in each.records]
    return known


def _rows_of_ids(desk: Desk, records: Sequence[Call]) -> dict[bytes, Row]:
    calls, witnesses = schema.calls, schema.witnesses.c
    found: dict[bytes, Row] = {}
    for some in pieces([bytes.fromhex(record.id) for record in records]):
        aliases = sa.select(witnesses.call_id).where(witnesses.id.in_(some))
        query = sa.union(sa.select(calls).where(calls.c.id.in_(some)), sa.select(calls).where(calls.c.id.in_(aliases)))
        found.update({row[0]: tuple(row) for row in desk.connection.execute(query)})
    return found


def _rows_of_origins(desk: Desk, units: Iterable[Sequence[Call]]) -> dict[bytes, Row]:
    """Rows with an origin of records of one id, that started within the window before or after one of them.

    One record of an id may state the origin, and another when the call began.
    """
    starts: dict[int, list[int]] = {}
    for records in units:
        for key in {key for record in records if (key := origin_key(record)) is not None}:
            starts.setdefault(key, []).extend(record.started_at for record in records)
    calls, found = schema.calls.c, dict[bytes, Row]()
    for some in pieces(list(starts)):
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
        if not row[AT["cost_stated"]] and told and merge.states_cost(_told_of(told)):
            told = [msgspec.structs.replace(each, **_NO_COST) for each in told]  # `reprice` has charged it by the book
        found[at] = _Known(row, tries, told or [call_of(row, tries, text, bodies)])
    return found


def _grouped(desk: Desk, table: sa.Table, column: str, ids: Iterable[bytes]) -> dict[bytes, list[Row]]:
    found: dict[bytes, list[Row]] = {}
    for some in pieces(list(ids)):
        query = sa.select(table).where(table.c[column].in_(some)).order_by(*table.primary_key.columns)
        for row in desk.connection.execute(query):
            found.setdefault(getattr(row, column), []).append(tuple(row))
    return found
