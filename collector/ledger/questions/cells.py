"""Which table answers a question about usage, and how its rows are cut into local days.

Whole days in a declared zone are day cells, or what is summed up of them where less is asked for; everything else is
quarter cells, of many days only those that make local days of UTC days. Users are in the user cells of declared zones,
and otherwise in the calls themselves. A source looks the same whatever it is: a day, keys that are ids (0: none), and
sums.
"""

from collections.abc import Collection, Iterable
from functools import reduce
from operator import add

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    CompoundSelect,
    Table,
    and_,
    case,
    func,
    true,
    type_coerce,
)

from collector.core.errors import UsageError
from collector.core.meters import COMMON_METERS, METERS
from collector.core.periods import (
    DAY_S,
    QUARTER_S,
    SECOND_US,
    Period,
    day_bounds,
    day_number,
    days,
    format_day,
    is_whole_days,
)
from collector.core.selection import DIMENSIONS, Selection
from collector.ledger.questions.ask import Kept
from collector.ledger.questions.leading import LEADERS, leading_users
from collector.ledger.questions.terms import Number, is_one_of, local_day, local_day_of_noon, plain, zone_id
from collector.ledger.questions.utc_days import Moved, moved, whole_utc_days
from collector.ledger.schema import (
    DIMENSION_CODES,
    calls,
    day_totals,
    price_days,
    usage_days,
    usage_quarters,
    user_days,
)

ENDINGS = ("reason", "outcome")  # all that totals tell apart
_MOST_DAYS = 400  # SQLite takes 500 SELECTs in one statement


class Source(msgspec.Struct, frozen=True):
    """A table that holds the asked-for calls or sums of them; `where` cuts it to the period."""

    table: Table
    day: Number
    where: ColumnElement[bool]
    dimension: str = ""  # of totals: whose id is their value
    by_day: tuple[tuple[int, ColumnElement[bool]], ...] = ()  # the same cut into days, where that is quicker to add up
    leaders: CompoundSelect[tuple[int]] | None = None  # the ids that have a line of their own, where there are many
    whole: ColumnElement[bool] = true()  # with leaders: the same, of all ids together
    in_utc: "Source | None" = None  # of quarters: the day cells of the whole UTC days among them
    moved: tuple[Moved, ...] = ()  # and the quarters that make the zone's days of those

    @property
    def is_rows(self) -> bool:
        return self.table is calls

    def key(self, name: str) -> Number:
        """The id of a dimension, or of "price", "reason", "outcome"; 0 means none."""
        if self.is_rows:
            return func.coalesce(self.table.c[_ROW_KEYS.get(name, name)], 0)
        return self.table.c["value" if name == self.dimension else name]

    @property
    def unpriced(self) -> Number:
        """1 where there is a reason to have no price, else 0."""
        if "unpriced" in self.table.c:
            return self.table.c.unpriced
        return case((self.key("reason") != 0, 1), else_=0)

    def meter(self, name: str) -> Number:
        """The quantity of a meter."""
        if self.is_rows and name not in COMMON_METERS:
            return func.coalesce(type_coerce(calls.c.sparse, JSON)[name].as_integer(), 0)
        column: Number = self.table.c[METERS[name].column]
        return func.coalesce(column, 0) if self.is_rows else column

    def amount(self, name: str) -> Number:
        """One of "calls", "cost", "reported_calls", "reported_cost"."""
        if not self.is_rows:
            return self.table.c[name]
        return _ROW_AMOUNTS[name]

    def meters(self, meter_names: Iterable[str]) -> Number:
        """The quantities of several meters, added up."""
        return reduce(add, (self.meter(name) for name in meter_names))


def choose(
    selection: Selection,
    period: Period,
    zones: Collection[str],
    by: Collection[str],
    row_days: int | None,
    *,
    apart: Collection[str] = ("price",),
    leaders: int = LEADERS,
) -> Source:
    """The smallest source that knows a period's days and the dimensions asked for, in `by` or by the filter.

    `zones` are the declared ones; `row_days` is how many days of call rows may be read (None: any number);
    `apart` is which of price, reason and outcome have to be told apart; `leaders` is how many users by tokens, and by
    cost, have lines of their own. Raises UsageError where the answer would take
    more, or calls that were pruned.
    """
    needed = {*by, *(name for name in DIMENSIONS if selection.names(name))}
    in_days = period.zone in zones and is_whole_days(period)
    in_totals = in_days and "price" not in apart and len(needed) < 2
    if "user" not in needed:
        if in_totals:
            return _totals(period, *needed)
        if in_days and needed <= {"model", "provider"} and set(apart) <= {"price"}:
            return _day_cells(price_days, period)
        if in_days:
            return _day_cells(usage_days, period)
        quarters = _quarter_cells(period)
        return _with_utc_days(quarters, period, needed) if "UTC" in zones and "price" not in apart else quarters
    if in_days and needed.isdisjoint({"app", "key"}):
        refuse_pruned(period, zones.users_from_us[period.zone] if isinstance(zones, Kept) else 0)
        return _user_totals(period, leaders) if in_totals else _day_cells(user_days, period)
    if row_days is not None and period.end_us - period.start_us > (row_days * DAY_S + 7_200) * SECOND_US:
        raise UsageError(
            f"by user, this is answered from single calls, for {row_days} days at most: choose a shorter period,"
            f" or whole days in {' or '.join(sorted(zones))} without a filter by app or key"
        )
    refuse_pruned(period, zones.rows_from_us if isinstance(zones, Kept) else 0)
    return _rows(period)


