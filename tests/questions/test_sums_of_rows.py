"""Every answer is the sum of the rows: in declared zones and others, of whole days and of hours, by any group."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.outcomes import Outcome
from collector.core.periods import (
    QUARTER_S,
    SECOND_US,
    Period,
    day_number,
    days_period,
    format_day,
    parse_day,
    parse_period,
    previous,
)
from collector.core.selection import Selection
from collector.ledger.check import check
from collector.ledger.questions import items, spend, usage
from collector.ledger.questions.ask import declared_zones, rows
from collector.ledger.questions.leading import LEADERS
from collector.settings import Limits
from tests import tables
from tests.random_calls import END_DAY, FIRST_DAY, HOSTILE, NIGHTS_S, many
from tests.stored import NOW_US, store

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Pacific/Kiritimati", "Etc/GMT")
GROUPS = ("", "model", "provider", "app", "key", "user")
LIMITS = Limits(row_query_days=10_000)
SPEND = ("calls", "cost_picousd", "unpriced_calls", "reported_calls", "reported_cost_picousd")
TOKENS = ("calls", "tokens_in", "tokens_out", "tokens_reasoning")
OUTCOMES = tuple(outcome.value for outcome in Outcome)
filters = st.sampled_from([{}, {"models": ("m", "")}, {"providers": ("openai",)}, {"apps": tuple(HOSTILE)}])


@st.composite
def periods(draw):
    """Some days of a zone, or some hours of it."""
    zone = draw(st.sampled_from(ZONES))
    texts = (f"{FIRST_DAY}..{END_DAY}", "2024-03-30..2024-04-02", "2024-10-26..2024-11-05", "2021-04-03")
    whole = parse_period(draw(st.sampled_from(texts)), zone, NOW_US)
    if draw(st.booleans()):
        return whole
    first = draw(st.sampled_from(NIGHTS_S)) + QUARTER_S * draw(st.integers(-200, 100))
    return Period(first * SECOND_US, (first + QUARTER_S * draw(st.integers(1, 300))) * SECOND_US, zone)


def stored(engine, period, selection):
    """The ledger's rows of a period that a selection chooses, as plain values."""
    with engine.connect() as connection:
        query = "SELECT v.*, c.started_at AS us, c.sparse FROM v_calls AS v JOIN calls AS c ON lower(hex(c.id)) = v.id"
        found = [dict(row) for row in connection.exec_driver_sql(query).mappings()]
    chosen = {name: selection.names(name) for name in GROUPS[1:] if selection.names(name)}
    return [
        row
        for row in found
        if period.start_us <= row["us"] < period.end_us
        and all((row[name] or "") in values for name, values in chosen.items())
    ]


def meter(row, name):
    if METERS[name].common:
        return row[METERS[name].column] or 0
    return int(row["sparse"].split(":")[1].rstrip("}")) if row["sparse"] and name == "video_in" else 0


def amounts(row):
    """What a row adds to every sum of the questions."""
    reported, is_unpriced = row["reported_cost_picousd"], row["cost_picousd"] is None
    return {
        "calls": 1,
        "cost_picousd": row["cost_picousd"] or 0,
        "cost": row["cost_picousd"] or 0,
        "unpriced_calls": int(is_unpriced),
        "reported_calls": int(reported is not None),
        "reported_cost_picousd": reported or 0,
        "tokens_in": sum(meter(row, name) for name in INPUT_TOKENS),
        "tokens_out": sum(meter(row, name) for name in OUTPUT_TOKENS),
        "tokens_reasoning": meter(row, "reasoning"),
        **{outcome: int(row["outcome"] == outcome) for outcome in OUTCOMES},
        **{its.column: meter(row, name) for name, its in METERS.items()},
    }


def summed(pairs, columns):
    """(key, amounts) pairs added up: key -> the sums of some columns."""
    sums = defaultdict(lambda: [0] * len(columns))
    for key, its in pairs:
        sums[key] = [a + its[column] for a, column in zip(sums[key], columns, strict=True)]
    return dict(sums)


