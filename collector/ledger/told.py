"""Stores what was learned beside calls. The same record twice is one; of two readings the later counts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from collector.core.errors import InputError
from collector.core.meters import COMMON_METERS, METERS
from collector.core.outcomes import OUTCOME_CODES
from collector.core.prices import PriceSet
from collector.core.told import STATES, Incident, Probe, ProviderSum, PulledPrice, SumsRead, Told
from collector.ledger import schema
from collector.ledger.names import Names
from collector.ledger.rollups import Cells
from collector.ledger.rows import Row, check_numbers, tidy_attempt

MAX_SUM = 2**62  # of a count or of picodollars, for a day
MAX_DAY = 84_000  # the year 2199
_json = msgspec.json.Encoder(order="deterministic").encode


def store_told(connection: Connection, names: Names, cells: Cells, told: Sequence[Told]) -> None:
    """Stores in their order; probes are counted into `cells`. Raises InputError for what cannot be stored."""
    probes = [each for each in told if isinstance(each, Probe)]
    _store_probes(connection, names, cells, probes)
    for each in told:
        if not isinstance(each, Probe):
            _STORE[type(each)](connection, each)


def probe_row(probe: Probe, names: Names) -> Row:
    """The row of a probe in the attempts table; its names are interned."""
    each = probe.attempt
    provider, model = names.ids("provider").get(each.provider, 0), names.ids("model").get(each.model, 0)
    error = names.ids("error_type").get(each.error_type or "")
    times = (each.latency_ms, each.first_token_ms)
    outcome = OUTCOME_CODES[each.outcome]
    return (bytes.fromhex(probe.id), 1, 1, provider, model, each.started_at, outcome, each.http_status, error, *times)


def _store_probes(connection: Connection, names: Names, cells: Cells, probes: Iterable[Probe]) -> None:
    tidied = {probe.id: _tidy_probe(probe) for probe in probes}
    for kind in ("provider", "model", "error_type"):
        wanted = {getattr(probe.attempt, kind) for probe in tidied.values()}
        names.intern(connection, kind, wanted - {None, ""})
    insert = sa.insert(schema.attempts).prefix_with("OR IGNORE")
    for probe in tidied.values():
        row = probe_row(probe, names)
        if connection.execute(insert, dict(zip(schema.attempts.columns.keys(), row, strict=True))).rowcount:
            cells.add_probe(row)


def _tidy_probe(probe: Probe) -> Probe:
    if len(probe.id) != 32 or not set(probe.id) <= set("0123456789abcdef"):
        raise InputError(f"id {probe.id[:60]!r} of a probe is not 32 hex digits in lower case")
    check_numbers(probe.attempt)
    return Probe(probe.id, tidy_attempt(probe.attempt))


def _store_sum(connection: Connection, told: ProviderSum) -> None:
    _check_days(told.day, told.day + 1)
    for name, number in (*told.meters.items(), ("requests", told.requests), ("cost", told.cost)):
        if name not in (*COMMON_METERS, "requests", "cost"):
            raise InputError(f"meter {name[:60]!r} is not one that sums are kept of: {', '.join(COMMON_METERS)}")
        if number is not None and not -MAX_SUM < number < MAX_SUM:
            raise InputError(f"{name} {number} of {told.source} is beyond what is possible in a day")
    row = msgspec.structs.asdict(told)
    meters = row.pop("meters")
    row |= {METERS[name].column: meters.get(name) for name in COMMON_METERS}
    connection.execute(_replacing(schema.provider_sums), row)


def _store_sums_read(connection: Connection, told: SumsRead) -> None:
    _check_days(told.first_day, told.end_day)
    sums = schema.provider_sums.c
    gone = sa.delete(schema.provider_sums).where(
        sums.source == told.source,
        sums.provider == told.provider,
        sums.day >= told.first_day,
        sums.day < told.end_day,
        sums.read_at != told.read_at,  # a clock that was set back makes a later reading no earlier one
    )
    connection.execute(gone)


def _store_price(connection: Connection, told: PulledPrice) -> None:
    """A price that is known stays as it is, whatever was decided of it."""
    if told.state not in STATES:
        raise InputError(f"state {told.state[:60]!r} of a pulled price is not one of {', '.join(STATES)}")
    for plain in told.sets:
        PriceSet.from_plain(plain)
    row = msgspec.structs.asdict(told)
    row |= {"sets": _json(told.sets).decode(), "changes": _json(told.changes).decode()}
    connection.execute(sa.insert(schema.pulled_prices).prefix_with("OR IGNORE"), row)


def _store_incident(connection: Connection, told: Incident) -> None:
    connection.execute(_replacing(schema.incidents), msgspec.structs.asdict(told))


_STORE: dict[type, Callable[[Connection, Any], None]] = {
    ProviderSum: _store_sum,
    SumsRead: _store_sums_read,
    PulledPrice: _store_price,
    Incident: _store_incident,
}


def _replacing(table: sa.Table) -> sa.Insert:
    insert = sqlite.insert(table)
    rest = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=rest)


def _check_days(first: int, end: int) -> None:
    if not 0 <= first < end <= MAX_DAY:
        raise InputError(f"days {first} to {end} are not days between 1970 and 2199")
