"""Every answer is the sum of the rows: in declared zones and others, of whole days and of hours, by any group."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.outcomes import Outcome
from collector.core.periods import QUARTER_S, SECOND_US, Period, day_number, parse_period
from collector.core.selection import Selection
from collector.ledger.questions import items, spend, usage
from collector.ledger.questions.ask import declared_zones, rows
from collector.settings import Limits
from tests.random_calls import END_DAY, FIRST_DAY, HOSTILE, NIGHTS_S, many
from tests.stored import NOW_US, store

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Pacific/Kiritimati")
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
            assert summed(found, columns) == summed(told, columns)
            assert len(found) == len(dict(found))
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
        engine.dispose()