@given(many, periods(), st.sampled_from(GROUPS), filters)
@settings(max_examples=60, deadline=None)
def test_days_are_the_sums_of_their_rows(calls, period, group, chosen):
    selection = Selection(zone=period.zone, group=group, **chosen)
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        told = [
            ((day_number(row["us"], period.zone), row[group] or "" if group else ""), amounts(row))
            for row in stored(engine, period, selection)
        ]
        for ask, columns in (
            (spend.spend_per_day, SPEND),
            (usage.tokens_per_day, TOKENS),
            (usage.outcomes_per_day, OUTCOMES),
        ):
            answer = rows(engine, ask(selection, period, declared_zones(engine), LIMITS))
            found = [((row.day, getattr(row, "group", "")), row._asdict()) for row in answer]
            assert summed(found, columns) == summed(fold(told, found), columns)
            assert len(found) == len(dict(found))
        engine.dispose()


def fold(told, found):
    """The same, with all names that have no rows of their own in one, where some are folded."""
    own = {group for (_, group), _ in found}
    return [((day, group if group in own or None not in own else None), its) for (day, group), its in told]


@given(many, periods(), st.sampled_from(GROUPS[1:]), filters)
@settings(max_examples=40, deadline=None)
def test_names_are_the_sums_of_their_rows(calls, period, group, chosen):
    selection = Selection(zone=period.zone, group=group, **chosen)
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        columns = ("calls", "unpriced_calls", "tokens_in", "tokens_out", "cost")
        told = summed(((row[group] or "", amounts(row)) for row in stored(engine, period, selection)), columns)
        answer = rows(engine, usage.used_by_name(selection, period, declared_zones(engine), LIMITS))
        found = {row.group: [*row[2:6], row.microdollars * 10**6 + row.picodollars] for row in answer}
        assert found == told
        assert len(found) == len(answer)
        engine.dispose()


FIRST = parse_day("2026-09-01")
SPREAD = "\n".join(
    f"{format_day(FIRST + n * 7 % 40)}T{n % 24:02d}:30 openai {model} {n}/{n % 9} ok user=u{n % 6}"
    for n, model in enumerate(["m", "free", "nobody"] * 70)
)


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """Users of forty days, and what each call adds to the sums of its own."""
    engine = store(tmp_path_factory.mktemp("spread"), tables.calls(SPREAD))
    return engine, [(row, amounts(row)) for row in stored(engine, Period(0, NOW_US), Selection())]


@given(st.integers(0, 39), st.integers(1, 40), st.sampled_from(["UTC", "Europe/Berlin"]))
@settings(max_examples=100, deadline=None)
def test_users_of_any_days_are_the_sums_of_their_rows(spread, first, count, zone):
    engine, told = spread
    period = days_period(FIRST + first, FIRST + min(first + count, 40), zone)
    pairs = [(row["user"], its) for row, its in told if period.start_us <= row["us"] < period.end_us]
    answer = rows(engine, usage.used_by_name(Selection(group="user"), period, declared_zones(engine), LIMITS))
    found = {row.group: [*row[2:6], row.microdollars * 10**6 + row.picodollars] for row in answer}
    assert found == summed(pairs, ("calls", "unpriced_calls", "tokens_in", "tokens_out", "cost"))


@pytest.mark.parametrize("question", [usage.used_by_name, usage.tokens_per_day])
def test_a_date_that_a_zone_skipped_has_no_users(question, tmp_path):
    engine = store(tmp_path, tables.calls("12:00 openai m 1/0 ok user=u"), ["Pacific/Apia"])
    skipped = previous(parse_period("2011-12-31", "Pacific/Apia", NOW_US))
    assert rows(engine, question(Selection(group="user"), skipped, declared_zones(engine), LIMITS)) == []


def test_what_a_user_costs_may_be_more_than_64_bits_hold(tmp_path):
    most = 10**17 - 1  # of one call
    lines = [f"2026-09-{n // 90 + 1:02d}T12:00 openai m 1/0 ok user=u cost={most}" for n in range(20 * 90)]
    engine = store(tmp_path, tables.calls("\n".join(lines)))
    period = parse_period("2026-09-01..2026-09-21", "UTC", NOW_US)
    (row,) = rows(engine, usage.used_by_name(Selection(group="user"), period, declared_zones(engine), LIMITS))
    assert row.microdollars * 10**6 + row.picodollars == 20 * 90 * most
    assert check(engine) == []


