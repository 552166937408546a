"""Cells: sums of calls that are written in the same transaction as the calls, and rebuilt from them.

1. `Cells` takes rows in and out and adds up what they say, in memory, at the finest grain.
2. `write` folds that to the grains of ROLLUPS and adds it to the tables.
3. `rebuild` does the same from all rows, `declare` for a zone that is new.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import add
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import Table

from collector.core import histograms
from collector.core.errors import LedgerError
from collector.core.histograms import Histogram
from collector.core.meters import COMMON_METERS, METERS
from collector.core.outcomes import OUTCOME_CODES, Outcome
from collector.core.periods import DAY_S, QUARTER_S, SECOND_US, check_zone, day_bounds, day_number, format_day
from collector.ledger import engines, schema
from collector.ledger import names as interning
from collector.ledger.pruned import ROWS_FROM, USERS_FROM, instant_of, raise_instant
from collector.ledger.rows import AT, METERS_AT, METERS_END, Row, sparse_of
from collector.ledger.touched import WHOLE, Span, touch

FIVE_MINUTES, HOURS = 0, 1  # grains of health cells; a larger one is the id of a zone
FIVE_MINUTE_DAYS = 8
TIMED = (Outcome.OK, Outcome.UNKNOWN)  # calls whose times are in the histograms: the others measure no answer

Sums = list[int]
Key = tuple[Any, ...]
Progress = Callable[[int, int], None]  # calls done, calls in all

_QUARTER_US = QUARTER_S * SECOND_US
_DAY_US = DAY_S * SECOND_US
_FIVE_US = 300 * SECOND_US
_DAY_FIVES = 288
_ROWS_AT_ONCE = 5_000
_KEYS_AT_ONCE = 5_000
_KEYS = 7  # of a usage cell, besides its time

_MODEL, _PROVIDER, _APP, _KEY, _USER = AT["model"], AT["provider"], AT["app"], AT["key"], AT["user"]
_PRICE, _REASON, _OUTCOME = AT["price"], AT["unpriced_reason"], AT["outcome"]
_COST, _REPORTED, _ATTEMPTS = AT["cost"], AT["reported_cost"], AT["attempts"]
_LATENCY, _FIRST_TOKEN = AT["latency_ms"], AT["first_token_ms"]
_OUTPUT, _REASONING = AT["output_tokens"], AT["reasoning_tokens"]

# the sums of a usage cell, in the order of its columns: calls, every meter, cost, reported calls, reported cost
_SLOTS = {name: at for at, name in enumerate(METERS, start=1)}
_COMMON_SLOTS = tuple(_SLOTS[name] for name in COMMON_METERS)
_COST_SLOT = len(METERS) + 1
_WIDTH = len(METERS) + 4

_BY_USER = schema.DIMENSION_CODES["user"]

# the counts of a health cell, in the order of its columns, and after them its histograms
_COUNTS = 12
_OTHER = 3
_ATTEMPT_SLOTS = {
    OUTCOME_CODES[outcome]: at for at, outcome in enumerate((Outcome.OK, Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED))
}
_PROBE_SLOTS = {OUTCOME_CODES[Outcome.OK]: 10, OUTCOME_CODES[Outcome.PROVIDER_FAULT]: 11}
_FIRST, _LAST = 4, 7  # + the slot of the attempt's outcome
_TIMED_CODES = frozenset(OUTCOME_CODES[outcome] for outcome in TIMED)


class Rollup(NamedTuple):
    """One table of cells."""

    table: Table
    is_health: bool = False


ROLLUPS = (
    Rollup(schema.usage_quarters),
    Rollup(schema.usage_days),
    Rollup(schema.user_days),
    Rollup(schema.day_totals),
    Rollup(schema.health, is_health=True),
)


class Health:
    """Counts and histograms of one health cell."""

    __slots__ = ("counts", "first_token", "latency", "throughput")

    def __init__(self) -> None:
        self.counts = [0] * _COUNTS
        self.latency: Histogram = {}
        self.first_token: Histogram = {}
        self.throughput: Histogram = {}

    def add(self, other: "Health") -> None:
        self.counts = list(map(add, self.counts, other.counts))
        _count_into(self.latency, other.latency)
        _count_into(self.first_token, other.first_token)
        _count_into(self.throughput, other.throughput)


class Cells:
    """What rows add to the cells, or take from them when `sign` is -1.

    `zones` are the declared ones with their ids; `floor` is the first bucket of five minutes that is kept.
    `only_days`: nothing but the day cells of these zones, from the days of `first_days` on, by zone id.
    """

    def __init__(
        self,
        zones: Mapping[str, int],
        floor: int,
        *,
        only_days: bool = False,
        first_days: Mapping[int, int] | None = None,
    ) -> None:
        self._zones = dict(zones)
        self._floor = floor
        self._only_days = only_days
        self._first_days = first_days or {}
        self._days: dict[int, tuple[int, ...]] = {}
        self._forget()

    def add(self, row: Row, attempts: Iterable[Row] = (), sign: int = 1) -> None:
        """Counts one row, with its rows of the attempts table."""
        quarter = row[1] // _QUARTER_US
        days = self._days.get(quarter) or self._days_of(quarter)
        model, provider = row[_MODEL] or 0, row[_PROVIDER] or 0
        price, reason, outcome = row[_PRICE] or 0, row[_REASON] or 0, row[_OUTCOME]
        usage = self._usage[quarter, model, provider, row[_APP] or 0, row[_KEY] or 0, price, reason, outcome]
        _add(row, sign, usage, self._users[days, row[_USER] or 0, model, provider, price, reason, outcome])
        self._add_health(row, tuple(attempts), days, sign)

    def add_probe(self, row: Row, sign: int = 1) -> None:
        """Counts one probe, a row of the attempts table."""
        slot = _PROBE_SLOTS.get(row[6])
        if slot is not None:
            days = self._days_of(row[5] // _QUARTER_US)
            self._health_at(row[5], days, row[4], row[3]).counts[slot] += sign

    def write(self, connection: Connection, names: Mapping[str, str] | None = None, *, is_proof: bool = False) -> None:
        """Adds everything counted to the tables and forgets it. `names` stands other tables in for the usual ones.

        The days are touched by it, unless it is a proof that touches nothing.
        """
        if not is_proof:
            touch(connection, self._touched())
        made: dict[Table, list[Row]] = {}
        for rollup in ROLLUPS:
            name = (names or {}).get(rollup.table.name, rollup.table.name)
            if names is not None and rollup.table.name not in names:
                continue
            if rollup.is_health:
                _write_health(connection, name, self._health_cells())
            else:
                made[rollup.table] = self._usage_rows(rollup.table, made)
                _write_usage(connection, rollup.table, name, made[rollup.table])
        self._forget()

    def _touched(self) -> set[int]:
        """The UTC days of what was counted."""
        quarters = {key[0] // (DAY_S // QUARTER_S) for key in self._usage}
        return quarters | {key[1] // (24 if key[0] == HOURS else _DAY_FIVES) for key in self._health}

    def _forget(self) -> None:
        self._usage: dict[Key, Sums] = defaultdict(_no_sums)
        self._users: dict[Key, Sums] = defaultdict(_no_sums)
        self._health: dict[Key, Health] = defaultdict(Health)

    def _days_of(self, quarter: int) -> tuple[int, ...]:
        days = self._days.get(quarter)
        if days is None:
            days = tuple(day_number(quarter * _QUARTER_US, zone) for zone in self._zones)
            self._days[quarter] = days
        return days

    def _add_health(self, row: Row, attempts: tuple[Row, ...], days: tuple[int, ...], sign: int) -> None:
        cell = self._health_at(row[1], days, row[_MODEL] or 0, row[_PROVIDER] or 0)
        if not attempts:
            if row[_ATTEMPTS]:
                slot = _ATTEMPT_SLOTS.get(row[_OUTCOME], _OTHER)
                cell.counts[slot] += sign
                if slot != _OTHER:
                    cell.counts[_FIRST + slot] += sign
                    cell.counts[_LAST + slot] += sign
        else:
            self._add_attempts(row, attempts, days, sign)
        if row[_OUTCOME] in _TIMED_CODES:
            _time(cell, row, sign)

    def _add_attempts(self, row: Row, attempts: tuple[Row, ...], days: tuple[int, ...], sign: int) -> None:
        for _, _, _, provider, model, started_at, outcome, *_ in attempts:
            own_days = self._days_of(started_at // _QUARTER_US)
            slot = _ATTEMPT_SLOTS.get(outcome, _OTHER)
            self._health_at(started_at, own_days, model, provider).counts[slot] += sign
        first, last = attempts[0], attempts[-1]
        if last[6] in _ATTEMPT_SLOTS:
            self._health_at(row[1], days, last[4], last[3]).counts[_LAST + _ATTEMPT_SLOTS[last[6]]] += sign
            if first[6] in _ATTEMPT_SLOTS:
                self._health_at(row[1], days, first[4], first[3]).counts[_FIRST + _ATTEMPT_SLOTS[first[6]]] += sign

    def _health_at(self, at_us: int, days: tuple[int, ...], model: int, provider: int) -> Health:
        five = at_us // _FIVE_US
        key = (FIVE_MINUTES, five, days, model, provider)
        if five < self._floor:
            key = (HOURS, five // 12, days, model, provider)
        return self._health[key]

    def _usage_rows(self, table: Table, made: Mapping[Table, list[Row]]) -> list[Row]:
        """What is to be added to a table, after those `made` before; a key may be there more than once."""
        if table is schema.usage_quarters:
            return [] if self._only_days else [key + tuple(sums) for key, sums in self._usage.items()]
        if table is schema.day_totals:
            return _totals_of(made[schema.usage_days], made[schema.user_days])
        cells = self._usage_by_days() if table is schema.usage_days else self._users
        return [
            (zone, days[n], *rest, *sums)
            for n, zone in enumerate(self._zones.values())
            for (days, *rest), sums in cells.items()
            if days[n] >= self._first_days.get(zone, days[n])
        ]

    def _usage_by_days(self) -> dict[Key, Sums]:
        cells: dict[Key, Sums] = {}
        for (quarter, *rest), sums in self._usage.items():
            _fold(cells, (self._days_of(quarter), *rest), sums)
        return cells

    def _health_cells(self) -> dict[Key, Health]:
        cells: dict[Key, Health] = defaultdict(Health)
        for (grain, bucket, days, model, provider), health in self._health.items():
            for at in self._health_buckets(grain, bucket, days):
                cells[(*at, model, provider)].add(health)
        return cells

    def _health_buckets(self, grain: int, bucket: int, days: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        if not self._only_days:
            if grain == FIVE_MINUTES:
                yield FIVE_MINUTES, bucket
            yield HOURS, bucket // 12 if grain == FIVE_MINUTES else bucket
        for zone, day in zip(self._zones.values(), days, strict=True):
            if day >= self._first_days.get(zone, day):
                yield zone, day


def health_floor(connection: Connection) -> int:
    """The first bucket of five minutes that is kept."""
    found = connection.execute(sa.select(schema.meta.c.value).where(schema.meta.c.key == "health_floor")).scalar()
    return int(found) if found else 0


def raise_floor(connection: Connection, now_us: int) -> int:
    """Drops health cells of five minutes that are older than FIVE_MINUTE_DAYS; the floor never falls."""
    before = health_floor(connection)
    floor = max(before, now_us // _FIVE_US - FIVE_MINUTE_DAYS * _DAY_FIVES)
    if floor > before:
        health = schema.health.c
        connection.execute(sa.delete(schema.health).where(health.grain == FIVE_MINUTES, health.bucket < floor))
        statement = "INSERT INTO meta VALUES ('health_floor', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        connection.exec_driver_sql(statement, (str(floor),))
    return floor


def declare(connection: Connection, zones: Iterable[str], progress: Progress | None = None) -> dict[str, int]:
    """All declared zones with their ids, these among them; a new one gets its day cells from the rows.

    Days of which rows were pruned are made from the finer cells; of their users nothing can be told in the new zone.
    """
    before = interning.zones(connection)
    declared = _declared(connection, zones)
    if added := {zone: at for zone, at in declared.items() if zone not in before}:
        first_days = _first_whole_days(connection, added)
        cells = Cells(added, health_floor(connection), only_days=True, first_days=first_days)
        _count_all(connection, cells, progress)
        if first_days:
            _days_from_cells(connection, added, first_days)
    return declared


def rebuild(engine: Engine, zones: Iterable[str] = (), progress: Progress | None = None) -> None:
    """Makes all cells anew from the rows, in one transaction; readers see the old ones until it is done.

    Day cells are made for the declared zones and for `zones`, which are declared by this. Raises LedgerError when rows
    were pruned: then the cells know more than the rows.
    """
    with engines.writing(engine).begin() as connection:
        if at := instant_of(connection, ROWS_FROM):
            day = format_day(day_number(at, "UTC"))
            raise LedgerError(f"rows before {day} were pruned: the cells cannot be made anew from the rows")
        for rollup in ROLLUPS:
            connection.execute(sa.delete(rollup.table))
        _count_all(connection, Cells(_declared(connection, zones), health_floor(connection)), progress)


def _first_whole_days(connection: Connection, zones: Mapping[str, int]) -> dict[int, int]:
    """By zone id the first day of which no row was pruned; empty when none ever was."""
    rows_from = instant_of(connection, ROWS_FROM)
    if not rows_from:
        return {}
    for zone in zones:
        first = day_number(rows_from - 1, zone) + 1
        raise_instant(connection, USERS_FROM + zone, day_bounds(first, zone)[0])
    return {at: day_number(rows_from - 1, zone) + 1 for zone, at in zones.items()}


def _days_from_cells(connection: Connection, zones: Mapping[str, int], first_days: Mapping[int, int]) -> None:
    """Day cells of the days before `first_days`, from quarters and from hours."""
    usage: dict[Key, Sums] = {}
    health: dict[Key, Health] = {}
    for zone, at in zones.items():
        end_us = day_bounds(first_days[at], zone)[0]
        quarters = sa.select(schema.usage_quarters).where(schema.usage_quarters.c.quarter < end_us // _QUARTER_US)
        for quarter, *rest in connection.execute(quarters):
            _fold(usage, (at, day_number(quarter * _QUARTER_US, zone), *rest[:_KEYS]), list(rest[_KEYS:]))
        hours = sa.select(schema.health).where(schema.health.c.grain == HOURS)
        for row in connection.execute(hours):
            day = day_number(row.bucket * 12 * _FIVE_US, zone)
            if day < first_days[at]:
                health.setdefault((at, day, row.model, row.provider), Health()).add(health_of(row))
    rows = [key + tuple(sums) for key, sums in usage.items()]
    _write_usage(connection, schema.usage_days, schema.usage_days.name, rows)
    _write_usage(connection, schema.day_totals, schema.day_totals.name, _totals_of(rows, ()))
    _write_health(connection, schema.health.name, health)


def _declared(connection: Connection, zones: Iterable[str]) -> dict[str, int]:
    interning.Names().intern(connection, "zone", map(check_zone, zones))
    return interning.zones(connection)


def all_rows(connection: Connection) -> Iterator[list[tuple[Row, list[Row]]]]:
    """All calls with their rows of the attempts table, in the order of ids, some thousands at a time."""
    last = b""
    while True:
        rows = connection.exec_driver_sql(
            f"SELECT * FROM calls WHERE id > ? ORDER BY id LIMIT {_ROWS_AT_ONCE}", (last,)
        ).all()
        if not rows:
            return
        attempts: dict[bytes, list[Row]] = {}
        for row in connection.exec_driver_sql(
            "SELECT * FROM attempts WHERE call_id > ? AND call_id <= ? AND probe = 0 ORDER BY call_id, n",
            (last, rows[-1][0]),
        ):
            attempts.setdefault(row[0], []).append(tuple(row))
        yield [(tuple(row), attempts.get(row[0], [])) for row in rows]
        last = rows[-1][0]


def rows_of(connection: Connection, span: Span) -> Iterator[list[tuple[Row, list[Row]]]]:
    """Like `all_rows`, of the calls that began in a span or of which an attempt did, in no order."""
    within = span.within("started_at", _DAY_US)
    found = connection.exec_driver_sql(
        f"SELECT * FROM calls WHERE {within} UNION ALL SELECT * FROM calls WHERE NOT ({within})"
        f" AND id IN (SELECT call_id FROM attempts WHERE probe = 0 AND {within})"
    )
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        ids = [row[0] for row in rows]
        attempts: dict[bytes, list[Row]] = {}
        query = sa.select(schema.attempts).where(schema.attempts.c.call_id.in_(ids), schema.attempts.c.probe == 0)
        for row in connection.execute(query.order_by(schema.attempts.c.call_id, schema.attempts.c.n)):
            attempts.setdefault(row[0], []).append(tuple(row))
        yield [(tuple(row), attempts.get(row[0], [])) for row in rows]


def probes_of(connection: Connection, span: Span) -> Iterator[list[Row]]:
    """The probes of a span, rows of the attempts table, some thousands at a time."""
    within = span.within("started_at", _DAY_US)
    found = connection.exec_driver_sql(f"SELECT * FROM attempts WHERE probe = 1 AND {within}")
    while some := found.fetchmany(_ROWS_AT_ONCE):
        yield [tuple(row) for row in some]


def _count_all(connection: Connection, cells: Cells, progress: Progress | None) -> None:
    in_all = connection.execute(sa.select(sa.func.count()).select_from(schema.calls)).scalar_one()
    done = 0
    for rows in all_rows(connection):
        for row, attempts in rows:
            cells.add(row, attempts)
        cells.write(connection)
        done += len(rows)
        if progress is not None:
            progress(done, in_all)
    for probes in probes_of(connection, WHOLE):
        for probe in probes:
            cells.add_probe(probe)
        cells.write(connection)


def _no_sums() -> Sums:
    return [0] * _WIDTH


def _add(row: Row, sign: int, one: Sums, other: Sums) -> None:
    """Adds what a row says to two cells."""
    one[0] += sign
    other[0] += sign
    for slot, count in zip(_COMMON_SLOTS, row[METERS_AT:METERS_END], strict=True):
        if count:
            one[slot] += sign * count
            other[slot] += sign * count
    if row[_COST]:
        one[_COST_SLOT] += sign * row[_COST]
        other[_COST_SLOT] += sign * row[_COST]
    if row[METERS_END] or row[_REPORTED] is not None:
        for slot, count in _rare_amounts(row):
            one[slot] += sign * count
            other[slot] += sign * count


def _fold(cells: dict[Key, Sums], key: Key, sums: Sums) -> None:
    known = cells.get(key)
    cells[key] = sums if known is None else list(map(add, known, sums))


def _totals_of(days: Iterable[Row], users: Iterable[Row]) -> list[Row]:
    """What rows of usage_days and user_days add to day_totals."""
    cells: dict[Key, Sums] = {}
    for zone, day, model, provider, app, key, _, reason, outcome, *sums in days:
        for dimension, value in enumerate((0, model, provider, app, key)):
            _fold(cells, (zone, dimension, day, value, reason, outcome), sums)
    for zone, day, user, _, _, _, reason, outcome, *sums in users:
        _fold(cells, (zone, _BY_USER, day, user, reason, outcome), sums)
    return [key + tuple(sums) for key, sums in cells.items()]


def _rare_amounts(row: Row) -> list[tuple[int, int]]:
    found = [(_SLOTS[name], count) for name, count in sparse_of(row).items()]
    if row[_REPORTED] is not None:
        found += [(_COST_SLOT + 1, 1), (_COST_SLOT + 2, row[_REPORTED])]
    return found


def _time(cell: Health, row: Row, sign: int) -> None:
    latency, first = row[_LATENCY], row[_FIRST_TOKEN]
    if latency is not None:
        histograms.count_one(cell.latency, latency, sign)
        speed = histograms.throughput((row[_OUTPUT] or 0) + (row[_REASONING] or 0), latency)
        if speed is not None:
            histograms.count_one(cell.throughput, speed, sign)
    if first is not None:
        histograms.count_one(cell.first_token, first, sign)


def _count_into(histogram: Histogram, other: Histogram) -> None:
    for at, count in other.items():
        histogram[at] = histogram.get(at, 0) + count


def _write_usage(connection: Connection, table: Table, name: str, rows: list[Row]) -> None:
    if not rows:
        return
    sql = _usage_sql(table, name)
    connection.exec_driver_sql(sql.upsert, rows)
    at = len(table.primary_key.columns)
    lessened = [row[:at] for row in rows if row[at] <= 0]
    if lessened:
        connection.exec_driver_sql(sql.drop_empty, lessened)


class _UsageSql(NamedTuple):
    upsert: str
    drop_empty: str


@cache
def _usage_sql(table: Table, name: str) -> _UsageSql:
    insert = sqlite.insert(table)
    keys = list(table.primary_key.columns)
    sums = {c.name: c + insert.excluded[c.name] for c in table.columns if not c.primary_key}
    upsert = str(insert.on_conflict_do_update(index_elements=keys, set_=sums).compile(dialect=sqlite.dialect()))
    where = " AND ".join(f'"{key.name}" = ?' for key in keys)
    return _UsageSql(upsert.replace(table.name, name), f"DELETE FROM {name} WHERE {where} AND calls = 0")


def _write_health(connection: Connection, name: str, cells: dict[Key, Health]) -> None:
    for key, known in _health_known(connection, name, list(cells)):
        cells[key].add(known)
    kept, gone = [], []
    for key, cell in cells.items():
        hists = [histograms.to_bytes(each) for each in (cell.latency, cell.first_token, cell.throughput)]
        if any(cell.counts) or any(hists):
            kept.append((*key, *cell.counts, *hists))
        else:
            gone.append(key)
    if kept:
        marks = ", ".join("?" * len(kept[0]))
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO {name} VALUES ({marks})", kept)
    if gone:
        where = "grain = ? AND bucket = ? AND model = ? AND provider = ?"
        connection.exec_driver_sql(f"DELETE FROM {name} WHERE {where}", gone)


def _health_known(connection: Connection, name: str, keys: list[Key]) -> Iterator[tuple[Key, Health]]:
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[at : at + _KEYS_AT_ONCE]
        marks = ", ".join(["(?, ?, ?, ?)"] * len(some))
        found = connection.exec_driver_sql(
            f"SELECT * FROM {name} WHERE (grain, bucket, model, provider) IN (VALUES {marks})",
            tuple(part for key in some for part in key),
        )
        for row in found:
            yield tuple(row[:4]), health_of(row)


def health_of(row: Any) -> Health:
    """The counts and histograms of a row of health cells."""
    cell = Health()
    cell.counts = list(row[4 : 4 + _COUNTS])
    cell.latency, cell.first_token, cell.throughput = map(histograms.from_bytes, row[4 + _COUNTS :])
    return cell
