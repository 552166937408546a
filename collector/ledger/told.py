"""Stores what was learned beside calls. The same record twice is one; of two readings the later counts."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.core.errors import InputError
from collector.core.meters import COMMON_METERS
from collector.core.outcomes import OUTCOME_CODES
from collector.core.prices import PriceSet
from collector.core.told import STATES, Incident, Probe, ProviderSum, PulledPrice, SumsRead, Told
from collector.ledger import schema
from collector.ledger.cells import Cells
from collector.ledger.fit import check_numbers, tidy_attempt
from collector.ledger.names import Names
from collector.ledger.questions.pulled import READ_THROUGH
from collector.ledger.rows import Row

MAX_SUM = 2**62  # of a count or of picodollars, for a day
MAX_DAY = 84_000  # the year 2199
_SUMMED = frozenset((*COMMON_METERS, "requests", "cost"))


def _insert(table: sa.Table, otherwise: str) -> str:
    """An INSERT of whole rows that replaces, or ignores, what is there under the same key."""
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT OR {otherwise} INTO {table.name} VALUES ({marks})"


# Written as text: many rows go through one batch, and the collector of cycles rests meanwhile.
_INSERT_PROBE = _insert(schema.attempts, "IGNORE")
_INSERT_SUM = _insert(schema.provider_sums, "REPLACE")
_INSERT_PRICE = _insert(schema.pulled_prices, "IGNORE")
_INSERT_INCIDENT = _insert(schema.incidents, "REPLACE")
_INCIDENT = [column.name for column in schema.incidents.columns]
# By another reading, not by an earlier one: a clock that was set back makes a later reading no earlier one.
_DROP_SUMS = "DELETE FROM provider_sums WHERE source = ? AND provider = ? AND day >= ? AND day < ? AND read_at != ?"
_READ_THROUGH = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), ?)"
_json = msgspec.json.Encoder(order="deterministic").encode


def store_told(connection: Connection, names: Names, cells: Cells, told: Sequence[Told]) -> None:
    """Stores in their order; probes are counted into `cells`. Raises InputError for what cannot be stored."""
    for kind, some in groupby(told, key=type):
        if kind is Probe:
            _store_probes(connection, names, cells, some)
        else:
            _STORE[kind](connection, list(some))


def probe_row(probe: Probe, names: Names) -> Row:
    """The row of a probe in the attempts table; its names are interned."""
    each = probe.attempt
    provider, model = names.ids("provider").get(each.provider, 0), names.ids("model").get(each.model, 0)
    error = names.ids("error_type").get(each.error_type or "")
    times = (each.latency_ms, each.first_token_ms)
    outcome = OUTCOME_CODES[each.outcome]
    return (bytes.fromhex(probe.id), 1, 1, provider, model, each.started_at, outcome, each.http_status, error, *times)


def _store_probes(connection: Connection, names: Names, cells: Cells, probes: Iterable[Any]) -> None:
    tidied = {probe.id: _tidy_probe(probe) for probe in probes}
    for kind in ("provider", "model", "error_type"):
        wanted = {getattr(probe.attempt, kind) for probe in tidied.values()}
        names.intern(connection, kind, wanted - {None, ""})
    for probe in tidied.values():
        row = probe_row(probe, names)
        if connection.exec_driver_sql(_INSERT_PROBE, row).rowcount:
            cells.add_probe(row)


def _tidy_probe(probe: Probe) -> Probe:
    if len(probe.id) != 32 or not set(probe.id) <= set("0123456789abcdef"):
        raise InputError(f"id {probe.id[:60]!r} of a probe is not 32 hex digits in lower case")
    check_numbers(probe.attempt)
    return Probe(probe.id, tidy_attempt(probe.attempt))


def _store_sums(connection: Connection, told: Sequence[ProviderSum]) -> None:
    connection.exec_driver_sql(_INSERT_SUM, [_sum_row(each) for each in told])


def _sum_row(told: ProviderSum) -> Row:
    _check_days(told.day, told.day + 1)
    for name, number in (*told.meters.items(), ("requests", told.requests), ("cost", told.cost)):
        if name not in _SUMMED:
            raise InputError(f"meter {name[:60]!r} is not one that sums are kept of: {', '.join(COMMON_METERS)}")
        if number is not None and not -MAX_SUM < number < MAX_SUM:
            raise InputError(f"{name} {number} of {told.source} is beyond what is possible in a day")
    keys = (told.source, told.day, told.provider, told.model, told.key, told.line)
    return (*keys, told.requests, *map(told.meters.get, COMMON_METERS), told.cost, told.read_at)


def _store_sums_read(connection: Connection, told: Sequence[SumsRead]) -> None:
    for each in told:
        _check_days(each.first_day, each.end_day)
        where = (each.source, each.provider, each.first_day, each.end_day, each.read_at)
        connection.exec_driver_sql(_DROP_SUMS, where)
        key = f"{READ_THROUGH}{each.source}:{each.provider}"
        connection.exec_driver_sql(_READ_THROUGH, (key, str(each.end_day), each.end_day))


def _store_prices(connection: Connection, told: Sequence[PulledPrice]) -> None:
    """A price that is known stays as it is, whatever was decided of it."""
    connection.exec_driver_sql(_INSERT_PRICE, [_price_row(each) for each in told])


def _price_row(told: PulledPrice) -> Row:
    if told.state not in STATES:
        raise InputError(f"state {told.state[:60]!r} of a pulled price is not one of {', '.join(STATES)}")
    for plain in told.sets:
        PriceSet.from_plain(plain)
    texts = (_json(told.sets).decode(), _json(told.changes).decode(), told.state, told.why)
    return (told.id, told.provider, told.model, told.read_at, *texts, None)


def _store_incidents(connection: Connection, told: Sequence[Incident]) -> None:
    rows = [tuple(getattr(each, name) for name in _INCIDENT) for each in told]
    connection.exec_driver_sql(_INSERT_INCIDENT, rows)


_STORE: dict[type, Callable[[Connection, Any], None]] = {
    ProviderSum: _store_sums,
    SumsRead: _store_sums_read,
    PulledPrice: _store_prices,
    Incident: _store_incidents,
}


def _check_days(first: int, end: int) -> None:
    if not 0 <= first < end <= MAX_DAY:
        raise InputError(f"days {first} to {end} are not days between 1970 and 2199")
