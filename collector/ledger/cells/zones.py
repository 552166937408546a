"""Declared zones: those that have day cells."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.core.periods import check_zone, day_bounds, day_number
from collector.ledger import names as interning
from collector.ledger import schema
from collector.ledger.cells.columns import QUARTER_US, DaysOf
from collector.ledger.cells.counting import Cells
from collector.ledger.cells.every import Progress, count_all
from collector.ledger.cells.floor import health_floor
from collector.ledger.cells.health import FIVE_US, HOUR_FIVES, HOURS, Health, health_of
from collector.ledger.cells.tables import SUMS, HealthKey, add_health, add_usage
from collector.ledger.cells.usage import with_days
from collector.ledger.pruned import ROWS_FROM, USERS_FROM, instant_of, raise_instant


def declare(connection: Connection, zones: Iterable[str], progress: Progress | None = None) -> dict[str, int]:
    """All declared zones with their ids, these among them; a new one gets its day cells from the rows.

    Days of which rows were pruned are made from the finer cells; of their users nothing can be told in the new zone.
    """
    before = interning.zones(connection)
    declared = intern_zones(connection, zones)
    if added := {zone: at for zone, at in declared.items() if zone not in before}:
        first_days = _first_whole_days(connection, added)
        cells = Cells(added, health_floor(connection), only_days=True, first_days=first_days)
        count_all(connection, cells, progress)
        if first_days:
            _days_from_cells(connection, added, first_days)
    return declared


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
    for zone, at in zones.items():
        end_us = day_bounds(first_days[at], zone)[0]
        query = sa.select(schema.usage_quarters).where(schema.usage_quarters.c.quarter < end_us // QUARTER_US)
        keys = len(schema.usage_quarters.primary_key.columns)
        quarters = {tuple(row[:keys]): tuple(row[keys:]) for row in connection.execute(query)}
        usage = with_days(SUMS, quarters, {}, DaysOf((zone,)))
        for table, cells in (
            (schema.usage_days, usage.days),
            (schema.price_days, usage.prices),
            (schema.day_totals, usage.totals),
        ):
            rows = [(at, days[0], *rest, *sums) for (days, *rest), sums in cells.items()]
            add_usage(connection, table, table.name, usage.names, rows)
        add_health(connection, schema.health.name, _health_from_hours(connection, zone, at, first_days[at]))


def _health_from_hours(connection: Connection, zone: str, at: int, end_day: int) -> dict[HealthKey, Health]:
    cells: dict[HealthKey, Health] = {}
    for row in connection.execute(sa.select(schema.health).where(schema.health.c.grain == HOURS)):
        day = day_number(row.bucket * HOUR_FIVES * FIVE_US, zone)
        if day < end_day:
            cells.setdefault((at, day, row.model, row.provider), Health()).add(health_of(row))
    return cells


def intern_zones(connection: Connection, zones: Iterable[str]) -> dict[str, int]:
    """All declared zones with their ids, these among them. Raises UsageError for a name that is no zone."""
    interning.Names().intern(connection, "zone", map(check_zone, zones))
    return interning.zones(connection)