def refuse_pruned(period: Period, from_us: int) -> None:
    """Raises UsageError for a period that begins before what is asked for is kept."""
    if period.start_us < from_us:
        day = format_day(day_number(from_us, period.zone))
        raise UsageError(f"this is answered from single calls, and those before {day} are pruned: choose a later start")


def chosen(selection: Selection, source: Source) -> ColumnElement[bool]:
    """The condition that keeps a source's period and a selection's names."""
    picked = [is_one_of(source.key(name), name, selection.names(name)) for name in DIMENSIONS if selection.names(name)]
    return and_(source.where, *picked)


def _day_cells(table: Table, period: Period) -> Source:
    first, end = day_number(period.start_us, period.zone), day_number(period.end_us, period.zone)
    where = and_(table.c.zone == zone_id(period.zone), table.c.day >= first, table.c.day < end)
    return Source(table, table.c.day, where)


def _totals(period: Period, dimension: str = "") -> Source:
    source, its_code = _day_cells(day_totals, period), DIMENSION_CODES[dimension]
    where = and_(source.where, day_totals.c.dimension == its_code)
    return msgspec.structs.replace(source, where=where, dimension=dimension)


def _user_totals(period: Period, leaders: int) -> Source:
    """Totals by user, who are many: cut at each day, so that a few of them are looked up."""
    zone, its_days = zone_id(period.zone), days(period)
    if len(its_days) > _MOST_DAYS:
        return _totals(period, "user")
    where = and_(day_totals.c.zone == zone, day_totals.c.day.in_([plain(day) for day in its_days]))
    mine, whole = (and_(where, day_totals.c.dimension == DIMENSION_CODES[name]) for name in ("user", ""))
    its_leaders = leading_users(period, leaders)
    return Source(day_totals, day_totals.c.day, mine, dimension="user", leaders=its_leaders, whole=whole)


def _quarter_cells(period: Period) -> Source:
    quarter, step = usage_quarters.c.quarter, QUARTER_S * SECOND_US
    first, end = period.start_us // step, -(-period.end_us // step)
    its_days = [(day, *(us // step for us in day_bounds(day, period.zone))) for day in days(period)]
    by_day = [(day, and_(quarter >= max(start, first), quarter < min(until, end))) for day, start, until in its_days]
    where = and_(quarter >= first, quarter < end)
    is_short = 0 < len(by_day) <= _MOST_DAYS
    return Source(
        usage_quarters,
        local_day(quarter * plain(QUARTER_S), period),
        where,
        by_day=tuple(by_day) if is_short else (),
    )


def _with_utc_days(source: Source, period: Period, needed: Collection[str]) -> Source:
    """Quarters with the day cells of the whole UTC days among them, where there are some and not too many."""
    utc, its_moved = whole_utc_days(period), tuple(moved(period))
    if utc.end_us - utc.start_us < 2 * DAY_S * SECOND_US or len(its_moved) > _MOST_DAYS:
        return source
    its = _totals(utc, *needed) if len(needed) < 2 else _day_cells(usage_days, utc)
    its_day = local_day_of_noon(its.day, period)
    return msgspec.structs.replace(source, in_utc=msgspec.structs.replace(its, day=its_day), moved=its_moved)


def _rows(period: Period) -> Source:
    where = and_(calls.c.started_at >= period.start_us, calls.c.started_at < period.end_us)
    quarter = calls.c.started_at // plain(QUARTER_S * SECOND_US)
    return Source(calls, local_day(quarter * plain(QUARTER_S), period), where)


_ROW_KEYS = {"reason": "unpriced_reason"}
_ROW_AMOUNTS: dict[str, Number] = {
    "calls": plain(1),
    "cost": func.coalesce(calls.c.cost, 0),
    "reported_calls": case((calls.c.reported_cost.is_not(None), 1), else_=0),
    "reported_cost": func.coalesce(calls.c.reported_cost, 0),
}
