"""Uptime of providers and of the router, by buckets, from the health cells.

Buckets without attempts are absent. Shares are made from the counts by core.uptime, never here.
Buckets of minutes and hours have `at`, their first second since 1970; days have `day`, days since 1970 in the zone.
Cells of five minutes are dropped after some days: what is older comes by the hour, and in zones with part hours its
days are cut at the hour.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, and_, case, cast, func, literal_column, or_, select, true, union_all
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from collector.core.errors import UsageError
from collector.core.outages import LONGEST_GAP, is_bad
from collector.core.periods import DAY_S, HOUR_S, SECOND_US, Period, day_number, is_whole_days, offsets
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.terms import Number, is_one_of, local_day, named, plain, zone_id
from collector.ledger.schema import health, meta

FIVE_MINUTES, HOURS = 0, 1  # grains; a larger one is the id of a declared zone, with days as its buckets
GRAIN_S = {FIVE_MINUTES: 300, HOURS: HOUR_S}
_IN_AN_HOUR = HOUR_S // GRAIN_S[FIVE_MINUTES]
BUCKETS_S = {"5m": 300, "10m": 600, "30m": 1_800, "1h": HOUR_S, "day": DAY_S}


Columns = ReadOnlyColumnCollection[str, Any]  # with those of a cell's grain and bucket


class Cells(msgspec.Struct, frozen=True):
    """Which health cells, and the number of the bucket that each is in, under its column's label."""

    label: str
    bucket: Number
    grains: tuple[ColumnElement[bool], ...]  # by grain the condition that keeps them

    @property
    def where(self) -> ColumnElement[bool]:
        return or_(*self.grains)


def bucket_for(period: Period) -> str:
    """The bucket that draws a period well: ten minutes up to a day, hours up to three days, then days."""
    hours = (period.end_us - period.start_us) // (HOUR_S * SECOND_US)
    return "10m" if hours <= 25 else "1h" if hours <= 73 else "day"


def provider_uptime(selection: Selection, period: Period, zones: Collection[str], bucket: str) -> Question:
    """The attempts of calls by bucket and provider; uptime is ok of ok + provider_fault.

    Columns: day or at, group and label (the provider), ok, provider_fault, rate_limited, other, probe_ok, probe_fault.
    `bucket` is one of BUCKETS_S. Raises UsageError for a filter that health cells do not know.
    """
    counts = {name: health.c[name] for name in _ATTEMPTS}
    cells = health_source(selection, period, zones, bucket)
    inner = _sums(cells, counts).add_columns(health.c.provider.label("provider_id"))
    grouped = inner.group_by(literal_column(cells.label), health.c.provider).subquery("sums")
    return named(grouped, "provider_id", cells.label, list(counts))


def outage_buckets(selection: Selection, period: Period, zones: Collection[str], bucket: str) -> Question:
    """Of `provider_uptime`, the bad buckets and the few after each: all that outages depend on.

    Columns: at, group and label (the provider), ok, provider_fault. `bucket` is "5m" or "1h". Raises as that does.
    """
    h, cells = health.c, health_source(selection, period, zones, bucket)
    keys = (h.grain, h.bucket, h.provider)
    bad = select(*keys).group_by(*keys).having(is_bad(func.sum(h.ok), func.sum(h.provider_fault)))
    some = union_all(*map(bad.where, cells.grains)).subquery("bad")  # each grain in the order of its keys
    after = union_all(*(select(plain(n).label("n")) for n in range(LONGEST_GAP + 2))).subquery("after")
    every = select(some.c.grain, (some.c.bucket + after.c.n).label("bucket"), some.c.provider)
    near = every.select_from(some.join(after, true())).distinct().subquery("near")
    # An outer join, and the period cut out of `near`: so the few buckets are looked up, each by its whole key.
    its = and_(*(health.c[key.name] == near.c[key.name] for key in keys), *filters(selection))
    counts = {"ok": func.sum(h.ok), "provider_fault": func.sum(h.provider_fault)}
    sums = [cells.bucket.label(cells.label), *(value.label(label) for label, value in counts.items())]
    inner = select(h.provider.label("provider_id"), *sums).select_from(near.outerjoin(health, its))
    inner = inner.where(_clock(period, BUCKETS_S[bucket], near.c).where).group_by(*near.c)
    grouped = inner.having(func.sum(h.ok + h.provider_fault) > 0).subquery("sums")
    return named(grouped, "provider_id", cells.label, list(counts))


