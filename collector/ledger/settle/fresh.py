"""Calls that nothing in the ledger or in the batch could be: checked, priced and inserted."""

from collections.abc import Sequence

import msgspec

from collector.core.calls import Attempt, Call
from collector.core.prices import Charge, PriceBook, Route
from collector.ledger.fit import are_tidy, check, check_numbers, tidy
from collector.ledger.priced import bill
from collector.ledger.rows import Row, Shared, SharedIds, attempt_rows, origin_key, own_attempts, row_of, shared_names
from collector.ledger.settle.desk import Desk, charged_of, insert_rows, interned


class Kin(msgspec.Struct):
    """What is worked out once for all arrivals with the same shared names; `ids` when they are to be rows."""

    names: Shared
    is_tidy: bool
    route: Route
    ids: SharedIds = ()


class Fit(msgspec.Struct, frozen=True, gc=False):
    """An arrival that can be stored, its own attempts, what it costs, and its origin_key."""

    call: Call
    kin: Kin
    own: tuple[Attempt, ...]
    charge: Charge
    key: int | None


def fit(arrival: Call, kins: dict[Shared, Kin], book: PriceBook) -> Fit:
    """What an arrival is to be stored as. Raises InputError, naming the value, for one that cannot be stored."""
    check(arrival)
    kin, own = _kin_of(arrival, kins, book), own_attempts(arrival)
    for attempt in own:
        check_numbers(attempt)
    call = tidy(arrival, kin.is_tidy, own)
    if call is not arrival:
        kin, own = _kin_of(call, kins, book), own_attempts(call)
    return Fit(call, kin, own, bill(call, kin.route), origin_key(call))


def insert(desk: Desk, fresh: Sequence[Fit]) -> None:
    """Puts calls into the tables and the cells."""
    if not fresh:
        return
    kins = {id(each.kin): each.kin for each in fresh}.values()
    calls = [each.call for each in fresh]
    tried = [attempt for each in fresh for attempt in each.own]
    reasons = {each.charge.unpriced_reason for each in fresh}
    ids = interned(desk, calls, [kin.names for kin in kins], tried, reasons)
    sets = desk.price_sets.store(desk.connection, [each.charge.price_set for each in fresh])
    for kin in kins:
        kin.ids = ids.of_shared(kin.names)
    rows: list[Row] = []
    tries: list[Row] = []
    for each in fresh:
        call, own = each.call, each.own
        row = row_of(call, desk.batch, ids, each.kin.ids, charged_of(each.charge, ids, sets, call), each.key)
        rows.append(row)
        own_rows = attempt_rows(call, own, ids) if own else []
        tries += own_rows
        desk.cells.add(row, own_rows)
    insert_rows(desk, rows, tries)


def _kin_of(call: Call, kins: dict[Shared, Kin], book: PriceBook) -> Kin:
    names = shared_names(call)
    kin = kins.get(names)
    if kin is None:
        kin = kins[names] = Kin(names, are_tidy(names), book.route_of(call))
    return kin
