"""Proves that the books agree with themselves: every difference is a sentence that names both numbers.

1. Rows = cells: quarters and users from the rows, days from the quarters, prices, totals and spans of users from the
   days, by SQL that shares nothing with ingest.
   Where rows were pruned: rows + pruned = quarters by UTC day, and users = days in sums without users.
2. Health cells, made anew from the rows in a database of their own; where rows were pruned, by UTC day.
3. Every cost = its price set x the call's meters, where the call did not come with its cost.
4. The first cost of a call and its adjustments add up to its cost.
5. Accepted = stored + merged + open + rejected, segment by segment, and with the journal's files.
All of it, or 1 to 4 for spans of days only: the job that proves what was touched since the last time.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import Table

from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.money import MICRODOLLAR
from collector.core.outcomes import OUTCOMES_BY_CODE
from collector.core.periods import DAY_S, QUARTER_S, SECOND_US, day_bounds, day_number, format_day
from collector.core.prices import PriceSet, price_usage
from collector.ledger import schema
from collector.ledger.adjusted import broken_chains
from collector.ledger.cells import Progress, all_rows, kept, probes_of, rows_of
from collector.ledger.check_health import copy_pruned, health_differences
from collector.ledger.names import name_of, zones
from collector.ledger.pending import counted_from
from collector.ledger.priced import set_of
from collector.ledger.pruned import ROWS_FROM, USERS_FROM, instant_of
from collector.ledger.questions.ask import AnyRow, rows
from collector.ledger.questions.books import counted_beyond
from collector.ledger.rows import AT, Row, meters_of
from collector.ledger.touched import WHOLE, Span

SHOWN = 20  # differences of one kind that are written out; the rest are counted

_QUARTER_US = QUARTER_S * SECOND_US
_DAY_US = DAY_S * SECOND_US
_DAY_QUARTERS = DAY_S // QUARTER_S
_BETWEEN = "WHERE started_at >= ? AND started_at < ?"
_PRUNED_DAYS = "(SELECT day FROM pruned_days)"
_SUMS = ("calls", *(meter.column for meter in METERS.values()), "cost", "reported_calls", "reported_cost")
_SUMMED = ", ".join(f"sum({name})" for name in _SUMS)
_ROW_KEYS = {"reason": "unpriced_reason"}
_NAMED_KEYS = ("model", "provider", "app", "key", "user", "reason")


def check(
    engine: Engine,
    journal_dir: Path | None = None,
    progress: Progress | None = None,
    spans: Sequence[Span] = (WHOLE,),
) -> list[str]:
    """All differences in the books, one sentence each; none when they agree.

    One state of the ledger is read, whatever is written meanwhile. With `journal_dir` the ledger's counts are held
    against those of the writers too. `progress` is told of the calls that were looked at. `spans` are the days whose
    rows and cells are read; the journal's counts are always read whole.
    """
    with engine.connect() as connection:
        finders = [found for span in spans for found in _finders(connection, span, progress)]
        told = [sentence for found in (*finders, _accounts(connection)) for sentence in _shown(found)]
    return told if journal_dir is None else [*told, *_shown(_files(engine, journal_dir))]


def _finders(connection: Connection, span: Span, progress: Progress | None) -> Iterator[Iterator[str]]:
    yield _quarters(connection, span)
    yield _days(connection, span)
    yield _users(connection, span)
    yield _prices(connection, span)
    yield _totals(connection, span)
    yield _user_spans(connection, span)
    yield _rows(connection, span, progress)
    yield _attempts(connection, span)
    yield broken_chains(connection, span)


def _shown(found: Iterable[str]) -> Iterator[str]:
    """The first differences of a kind, and how many more there are."""
    more = 0
    for at, sentence in enumerate(found):
        if at < SHOWN:
            yield sentence
        else:
            more += 1
    if more:
        yield f"and {more} more differences of this kind"


class _Side(NamedTuple):
    """One of two sums to compare: what it is called, and its SELECT of keys and sums."""

    name: str
    sql: str
    values: tuple[int, ...] = ()


def _quarters(connection: Connection, span: Span) -> Iterator[str]:
    keys = _keys_of(schema.usage_quarters)
    whole = f"WHERE {span.within('started_at', _DAY_US)} AND started_at / {_DAY_US} NOT IN {_PRUNED_DAYS}"
    calls = _Side("the calls", _from_rows(f"started_at / {_QUARTER_US}", keys[1:], whole))
    where = f"WHERE {span.within('quarter', _DAY_QUARTERS)} AND quarter / {_DAY_QUARTERS} NOT IN {_PRUNED_DAYS}"
    cells = _Side("the quarter-hour", f"SELECT {_columns(keys)}, {_columns(_SUMS)} FROM usage_quarters {where}")
    for key, sentence in _differences(connection, calls, cells, keys):
        yield f"{_clock(key[0] * QUARTER_S)}, {sentence}"
    yield from _pruned(connection, span, keys[1:])


def _pruned(connection: Connection, span: Span, keys: Sequence[str]) -> Iterator[str]:
    """Of UTC days with pruned rows: what is left + what was pruned against the quarter cells."""
    within = f"WHERE {span.within('started_at', _DAY_US)} AND started_at / {_DAY_US} IN {_PRUNED_DAYS}"
    left = _from_rows(f"started_at / {_DAY_US}", keys, within)
    gone = f"SELECT day, {_columns(keys)}, {_columns(_SUMS)} FROM pruned_days WHERE {span.within('day')}"
    named = ", ".join(["day", *(f'"{key}"' for key in keys), *(f'"{name}"' for name in _SUMS)])
    both = f"WITH told ({named}) AS ({left} UNION ALL {gone}) SELECT day, {_columns(keys)}, {_SUMMED} FROM told"
    calls = _Side("calls and pruned ones", f"{both} GROUP BY day, {_columns(keys)}")
    cells = _Side(
        "the quarter-hours",
        f"SELECT quarter / {_DAY_QUARTERS}, {_columns(keys)}, {_SUMMED} FROM usage_quarters"
        f" WHERE {span.within('quarter', _DAY_QUARTERS)} AND quarter / {_DAY_QUARTERS} IN {_PRUNED_DAYS}"
        f" GROUP BY 1, {_columns(keys)}",
    )
    for key, sentence in _differences(connection, calls, cells, ("day", *keys)):
        yield f"{format_day(key[0])} in UTC, {sentence}"


def _days(connection: Connection, span: Span) -> Iterator[str]:
    """The day cells against the quarter cells."""
    keys = _keys_of(schema.usage_days)[2:]
    for zone, zone_id, day, start_us, end_us in _each_day(connection, span, schema.usage_days):
        within = (start_us // _QUARTER_US, end_us // _QUARTER_US)
        quarters = _Side(
            "the quarter-hours",
            f"SELECT {_columns(keys)}, {_SUMMED} FROM usage_quarters WHERE quarter >= ? AND quarter < ?"
            f" GROUP BY {_columns(keys)}",
            within,
        )
        cells = _day_cells("usage_days", keys, zone_id, day)
        for _, sentence in _differences(connection, quarters, cells, keys):
            yield f"{format_day(day)} in {zone}, {sentence}"


def _users(connection: Connection, span: Span) -> Iterator[str]:
    """The user cells against the rows; where rows were pruned, against the day cells, without users."""
    keys = _keys_of(schema.user_days)[2:]
    rows_from = instant_of(connection, ROWS_FROM)
    for zone, zone_id, day, start_us, end_us in _each_day(connection, span, schema.user_days):
        if start_us < rows_from:
            if start_us >= instant_of(connection, USERS_FROM + zone):
                yield from _pruned_users(connection, zone, zone_id, day)
            continue
        calls = _Side("the calls", _from_rows(None, keys), (start_us, end_us))
        cells = _day_cells("user_days", keys, zone_id, day)
        for _, sentence in _differences(connection, calls, cells, keys):
            yield f"{format_day(day)} in {zone}, users, {sentence}"


def _pruned_users(connection: Connection, zone: str, zone_id: int, day: int) -> Iterator[str]:
    keys = _keys_of(schema.user_days)[3:]
    users, days = (
        _Side(
            name,
            f"SELECT {_columns(keys)}, {_SUMMED} FROM {table} WHERE zone = ? AND day = ? GROUP BY {_columns(keys)}",
            (zone_id, day),
        )
        for name, table in (("the users", "user_days"), ("the day", "usage_days"))
    )
    for _, sentence in _differences(connection, users, days, keys):
        yield f"{format_day(day)} in {zone}, users, {sentence}"


def _prices(connection: Connection, span: Span) -> Iterator[str]:
    """The day cells of price sets against the day cells."""
    within = span.wider(1).within("day")
    days = f"SELECT zone, day, price, reason != 0, provider, model, {_SUMMED} FROM usage_days WHERE {within}"
    keys = _keys_of(schema.price_days)
    prices = f"SELECT {_columns(keys)}, {_columns(_SUMS)} FROM price_days WHERE {within}"
    both = _Side("the cells", f"{days} GROUP BY 1, 2, 3, 4, 5, 6"), _Side("the price's day", prices)
    declared = {zone_id: zone for zone, zone_id in zones(connection).items()}
    for key, sentence in _differences(connection, *both, keys):
        yield f"{format_day(key[1])} in {declared.get(key[0], key[0])}, price set {key[2]}, {sentence}"


def _totals(connection: Connection, span: Span) -> Iterator[str]:
    """The totals by one dimension against the day cells and, of users, the user cells."""
    declared = {zone_id: zone for zone, zone_id in zones(connection).items()}
    within = span.wider(1).within("day")
    for dimension, code in schema.DIMENSION_CODES.items():
        table, value = ("user_days" if dimension == "user" else "usage_days"), (f'"{dimension}"' if dimension else "0")
        days = (
            f"SELECT zone, day, {value}, reason, outcome, {_SUMMED} FROM {table} WHERE {within} GROUP BY 1, 2, 3, 4, 5"
        )
        where = f"dimension = {code} AND {within}"
        totals = f"SELECT zone, day, value, reason, outcome, {_columns(_SUMS)} FROM day_totals WHERE {where}"
        keys = ("zone", "day", dimension, "reason", "outcome")
        for key, sentence in _differences(connection, _Side("the cells", days), _Side("the total", totals), keys):
            yield f"{format_day(key[1])} in {declared.get(key[0], key[0])}, totals by {dimension or 'day'}, {sentence}"


def _user_spans(connection: Connection, span: Span) -> Iterator[str]:
    """The single days of users against the user cells, longer spans of theirs against the single days."""
    single, longer = schema.USER_SPANS
    tokens = (" + ".join(METERS[name].column for name in side) for side in (INPUT_TOKENS, OUTPUT_TOKENS))
    cost = (f"cost / {MICRODOLLAR}", f"cost % {MICRODOLLAR}")
    sums = ("calls", "CASE WHEN reason != 0 THEN calls ELSE 0 END", *tokens, *cost)
    near = span.wider(1).within("day")
    yield from _spans(
        connection, "the cells", _by_span(single, sums, f"user_days WHERE {near}"), f"days = {single} AND {near}"
    )
    near = span.wider(1).in_steps(longer).within("day")
    days = _by_span(longer, schema.USER_SUMS, f"user_spans WHERE days = {single} AND {near}")
    yield from _spans(connection, "the days", days, f"days != {single} AND {near}")


def _spans(connection: Connection, name: str, sql: str, where: str) -> Iterator[str]:
    """Some spans of users against other sums of the same."""
    keys, declared = _keys_of(schema.user_spans), {zone_id: zone for zone, zone_id in zones(connection).items()}
    spans = _Side("the span", f"SELECT {_columns((*keys, *schema.USER_SUMS))} FROM user_spans WHERE {where}")
    for key, sentence in _differences(connection, _Side(name, sql), spans, keys, schema.USER_SUMS):
        yield f"{format_day(key[2])} in {declared.get(key[0], key[0])}, span of {key[1]}, {sentence}"


def _by_span(days: int, sums: Sequence[str], of: str) -> str:
    """USER_SUMS of cells by spans of so many days; a negative cost is some microdollars and what exceeds them."""
    summed = ", ".join(f"sum({sql}) AS {name}" for sql, name in zip(sums, schema.USER_SUMS, strict=True))
    carried = f"(picodollars / {MICRODOLLAR} - (picodollars % {MICRODOLLAR} < 0))"
    cost = f"microdollars + {carried}, picodollars - {carried} * {MICRODOLLAR}"
    return (
        f'SELECT zone, {days}, first_day, "user", {_columns(schema.USER_SUMS[:-2])}, {cost} FROM'
        f' (SELECT zone, day / {days} * {days} AS first_day, "user", {summed} FROM {of} GROUP BY 1, 2, 3)'
    )


def _each_day(connection: Connection, span: Span, table: Table) -> Iterator[tuple[str, int, int, int, int]]:
    """Every day of a declared zone that has quarters or cells: zone, its id, day, start and end.

    Of a zone that is being counted, what is counted of its days.
    """
    where = span.within("quarter", _DAY_QUARTERS)
    quarters = connection.exec_driver_sql(f"SELECT DISTINCT quarter FROM usage_quarters WHERE {where}").scalars().all()
    near, counted = sa.text(span.wider(1).within("day")), counted_from(connection)
    for zone, zone_id in zones(connection).items():
        query = sa.select(table.c.day).where(table.c.zone == zone_id, near).distinct()
        from_us = counted.get(zone, 0)
        days = {day_number(at, zone) for quarter in quarters if (at := quarter * _QUARTER_US) >= from_us}
        for day in sorted(days.union(connection.execute(query).scalars())):
            start_us, end_us = day_bounds(day, zone)
            yield zone, zone_id, day, max(start_us, from_us), end_us


def _day_cells(table: str, keys: Sequence[str], zone_id: int, day: int) -> _Side:
    sql = f"SELECT {_columns(keys)}, {_columns(_SUMS)} FROM {table} WHERE zone = ? AND day = ?"
    return _Side("the day", sql, (zone_id, day))


def _from_rows(bucket: str | None, keys: Sequence[str], where: str = _BETWEEN) -> str:
    """The sums of rows by keys, and by a bucket where there is one."""
    columns = [f'coalesce("{_ROW_KEYS.get(key, key)}", 0)' for key in keys]
    grouped = [bucket, *columns] if bucket else columns
    meters = [
        f"sum(coalesce({meter.column}, 0))"
        if name in COMMON_METERS
        else f"sum(CASE WHEN sparse IS NULL THEN 0 ELSE coalesce(json_extract(sparse, '$.{name}'), 0) END)"
        for name, meter in METERS.items()
    ]
    sums = ["count(*)", *meters, "sum(coalesce(cost, 0))", "count(reported_cost)", "sum(coalesce(reported_cost, 0))"]
    places = ", ".join(str(at) for at in range(1, len(grouped) + 1))
    return f"SELECT {', '.join(grouped + sums)} FROM calls {where} GROUP BY {places}"


def _differences(
    connection: Connection, one: _Side, other: _Side, keys: Sequence[str], names: Sequence[str] = _SUMS
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Keys at which two sides differ, and a sentence that names the first sum that does on both."""
    width = len(keys)
    told: dict[tuple[int, ...], list[Sequence[int] | None]] = {}
    for place, (this, that) in enumerate(((one, other), (other, one))):
        sql = f"SELECT * FROM ({this.sql}) EXCEPT SELECT * FROM ({that.sql})"
        for row in connection.exec_driver_sql(sql, this.values + that.values):
            told.setdefault(tuple(row[:width]), [None, None])[place] = row[width:]
    for key, sums in sorted(told.items()):
        left, right = (part or (0,) * len(names) for part in sums)
        name, a, b = next((n, a, b) for n, a, b in zip(names, left, right, strict=True) if a != b)
        yield key, f"{_described(connection, keys, key)}: {one.name} say {name} {a}, {other.name} says {b}"