def test_calls_that_are_read_one_by_one_are_added_up_by_name(tmp_path):
    calls = tables.calls("12:00 openai m 1/0 ok user=u app=a\n12:01 openai m 2/0 ok user=u app=a", "2026-09-01")
    engine = store(tmp_path, calls)
    period = parse_period("2026-09-01..2026-09-02", "UTC", NOW_US)
    selection = Selection(apps=("a",), group="user")
    (row,) = rows(engine, usage.used_by_name(selection, period, declared_zones(engine), LIMITS))
    assert (row.group, row.calls, row.tokens_in) == ("u", 2, 3)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(0, 9)), min_size=40, max_size=80))
@settings(max_examples=10, deadline=None)
def test_of_many_users_those_lead_that_used_most_or_cost_most(uses):
    lines = [
        f"2026-09-{1 + day % 30:02d}T12:{n % 60:02d} openai {('m', 'free')[n % 2]} {tokens}/0 ok user=u{user}"
        for n, (user, day, tokens) in enumerate(uses)
    ]
    period = parse_period("2026-09-01..2026-10-01", "UTC", NOW_US)
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), tables.calls("\n".join(lines)))
        answer = rows(engine, usage.tokens_per_day(Selection(group="user"), period, declared_zones(engine), LIMITS))
        told = [(("", row["user"]), amounts(row)) for row in stored(engine, period, Selection())]
        found = [(("", row.group), row._asdict()) for row in answer]
        assert summed(found, TOKENS) == summed(fold(told, found), TOKENS)
        used = {user: sums for (_, user), sums in summed(told, ("tokens_in", "cost")).items()}
        least = [sorted((sums[by] for sums in used.values()), reverse=True)[:LEADERS][-1] for by in (0, 1)]
        own = {row.group for row in answer} - {None}
        assert own >= {user for user, sums in used.items() if sums[0] > least[0] or sums[1] > least[1]}
        assert own <= {user for user, sums in used.items() if sums[0] >= least[0] or sums[1] >= least[1]}
        engine.dispose()


@given(many, periods(), st.lists(st.sampled_from(items.GROUPS), unique=True, max_size=6), filters)
@settings(max_examples=60, deadline=None)
def test_line_items_are_the_sums_of_their_rows(calls, period, by, chosen):
    selection = Selection(zone=period.zone, **chosen)
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        told = [
            ((day, *(row[name] or "" if name != "day" else day for name in by), row["price_id"] or "", is_unpriced),
             amounts(row))
            for row in stored(engine, period, selection)
            for day in [day_number(row["us"], period.zone)]
            for is_unpriced in [int(row["cost_picousd"] is None)]
        ]  # fmt: skip
        answer = rows(engine, items.sums_by_price(selection, period, declared_zones(engine), by))
        found = [((row.day, *(getattr(row, n) for n in by), row.price, row.unpriced), row._asdict()) for row in answer]
        assert summed(found, items.SUMS) == summed(told, items.SUMS)
        assert len(found) == len(dict(found))
        assert sorted(rows(engine, items.sums_in_no_order(selection, period, declared_zones(engine), by))) == sorted(
            answer
        )
        engine.dispose()


@given(many, periods(), filters)
@settings(max_examples=20, deadline=None)
def test_quantities_by_price_are_the_sums_of_their_rows(calls, period, chosen):
    selection = Selection(zone=period.zone, **chosen)
    columns = ("calls", *(meter.column for meter in METERS.values()))
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        told = [
            ((row["provider"] or "", row["price_id"] or "", int(row["cost_picousd"] is None)), amounts(row))
            for row in stored(engine, period, selection)
        ]
        answer = rows(engine, items.quantities_by_price(selection, period, declared_zones(engine)))
        found = [((row.provider, row.price, row.unpriced), row._asdict()) for row in answer]
        assert summed(found, columns) == summed(told, columns)
        assert len(found) == len(dict(found))
        engine.dispose()
