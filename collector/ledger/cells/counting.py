"""`Cells` keeps the rows that come and go within a transaction, and adds what they say to the tables at its end."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.engine import Connection
from sqlalchemy.schema import Table

from collector.ledger import schema
from collector.ledger.cells.columns import DAY_US, DaysOf, columns_of
from collector.ledger.cells.health import FIVE_MINUTES, HOUR_FIVES, HOURS, Events, Health, Log, Place
from collector.ledger.cells.tables import TABLES, USAGE_TABLES, HealthKey, add_health, add_usage
from collector.ledger.cells.usage import Folded, usage_of
from collector.ledger.rows import Row
from collector.ledger.touched import touch


class _Side:
    """The rows that come, or those that go: calls, by their place the rows of their attempts, and probes."""

    def __init__(self) -> None:
        self.calls: list[Row] = []
        self.tried: dict[int, Sequence[Row]] = {}
        self.probes: list[Row] = []


class Cells:
    """What rows add to the cells, or take from them when `sign` is -1.

    `zones` are the declared ones with their ids; `floor` is the first bucket of five minutes that is kept.
    `only_days`: nothing but the day cells of these zones. `times`: by zone the instants that are counted, if not all.
    """

    def __init__(
        self,
        zones: Mapping[str, int],
        floor: int,
        *,
        only_days: bool = False,
        times: Mapping[str, range] | None = None,
    ) -> None:
        self._zones = tuple(zones.values())
        self._floor = floor
        self._only_days = only_days
        self._days_of = DaysOf(tuple(zones), times)
        self._sides = {1: _Side(), -1: _Side()}

    def add(self, row: Row, attempts: Sequence[Row] = (), sign: int = 1) -> None:
        """Counts one row, with its rows of the attempts table."""
        side = self._sides[sign]
        if attempts:
            side.tried[len(side.calls)] = attempts
        side.calls.append(row)

    def add_probe(self, row: Row) -> None:
        """Counts one probe, a row of the attempts table."""
        self._sides[1].probes.append(row)

    def write(self, connection: Connection, names: Mapping[str, str] | None = None, *, is_proof: bool = False) -> None:
        """Adds everything counted to the tables and forgets it. `names` stands other tables in for the usual ones.

        The days are touched by it, unless it is a proof that touches nothing.
        """
        if not is_proof:
            touch(connection, self._touched())
        into = {table: table.name if names is None else names.get(table.name) for table in TABLES}
        for sign, side in self._sides.items():
            self._write(connection, into, side, sign)
        self._sides = {1: _Side(), -1: _Side()}

    def _touched(self) -> set[int]:
        """The UTC days of what was counted."""
        days: set[int] = set()
        for side in self._sides.values():
            days.update(row[1] // DAY_US for row in side.calls)
            tried = (attempt for attempts in side.tried.values() for attempt in attempts)
            days.update(attempt[5] // DAY_US for attempt in (*tried, *side.probes))
        return days

    def _write(self, connection: Connection, into: Mapping[Table, str | None], side: _Side, sign: int) -> None:
        log = Log(self._floor, self._days_of)
        if side.calls:
            columns = columns_of(side.calls, self._days_of)
            log.add_calls(columns, side.tried)
            if any(into[table] for table in USAGE_TABLES):
                usage = usage_of(columns, self._days_of, sign)
                for table, added in usage.items():
                    if name := into[table]:
                        add_usage(connection, table, name, added.names, self._usage_rows(table, added.cells))
        for probe in side.probes:
            log.add_probe(probe)
        if name := into[schema.health]:
            add_health(connection, name, self._health(log, sign))

    def _usage_rows(self, table: Table, cells: Folded) -> list[Row]:
        if table is schema.usage_quarters:
            return [] if self._only_days else [key + sums for key, sums in cells.items()]
        return [
            (zone, key[0][n], *key[1:], *sums)
            for n, zone in enumerate(self._zones)
            for key, sums in cells.items()
            if key[0][n] is not None
        ]

    def _health(self, log: Log, sign: int) -> dict[HealthKey, Health]:
        found: dict[HealthKey, Events] = {}
        for place, events in log.events.items():
            for grain, bucket in self._buckets(place):
                found.setdefault((grain, bucket, *place[2:]), []).extend(events)
        cells = {key: Health() for key in found}
        for key, events in found.items():
            cells[key].count(events, sign)
        return cells

    def _buckets(self, place: Place) -> Iterator[tuple[int, int]]:
        """The cells, by grain and bucket, that what happened at a place is counted in."""
        five, days, _, _ = place
        if not self._only_days:
            if five >= self._floor:
                yield FIVE_MINUTES, five
            yield HOURS, five // HOUR_FIVES
        for zone, day in zip(self._zones, days, strict=True):
            if day is not None:
                yield zone, day
