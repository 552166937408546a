"""Declared zones: those that have day cells.

A new zone is counted from the latest hours on, some at a time, each time in a transaction of its own. Whatever comes or
goes meanwhile is counted where it lies in what is counted already; the rest is counted as it is found then.
"""

from collections.abc import Callable, Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.core.periods import HOUR_S, SECOND_US, check_zone, day_bounds, day_number
from collector.ledger import names as interning
from collector.ledger import schema
from collector.ledger.cells.columns import ALL_TIME, QUARTER_US, DaysOf
from collector.ledger.cells.counting import Cells
from collector.ledger.cells.every import probes_of, rows_of
from collector.ledger.cells.floor import health_floor
from collector.ledger.cells.health import HOURS, Health, health_of
from collector.ledger.cells.tables import DAY_TABLES, SUMS, HealthKey, add_health, add_usage
from collector.ledger.cells.usage import with_days
from collector.ledger.pending import counted_from, set_counted_from
from collector.ledger.pruned import ROWS_FROM, USERS_FROM, instant_of, raise_instant

CALLS_AT_ONCE = 10_000  # or cells of quarter-hours, where calls are pruned; of an hour with more, all
_CELLS_AT_ONCE = 5_000
_HOUR_US = HOUR_S * SECOND_US


def declare(connection: Connection, zones: Iterable[str]) -> None:
    """Declares zones, of which `count_some` has to count what is there. Raises UsageError for a name that is none."""
    before = interning.zones(connection)
    for zone in intern_zones(connection, zones).keys() - before.keys():
        set_counted_from(connection, zone, ALL_TIME.stop)


def intern_zones(connection: Connection, zones: Iterable[str]) -> dict[str, int]:
    """All declared zones with their ids, these among them. Raises UsageError for a name that is no zone."""
    interning.Names().intern(connection, "zone", map(check_zone, zones))
    return interning.zones(connection)


def kept(connection: Connection) -> Cells:
    """The cells that are kept: of all declared zones, and of one that is being counted of the time that is."""
    times = {zone: range(at_us, ALL_TIME.stop) for zone, at_us in counted_from(connection).items()}
    return Cells(interning.zones(connection), health_floor(connection), times=times)


def count_some(connection: Connection) -> int:
    """Counts the latest of what is not yet counted of zones that are new: a piece of the work. Of how many calls."""
    ids, done = interning.zones(connection), 0
    for zone, until in counted_from(connection).items():
        while until > ALL_TIME.start and done < CALLS_AT_ONCE:
            time, count = _next_time(connection, until, CALLS_AT_ONCE - done)
            done += count(connection, zone, ids[zone], time)
            until = time.start
            set_counted_from(connection, zone, until)
    return done


_Count = Callable[[Connection, str, int, range], int]


def _next_time(connection: Connection, until: int, most: int) -> tuple[range, _Count]:
    """What to count next, whole hours of which all calls have rows, or else the cells; and how to count it."""
    rows_from = instant_of(connection, ROWS_FROM)
    if until > rows_from:
        first, count, column, unit = rows_from, _count_rows, schema.calls.c.started_at, 1
    else:
        first, count, column, unit = ALL_TIME.start, _count_cells, schema.usage_quarters.c.quarter, QUARTER_US
    query = sa.select(column).where(column < until // unit).order_by(column.desc()).offset(most).limit(1)
    beyond = connection.execute(query).scalar()
    if beyond is not None:
        first = max(first, min(beyond * unit // _HOUR_US * _HOUR_US + _HOUR_US, until - _HOUR_US))
    return range(first, until), count


def _count_rows(connection: Connection, zone: str, at: int, time: range) -> int:
    within, done = f"started_at >= {time.start} AND started_at < {time.stop}", 0
    cells = Cells({zone: at}, health_floor(connection), only_days=True, times={zone: time})
    for rows in rows_of(connection, within):
        for row, attempts in rows:
            cells.add(row, attempts)
        cells.write(connection)
        done += len(rows)
    for probes in probes_of(connection, within):
        for probe in probes:
            cells.add_probe(probe)
        cells.write(connection)
    return done


def _count_cells(connection: Connection, zone: str, at: int, time: range) -> int:
    """Day cells from quarters and from hours; of users nothing can be told in this zone but of later whole days."""
    raise_instant(connection, USERS_FROM + zone, day_bounds(day_number(time.stop - 1, zone) + 1, zone)[0])
    quarter, days_of, done = schema.usage_quarters.c.quarter, DaysOf((zone,)), 0
    within = sa.and_(quarter >= time.start // QUARTER_US, quarter < time.stop // QUARTER_US)
    found = connection.execute(sa.select(schema.usage_quarters).where(within))
    keys = len(schema.usage_quarters.primary_key.columns)
    while some := found.fetchmany(_CELLS_AT_ONCE):
        usage = with_days(SUMS, {tuple(row[:keys]): tuple(row[keys:]) for row in some}, {}, days_of)
        for table in DAY_TABLES:
            rows = [(at, days[0], *rest, *sums) for (days, *rest), sums in usage[table].cells.items()]
            add_usage(connection, table, table.name, usage[table].names, rows)
        done += len(some)
    add_health(connection, schema.health.name, _health_from_hours(connection, zone, at, time))
    return done


def _health_from_hours(connection: Connection, zone: str, at: int, time: range) -> dict[HealthKey, Health]:
    cells: dict[HealthKey, Health] = {}
    hour = schema.health.c.bucket
    within = sa.and_(schema.health.c.grain == HOURS, hour >= time.start // _HOUR_US, hour < time.stop // _HOUR_US)
    for row in connection.execute(sa.select(schema.health).where(within)):
        day = day_number(row.bucket * _HOUR_US, zone)
        cells.setdefault((at, day, row.model, row.provider), Health()).add(health_of(row))
    return cells