def _described(connection: Connection, keys: Sequence[str], key: Sequence[int]) -> str:
    values = dict(zip(keys, key, strict=True))
    parts = [f"{name} {name_of(connection, values[name])}" for name in _NAMED_KEYS if values.get(name)]
    if (code := values.get("outcome")) is not None:
        parts.append(str(OUTCOMES_BY_CODE.get(code, f"outcome {code}")))
    return " ".join(parts)


def _rows(connection: Connection, span: Span, progress: Progress | None) -> Iterator[str]:
    """What has to be seen row by row: costs, and the health cells made anew."""
    shadow = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(""))
    try:
        with shadow.connect() as other:
            schema.health.create(other)
            copy_pruned(connection, other)
            yield from _costs(connection, other, span, progress)
            yield from health_differences(connection, other, span)
    finally:
        shadow.dispose()


def _costs(connection: Connection, shadow: Connection, span: Span, progress: Progress | None) -> Iterator[str]:
    """Differences in cost; on the way all rows are counted into the health cells of `shadow`.

    Of a span with those of two days on both sides, so that every local day that it touches is counted whole.
    """
    cells, within = kept(connection), span.wider(2).within("started_at", _DAY_US)
    sets = _price_sets(connection)
    in_all = connection.exec_driver_sql(f"SELECT count(*) FROM calls WHERE {within}").scalar_one()
    done = 0
    for some in all_rows(connection) if span == WHOLE else rows_of(connection, within):
        for row, attempts in some:
            cells.add(row, attempts)
            if (problem := _cost_problem(row, sets)) is not None:
                yield f"call {row[0].hex()}: {problem}"
        cells.write(shadow, {"health": "health"}, is_proof=True)
        done += len(some)
        if progress is not None:
            progress(done, max(done, in_all))
    for probes in probes_of(connection, within):
        for probe in probes:
            cells.add_probe(probe)
        cells.write(shadow, {"health": "health"}, is_proof=True)


