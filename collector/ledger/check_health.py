"""Health cells against those made anew from the rows; where rows were pruned, by UTC day."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.core.periods import DAY_S, SECOND_US, day_bounds, format_day
from collector.ledger import schema
from collector.ledger.cells.health import FIVE_MINUTES, HOURS, Health, health_of
from collector.ledger.names import name_of, zones
from collector.ledger.rows import Row
from collector.ledger.touched import Span

_DAY_US = DAY_S * SECOND_US
_DAY_HOURS, _DAY_FIVES = 24, 288


def copy_pruned(connection: Connection, shadow: Connection) -> None:
    """What pruned rows had added to the day cells in UTC, as a beginning."""
    marks = ", ".join("?" * len(schema.health.columns))
    for row in connection.execute(sa.select(schema.pruned_health)):
        shadow.exec_driver_sql(f"INSERT INTO health VALUES ({marks})", tuple(row))


def health_differences(connection: Connection, shadow: Connection, span: Span) -> Iterator[str]:
    """Differences between the health cells of a span and those that `shadow` holds, made anew from the rows."""
    columns = [column.name for column in schema.health.columns]
    query = (
        sa.select(schema.health).where(_within(span)).order_by(*(schema.health.c[key] for key in schema.HEALTH_KEYS))
    )
    kept, made = (each.execute(query.execution_options(yield_per=1000)) for each in (connection, shadow))
    coarse = _Coarse(connection)
    for key, cell, told in _side_by_side(map(tuple, kept), map(tuple, made)):
        if coarse.holds(*key[:2]):
            continue
        name, a, b = next((n, a, b) for n, a, b in zip(columns[4:], told, cell, strict=True) if a != b)
        grain, bucket, model, provider = key
        where = f"model {name_of(connection, model)} provider {name_of(connection, provider)}"
        yield f"health, grain {grain}, bucket {bucket}, {where}: the calls say {name} {_plain(a)}, the cell {_plain(b)}"
    yield from _hours(connection, coarse, span)


def _within(span: Span) -> sa.TextClause:
    """The cells of a span, and of every local day that it touches."""
    finer = (
        f"grain = {FIVE_MINUTES} AND {span.within('bucket', _DAY_FIVES)}",
        f"grain = {HOURS} AND {span.within('bucket', _DAY_HOURS)}",
    )
    days = f"grain NOT IN ({FIVE_MINUTES}, {HOURS}) AND {span.wider(1).within('bucket')}"
    return sa.text(" OR ".join((*finer, days)))


class _Coarse:
    """The cells that rows cannot prove one by one, because some of their rows were pruned."""

    def __init__(self, connection: Connection) -> None:
        query = sa.select(schema.pruned_health.c.bucket).distinct()
        self.days = set(connection.execute(query).scalars())
        self._zones = {zone_id: zone for zone, zone_id in zones(connection).items()}

    def holds(self, grain: int, bucket: int) -> bool:
        """Whether a cell belongs to a day of pruned rows; the day cells in UTC hold what was pruned."""
        zone = self._zones.get(grain)
        if zone == "UTC" or not self.days:
            return False
        if zone is None:
            return bucket // (_DAY_HOURS if grain == HOURS else _DAY_FIVES) in self.days
        start, end = day_bounds(bucket, zone)
        return bool(self.days & set(range(start // _DAY_US, (end - 1) // _DAY_US + 1)))


def _hours(connection: Connection, coarse: _Coarse, span: Span) -> Iterator[str]:
    """Of days with pruned rows: the hours against the day cell in UTC."""
    h, utc = schema.health.c, zones(connection).get("UTC")
    for day in sorted(day for day in coarse.days if span.first <= day < span.end):
        sums: dict[tuple[int, int], Health] = {}
        within = sa.and_(h.grain == HOURS, h.bucket >= day * _DAY_HOURS, h.bucket < (day + 1) * _DAY_HOURS)
        for row in connection.execute(sa.select(schema.health).where(within)):
            sums.setdefault((row.model, row.provider), Health()).add(health_of(row))
        for row in connection.execute(sa.select(schema.health).where(h.grain == utc, h.bucket == day)):
            told = sums.pop((row.model, row.provider), Health())
            if told.counts != health_of(row).counts:
                where = f"model {name_of(connection, row.model)} provider {name_of(connection, row.provider)}"
                yield f"health, {format_day(day)} in UTC, {where}: the hours say {told.counts}, the day another"
        for model, provider in sums:
            where = f"model {name_of(connection, model)} provider {name_of(connection, provider)}"
            yield f"health, {format_day(day)} in UTC, {where}: the hours are there, the day is not"


def _side_by_side(kept: Iterator[Row], made: Iterator[Row]) -> Iterator[tuple[Row, Row, Row]]:
    """Keys at which two ordered streams of cells differ, with what each says; a cell that is absent says nothing."""
    nothing = (0,) * 12 + (None,) * 3
    one, other = next(kept, None), next(made, None)
    while one is not None or other is not None:
        key = min(row[:4] for row in (one, other) if row is not None)
        left = one if one is not None and one[:4] == key else None
        right = other if other is not None and other[:4] == key else None
        if left != right:
            yield key, left[4:] if left else nothing, right[4:] if right else nothing
        one = next(kept, None) if left is not None else one
        other = next(made, None) if right is not None else other


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
