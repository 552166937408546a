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

from collector.core.calls import Attempt, Call
from collector.core.errors import InputError
from collector.core.prices import PriceBook
from collector.ledger import adjusted, merge, names, schema
from collector.ledger.priced import Billed, PriceSets, bill, price_bodies
from collector.ledger.pruned import Pruned
from collector.ledger.rollups import Cells
from collector.ledger.rows import (
    AT,
    KINDS,
    Charged,
    Ids,
    Row,
    Shared,
    SharedIds,
    are_tidy,
    attempt_rows,
    call_of,
    canonical,
    check,
    ids_in,
    meters_of,
    names_in,
    origin_key,
    own_attempts,
    row_of,
    shared_names,
    tidy,
)

_AT_ONCE = 10_000
_INSERT_CALL = str(sa.insert(schema.calls).compile(dialect=sqlite.dialect()))
_INSERT_ATTEMPT = str(sa.insert(schema.attempts).compile(dialect=sqlite.dialect()))
_INSERT_WITNESS = str(sa.insert(schema.witnesses).compile(dialect=sqlite.dialect()))
_encode = msgspec.json.Encoder(order="deterministic").encode
_decoder = msgspec.json.Decoder(Call)
_BATCH = AT["batch"]
_OF_ORIGIN = """
SELECT c.origin_key, n.name, EXISTS (SELECT 1 FROM witnesses AS w WHERE w.call_id = c.id)
FROM calls AS c JOIN names AS n ON n.id = c.source WHERE c.origin_key IN"""


class Desk(msgspec.Struct):
    """What settling needs besides the calls: the transaction, the book, and the memories of names and price sets."""

    connection: Connection
    book: PriceBook
    names: names.Names
    price_sets: PriceSets
    cells: Cells
    batch: int


class Settled(NamedTuple):
    """How many calls became rows, how many joined one or a pruned one; `rejected` by their place, with the reason."""

    stored: int
    merged: int
    rejected: dict[int, str]


class _Kin(msgspec.Struct, gc=False):
    """What is worked out once for all arrivals with the same shared names; `ids` when they are to be rows."""

    names: Shared
    is_tidy: bool
    ids: SharedIds = ()


class _Fit(NamedTuple):
    """An arrival that can be stored, its own attempts, what it costs, and its origin_key."""

    call: Call
    kin: _Kin
    own: tuple[Attempt, ...]
    billed: Billed
    key: int | None


class _Known(NamedTuple):
    """A call in the ledger: its row, its rows of attempts, and the records it was made of."""

    row: Row
    attempts: list[Row]
    records: list[Call]


def settle(desk: Desk, arrivals: Sequence[Call]) -> Settled:
    """Stores calls, with their cells. A call that cannot be stored is rejected with its reason; the rest are stored."""
    rejected: dict[int, str] = {}
    fit: list[_Fit] = []
    titles: dict[str, str] = {}
    pruned, gone = Pruned(desk.connection, arrivals), 0
    kins: dict[Shared, _Kin] = {}
    for place, arrival in enumerate(arrivals):
        try:
            each = _fit(arrival, kins, desk.book)
            if pruned.has(each.call):
                gone += 1
                continue
        except InputError as error:
            rejected[place] = str(error)
            continue
        fit.append(each)
        if each.call.app_title and each.call.app:
            titles[each.call.app] = each.call.app_title
    known = _perhaps_known(desk, fit)
    fresh = [each for each in fit if each.call.id not in known]
    others = [canonical(each.call) for each in fit if each.call.id in known]
    _insert(desk, fresh)
    joined = _merge(desk, others) if others else 0
    desk.names.label(desk.connection, "app", titles)
    return Settled(len(fresh) + joined, len(others) - joined + gone, rejected)


def _fit(arrival: Call, kins: dict[Shared, _Kin], book: PriceBook) -> _Fit:
    check(arrival)
    kin, own = _kin_of(arrival, kins), own_attempts(arrival)
    call = tidy(arrival, kin.is_tidy, own)
    if call is not arrival:
        kin, own = _kin_of(call, kins), own_attempts(call)
    return _Fit(call, kin, own, bill(call, book), origin_key(call))


def _kin_of(call: Call, kins: dict[Shared, _Kin]) -> _Kin:
    names = shared_names(call)
    kin = kins.get(names)
    if kin is None:
        kin = kins[names] = _Kin(names, are_tidy(names))
    return kin


def _insert(desk: Desk, fresh: Sequence[_Fit]) -> None:
    if not fresh:
        return
    kins = {id(each.kin): each.kin for each in fresh}.values()
    calls = [each.call for each in fresh]
    tried = [attempt for each in fresh for attempt in each.own]
    ids = _interned(desk, calls, [kin.names for kin in kins], tried, {each.billed.reason for each in fresh})
    sets = desk.price_sets.store(desk.connection, [each.billed.price_set for each in fresh])
    for kin in kins:
        kin.ids = ids.of_shared(kin.names)
    rows: list[Row] = []
    tries: list[Row] = []
    for call, kin, own, billed, key in fresh:
        row = row_of(call, desk.batch, ids, kin.ids, _charged(billed, ids, sets, call), key)
        rows.append(row)
        own_rows = attempt_rows(call, own, ids) if own else []
        tries += own_rows
        desk.cells.add(row, own_rows)
    desk.connection.exec_driver_sql(_INSERT_CALL, rows)
    if tries:
        desk.connection.exec_driver_sql(_INSERT_ATTEMPT, tries)