def _cost_problem(row: Row, sets: Mapping[int, PriceSet]) -> str | None:
    cost, price, reason = row[AT["cost"]], row[AT["price"]], row[AT["unpriced_reason"]]
    if cost is None:
        return None if reason is not None and price is None else "it has neither a cost nor a reason to have none"
    if reason is not None:
        return f"it has the cost {cost} and a reason to have none"
    if row[AT["cost_stated"]]:
        return None
    if price is None:
        return None if cost == 0 else f"its cost is {cost}, and it has no price set that says so"
    price_set = sets.get(price)
    if price_set is None:
        return f"its price set {price} is not in the ledger"
    priced = price_usage(meters_of(row), price_set)
    if priced.cost == cost:
        return None
    return f"its cost is {cost}, its price set {price_set.id} makes it {priced.unpriced_reason or priced.cost}"


def _attempts(connection: Connection, span: Span) -> Iterator[str]:
    within = f"SELECT call_id FROM attempts WHERE probe = 0 AND {span.within('started_at', _DAY_US)}"
    of_span = "" if span == WHOLE else f" AND a.call_id IN ({within})"
    found = connection.exec_driver_sql(
        "SELECT lower(hex(a.call_id)), count(*), c.attempts FROM attempts AS a LEFT JOIN calls AS c ON c.id = a.call_id"
        f" WHERE a.probe = 0{of_span} GROUP BY a.call_id HAVING c.attempts IS NOT count(*)"
    )
    for call_id, count, stated in found:
        told = "there is no such call" if stated is None else f"its row says {stated}"
        yield f"call {call_id}: there are {count} attempts, {told}"


