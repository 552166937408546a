"""Which table answers a question about usage, and how its rows are cut into local days.

Whole days in a declared zone are day cells, or what is summed up of them where less is asked for; everything else is
quarter cells, of many days only those that make local days of UTC days. Users are in the user cells of declared zones,
and otherwise in the calls themselves, of which again only some make local days of UTC days. A source looks the same
whatever it is: a day, keys that are ids (0: none), and sums.
"""

from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from operator import add

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Subquery,
    Table,
    and_,
    case,
    func,
    select,
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
_QUARTER_US = QUARTER_S * SECOND_US
_MOST_DAYS = 400  # SQLite takes 500 SELECTs in one statement


class Source(msgspec.Struct, frozen=True):
    """A table that holds the asked-for calls or sums of them; `where` cuts it to the period."""

    table: FromClause
    day: Number
    where: ColumnElement[bool]
    dimension: str = ""  # of totals: whose id is their value
    by_day: tuple[tuple[int, ColumnElement[bool]], ...] = ()  # the same cut into days, where that is quicker to add up
    leaders: CompoundSelect[tuple[int]] | None = None  # the ids that have a line of their own, where there are many
    whole: ColumnElement[bool] = true()  # with leaders: the same, of all ids together
    in_utc: "Source | None" = None  # of quarters and single calls: the day cells of the whole UTC days among them
    moved: tuple[Moved, ...] = ()  # and what makes the zone's days of those, in the units of `begun`
    begun: Number = plain(0)  # when a quarter or a call began

    def key(self, name: str) -> Number:
        """The id of a dimension, or of "price", "reason", "outcome"; 0 means none."""
        return self.table.c["value" if name == self.dimension else name]

    @property
    def unpriced(self) -> Number:
        """1 where there is a reason to have no price, else 0."""
        if "unpriced" in self.table.c:
            return self.table.c.unpriced
        return case((self.key("reason") != 0, 1), else_=0)

    def meter(self, name: str) -> Number:
        """The quantity of a meter."""
        return self.table.c[METERS[name].column]

    def amount(self, name: str) -> Number:
        """One of "calls", "cost", "reported_calls", "reported_cost"."""
        return self.table.c[name]

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
    has_utc = "UTC" in zones and "price" not in apart
    if "user" not in needed:
        if in_totals:
            return _totals(period, *needed)
        if in_days and needed <= {"model", "provider"} and set(apart) <= {"price"}:
            return _day_cells(price_days, period)
        if in_days:
            return _day_cells(usage_days, period)
        quarters = _quarter_cells(period)
        if not has_utc:
            return quarters
        return _with_utc_days(quarters, period, needed, usage_quarters.c.quarter, tuple(moved(period)))
    has_users = needed.isdisjoint({"app", "key"})
    if in_days and has_users:
        refuse_pruned(period, _users_from_us(zones, period.zone))
        return _user_totals(period, leaders) if in_totals else _day_cells(user_days, period)
    if row_days is not None and period.end_us - period.start_us > (row_days * DAY_S + 7_200) * SECOND_US:
        raise UsageError(
            f"by user, this is answered from single calls, for {row_days} days at most: choose a shorter period,"
            f" or whole days in {' or '.join(sorted(zones))} without a filter by app or key"
        )
    refuse_pruned(period, zones.rows_from_us if isinstance(zones, Kept) else 0)
    rows = _rows(period)
    if not (has_utc and has_users) or period.start_us < _users_from_us(zones, "UTC"):
        return rows
    return _with_utc_days(rows, period, needed, _ROWS.c.started_at, tuple(_moved_instants(period)))


def _users_from_us(zones: Collection[str], zone: str) -> int:
    return zones.users_from_us[zone] if isinstance(zones, Kept) else 0


def refuse_pruned(period: Period, from_us: int) -> None:
    """Raises UsageError for a period that begins before what is asked for is kept."""
    if period.start_us < from_us:
        day = format_day(day_number(from_us, period.zone))
        raise UsageError(f"this is answered from single calls, and those before {day} are pruned: choose a later start")


def chosen(selection: Selection, source: Source) -> ColumnElement[bool]:
    """The condition that keeps a source's period and a selection's names."""
    return and_(source.where, *named_in(selection, source))


def named_in(selection: Selection, source: Source) -> list[ColumnElement[bool]]:
    """The conditions that keep a selection's names."""
    return [is_one_of(source.key(name), name, selection.names(name)) for name in DIMENSIONS if selection.names(name)]


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
    where = and_(day_totals.c.zone == zone, day_totals.c.day.in_(its_days))
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


def _with_utc_days(
    source: Source, period: Period, needed: Collection[str], begun: Number, parts: tuple[Moved, ...]
) -> Source:
    """A source with the day cells of the whole UTC days in it, where there are some, and the other parts of days."""
    utc = whole_utc_days(period)
    if utc.end_us - utc.start_us < 2 * DAY_S * SECOND_US:
        return source
    table = user_days if "user" in needed else usage_days
    its = _totals(utc, *needed) if len(needed) < 2 else _day_cells(table, utc)
    its_day = local_day_of_noon(its.day, period)
    return msgspec.structs.replace(source, in_utc=msgspec.structs.replace(its, day=its_day), moved=parts, begun=begun)


def _rows(period: Period) -> Source:
    day = local_day(_ROWS.c.quarter * plain(QUARTER_S), period)
    return Source(_ROWS, day, and_(_ROWS.c.started_at >= period.start_us, _ROWS.c.started_at < period.end_us))


def _moved_instants(period: Period) -> Iterator[Moved]:
    for it in moved(period):
        first, end = max(it.first * _QUARTER_US, period.start_us), min(it.end * _QUARTER_US, period.end_us)
        yield it._replace(first=first, end=end)


def _as_cells() -> Subquery:
    """Single calls with the columns of cells, and the instant they began at."""
    c, rare = calls.c, type_coerce(calls.c.sparse, JSON)
    keys = {name: func.coalesce(c[name], plain(0)) for name in (*DIMENSIONS, "price")}
    columns = {
        "started_at": c.started_at,
        "quarter": c.started_at // plain(_QUARTER_US),
        **keys,
        "reason": func.coalesce(c.unpriced_reason, plain(0)),
        "outcome": c.outcome,
        "calls": plain(1),
        **{METERS[name].column: func.coalesce(c[METERS[name].column], plain(0)) for name in COMMON_METERS},
        **{
            METERS[name].column: func.coalesce(rare[name].as_integer(), plain(0))
            for name in METERS
            if name not in COMMON_METERS
        },
        "cost": func.coalesce(c.cost, plain(0)),
        "reported_calls": case((c.reported_cost.is_not(None), plain(1)), else_=plain(0)),
        "reported_cost": func.coalesce(c.reported_cost, plain(0)),
    }
    return select(*(value.label(name) for name, value in columns.items())).subquery("single_calls")


_ROWS = _as_cells()