def _interned(
    desk: Desk,
    calls: Sequence[Call],
    shared: Iterable[Shared],
    own: Iterable[Attempt],
    reasons: Iterable[str | None],
) -> Ids:
    wanted = names_in(calls, shared, own)
    wanted["reason"] = {reason for reason in reasons if reason}
    return Ids(**{kind: desk.names.intern(desk.connection, kind, wanted[kind]) for kind in KINDS})


def _charged(billed: Billed, ids: Ids, sets: Mapping[str, int], call: Call) -> Charged:
    price = sets[billed.price_set.id] if billed.price_set else None
    reason = ids.reason[billed.reason] if billed.reason else None
    if not billed.is_stated:
        return Charged(billed.meters, billed.cost, price, reason)
    original = call.original_cost if call.original_cost != billed.cost else None
    return Charged(billed.meters, billed.cost, price, reason, original, 1)


def _perhaps_known(desk: Desk, fit: Sequence[_Fit]) -> set[str]:
    """Ids of the calls that the ledger, or another record of the batch, may tell of already."""
    ids = [each.call.id for each in fit]
    found = set(_repeated(ids))
    for table in ("calls", "witnesses"):
        newest = desk.connection.exec_driver_sql(f"SELECT max(id) FROM {table}").scalar()
        old = [bytes.fromhex(each) for each in ids if each <= newest.hex()] if newest else []
        found.update(row[0].hex() for row in _where_in(desk, f"SELECT id FROM {table} WHERE id IN", old))
    if _has_several_sources(desk, fit):
        found |= _perhaps_known_by_origin(desk, fit)
    return found


def _has_several_sources(desk: Desk, fit: Sequence[_Fit]) -> bool:
    """Whether the ledger and these arrivals together know more than one: records of one are never put together."""
    sources = {each.call.source for each in fit}
    query = sa.select(schema.names.c.id).where(schema.names.c.kind == "source", schema.names.c.name.not_in(sources))
    return len(sources) > 1 or desk.connection.execute(query.limit(1)).first() is not None


def _perhaps_known_by_origin(desk: Desk, fit: Sequence[_Fit]) -> set[str]:
    found: set[str] = set()
    by_key: dict[int, list[Call]] = {}
    for each in fit:
        if each.key is not None:
            by_key.setdefault(each.key, []).append(each.call)
    if len(by_key) < len(fit):
        for same in by_key.values():
            if len(same) > 1 and len({call.source for call in same}) > 1:
                found.update(call.id for call in same)
    for key, source, has_witnesses in _where_in(desk, _OF_ORIGIN, list(by_key)):
        found.update(call.id for call in by_key[key] if has_witnesses or call.source != source)
    return found


def _repeated(ids: Sequence[str]) -> Iterable[str]:
    if len(set(ids)) == len(ids):
        return ()
    return (call_id for call_id, times in Counter(ids).items() if times > 1)


def _merge(desk: Desk, arrivals: Sequence[Call]) -> int:
    """Groups arrivals with all that could be the same call, and stores what changed; returns by how many rows."""
    known = _load(desk, arrivals)
    records = [record for each in known.values() for record in each.records]
    groups = merge.group([*records, *arrivals])
    bills = [_bill_of(desk, group, known) for group in groups]
    calls = [call for call, _ in bills]
    reasons = [b.reason for _, b in bills if isinstance(b, Billed)]
    tried = [attempt for call in calls for attempt in own_attempts(call)]
    ids = _interned(desk, calls, map(shared_names, calls), tried, reasons)
    sets = desk.price_sets.store(desk.connection, [b.price_set for _, b in bills if isinstance(b, Billed)])
    new: dict[bytes, tuple[Row, list[Row]]] = {}
    for call, billed in bills:
        charged = _charged(billed, ids, sets, call) if isinstance(billed, Billed) else billed
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


def _bill_of(desk: Desk, group: merge.Group, known: Mapping[bytes, _Known]) -> tuple[Call, Billed | Charged]:
    """The call of a group and what it costs: as before, where nothing that a price depends on has changed."""
    call = merge.combine(group)
    if not merge.states_cost(call):
        for record in group:
            before = known.get(bytes.fromhex(record.id))
            if before and (kept := _kept_charge(call, before)):
                return call, kept
    return call, bill(call, desk.book)


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
    for some in _pieces([bytes.fromhex(record.id) for record in records]):
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


def _where_in(desk: Desk, query: str, values: Sequence[Any]) -> Iterator[Any]:
    """The rows of a query that ends in IN, for any number of values."""
    for some in _pieces(list(values)):
        yield from desk.connection.exec_driver_sql(f"{query} ({', '.join('?' * len(some))})", tuple(some))


def _pieces(some: list[Any]) -> Iterator[list[Any]]:
    return (some[at : at + _AT_ONCE] for at in range(0, len(some), _AT_ONCE))