def router_uptime(selection: Selection, period: Period, zones: Collection[str], bucket: str) -> Question:
    """The calls by bucket, without and with routing: by the outcome of their first and of their last attempt.

    Columns: day or at, first_ok, first_failed, last_ok, last_failed; rate-limited calls failed. Calls count whose last
    attempt was ok, provider_fault or rate_limited, whatever the first one was.
    `bucket` is one of BUCKETS_S. Raises UsageError for a filter that health cells do not know.
    """
    h = health.c
    counted, first_counted = h.last_ok + h.last_fault + h.last_limited, h.first_ok + h.first_fault + h.first_limited
    # First and last attempts are at different providers and models: of some of those only their own can be told.
    first_calls = first_counted if selection.providers or selection.models else counted
    counts = {
        "first_ok": h.first_ok,
        "first_failed": first_calls - h.first_ok,
        "last_ok": h.last_ok,
        "last_failed": counted - h.last_ok,
    }
    cells = health_source(selection, period, zones, bucket)
    return _sums(cells, counts).group_by(literal_column(cells.label)).order_by(literal_column(cells.label))


def _sums(cells: Cells, counts: Mapping[str, Number]) -> Question:
    sums = [func.sum(value).label(label) for label, value in counts.items()]
    return select(cells.bucket.label(cells.label), *sums).where(cells.where)


def health_source(selection: Selection, period: Period, zones: Collection[str], bucket: str) -> Cells:
    """The health cells of a period's buckets. Raises UsageError for another bucket or a filter they do not know."""
    if bucket not in BUCKETS_S:
        raise UsageError(f"bucket={bucket[:20]!r} is not one of {', '.join(BUCKETS_S)}")
    source = _days(period, zones) if bucket == "day" else _clock(period, BUCKETS_S[bucket])
    its = filters(selection)
    return msgspec.structs.replace(source, grains=tuple(and_(grain, *its) for grain in source.grains))


def filters(selection: Selection) -> list[ColumnElement[bool]]:
    """The conditions that keep a selection's health cells. Raises UsageError for what those do not know."""
    if others := [name for name in ("app", "key", "user") if selection.names(name)]:
        raise UsageError(f"uptime is known by model and provider, not by {others[0]}: take that filter away")
    chosen = [name for name in ("model", "provider") if selection.names(name)]
    return [is_one_of(health.c[name], name, selection.names(name)) for name in chosen]


def _clock(period: Period, bucket_s: int, of: Columns = health.c) -> Cells:
    source = _hours(period, of) if bucket_s >= HOUR_S else _finest(period, of)
    return Cells("at", source.bucket // plain(bucket_s) * plain(bucket_s), source.grains)


def _days(period: Period, zones: Collection[str]) -> Cells:
    if period.zone in zones and is_whole_days(period):
        first, end = day_number(period.start_us, period.zone), day_number(period.end_us, period.zone)
        grain = health.c.grain == zone_id(period.zone)
        return Cells("day", health.c.bucket, (and_(grain, health.c.bucket >= first, health.c.bucket < end),))
    has_part_hours = any(offset % HOUR_S for _, offset in offsets(period))
    source = _finest(period) if has_part_hours else _hours(period)
    return Cells("day", local_day(source.bucket, period), source.grains)


def _hours(period: Period, of: Columns = health.c) -> Cells:
    return Cells("at", of.bucket * plain(HOUR_S), (_within(period, HOURS, of),))


def _finest(period: Period, of: Columns = health.c) -> Cells:
    """Five minutes where they are still kept, and the whole hours before them."""
    is_kept = of.bucket >= first_hour() * plain(_IN_AN_HOUR)
    fives = and_(_within(period, FIVE_MINUTES, of), is_kept)
    hours = and_(_within(period, HOURS, of), of.bucket < first_hour())
    seconds = case((of.grain == FIVE_MINUTES, plain(GRAIN_S[FIVE_MINUTES])), else_=plain(HOUR_S))
    return Cells("at", of.bucket * seconds, (fives, hours))


def first_hour() -> Number:
    """The first hour of which all five minutes are still kept."""
    floor = func.coalesce(select(cast(meta.c.value, Integer)).where(meta.c.key == "health_floor").scalar_subquery(), 0)
    return (floor + plain(_IN_AN_HOUR - 1)) // plain(_IN_AN_HOUR)


def _within(period: Period, grain: int, of: Columns) -> ColumnElement[bool]:
    step, bucket = GRAIN_S[grain] * SECOND_US, of.bucket  # a bucket belongs to the period in which it starts
    return and_(of.grain == grain, bucket >= -(-period.start_us // step), bucket < -(-period.end_us // step))


_ATTEMPTS = ("ok", "provider_fault", "rate_limited", "other", "probe_ok", "probe_fault")