def _accounts(connection: Connection) -> Iterator[str]:
    """What became of the calls of each segment."""
    found = connection.exec_driver_sql(
        "SELECT name, accepted, stored, merged, rejected, missing,"
        " (SELECT count(*) FROM open_calls AS o WHERE o.segment = s.id) FROM segments AS s ORDER BY id"
    )
    stored_in_all = 0
    for name, accepted, stored, merged, rejected, missing, opened in found:
        stored_in_all += stored
        if accepted != stored + merged + rejected + missing + opened:
            yield (
                f"segment {name}: accepted {accepted}, but stored {stored} + merged {merged} + open {opened}"
                f" + rejected {rejected + missing} is {stored + merged + opened + rejected + missing}"
            )
    there = connection.execute(sa.select(sa.func.count()).select_from(schema.calls)).scalar_one()
    gone = connection.execute(sa.select(sa.func.sum(schema.pruned_days.c.calls))).scalar() or 0
    if there + gone != stored_in_all:
        pruned = f" and {gone} pruned ones" if gone else ""
        yield f"there are {there} calls{pruned}, and the segments say that {stored_in_all} were stored"


def _files(engine: Engine, journal_dir: Path) -> Iterator[str]:
    """The journal's files against what the ledger says of them."""
    for name, row in _unfinished(engine).items():
        path = journal_dir / name
        counted = counted_beyond(path, 0)
        if counted is not None and row.accepted > counted + row.unreadable:
            yield f"segment {name}: its writer counted {counted} calls, the ledger says that it accepted {row.accepted}"
        if not path.exists() and name in _unfinished(engine):  # one that has ended is deleted only after that
            yield f"segment {name}: its file is gone, and the ledger has not read it to its end ({row.position} bytes)"


def _unfinished(engine: Engine) -> dict[str, AnyRow]:
    """The segments that are not in the ledger to their end; the opening of a call may be an unreadable line."""
    s, r = schema.segments.c, schema.rejects.c
    unreadable = sa.select(sa.func.count()).where(r.segment == s.id).scalar_subquery().label("unreadable")
    query = sa.select(s.name, s.position, s.accepted, unreadable).where(s.ended_at.is_(None))
    return {row.name: row for row in rows(engine, query)}


def _price_sets(connection: Connection) -> dict[int, PriceSet]:
    query = sa.select(schema.price_sets.c.id, schema.price_sets.c.body)
    return {row.id: set_of(row.body) for row in connection.execute(query)}


def _keys_of(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _columns(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _clock(seconds: int) -> str:
    day, rest = divmod(seconds, 86_400)
    return f"{format_day(day)} {rest // 3600:02d}:{rest % 3600 // 60:02d} UTC"
