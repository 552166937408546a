"""Rows = cells = questions = CSV, to the last digit, whatever the calls, in any zone."""

import csv
import io
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.errors import UsageError
from collector.core.meters import METERS
from collector.core.money import format_usd, parse_usd
from collector.core.periods import Period, days, format_day, parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.core.selection import Selection
from collector.finance.books import booked_differences
from collector.finance.close import close
from collector.finance.csvtext import plain_text
from collector.finance.export import Request, booked_request, export, pages
from collector.finance.months import month_named
from collector.finance.overview import months_of
from collector.finance.why_total import why_total
from collector.ledger.questions import spend, usage
from collector.ledger.questions.ask import declared_zones, rows, total
from collector.ledger.questions.booked import first_open_us
from collector.ledger.reprice import Author, Which, reprice
from collector.ledger.retention import Rules, prune
from collector.settings import Limits
from dashboard import texts
from dashboard.frames.axis import day_axis
from dashboard.frames.finance import month_table
from dashboard.frames.spend import USD, says, spend_table
from tests.random_calls import END_DAY, FIRST_DAY, distinct, many
from tests.random_calls import calls as random_call
from tests.stored import NOW_US, ZONES, store
from tests.tables import calls as calls_of

FIVE_ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")
LIMITS = Limits(row_query_days=10_000)
CHEAPER = PriceBook([Files("test", [PriceSet(model="m", prices={"input": 3, "output": 7}, source="new")], Names())])
ALL_TIME = Period(0, 2**52)
DAY_US = 86_400_000_000
few = st.lists(random_call(), min_size=1, max_size=10).map(distinct)
groups = st.lists(st.sampled_from(["day", "model", "provider", "app", "key", "user"]), unique=True, max_size=6).map(
    tuple
)


def table(engine):
    """What the ledger's rows say: calls, cost of the priced, quantities of all and of the unpriced."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT * FROM calls").mappings().all()
        view = connection.exec_driver_sql("SELECT sum(cost_picousd) FROM v_calls").scalar()
    assert (view or 0) == sum(row["cost"] or 0 for row in found)
    quantities: Counter[str] = Counter()
    for row in found:
        quantities.update({m.column: row[m.column] for m in METERS.values() if m.common and row[m.column]})
        quantities.update({"video_in_tokens": 0 if not row["sparse"] else int(row["sparse"].split(":")[1].rstrip("}"))})
    return len(found), sum(row["cost"] or 0 for row in found), +quantities


@settings(max_examples=25, deadline=None)
@given(many, st.sampled_from(FIVE_ZONES), groups)
def test_rows_are_cells_are_questions_are_the_csv(calls, zone, by):
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        count, cost, quantities = table(engine)
        assert count == len(calls)
        period = parse_period(f"{FIRST_DAY}..{END_DAY}", zone, NOW_US)
        question = (Selection(zone=zone), period, ZONES, LIMITS)

        money, meters = rows(engine, spend.spend_per_day(*question)), rows(engine, usage.meters_per_day(*question))
        assert (total(money, "calls"), total(money, "cost_picousd")) == (count, cost)
        assert +Counter({m.column: total(meters, m.column) for m in METERS.values()}) == quantities

        out = Path(folder) / "out.csv"
        manifest = export(engine, ZONES, Request(period, by), out)
        lines = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
        last = lines.pop()
        assert next(iter(last.values())) == "TOTAL"
        assert last["cost_usd"] == manifest.cost_usd == format_usd(cost)
        assert sum(parse_usd(line["cost_usd"]) for line in lines if line["cost_usd"]) == cost
        assert_lines_hold(lines, quantities, manifest)
        assert (manifest.calls, manifest.rows) == (count, len(lines))
        again = export(engine, ZONES, Request(period, by), Path(folder) / "again.csv")
        assert again.sha256 == manifest.sha256
        engine.dispose()


def assert_lines_hold(lines, quantities, manifest):
    found: Counter[str] = Counter()
    unpriced: Counter[str] = Counter()
    for line in lines:
        if line["cost_usd"]:
            assert int(line["quantity"]) * parse_usd(line["unit_price_usd"]) == parse_usd(line["cost_usd"])
        else:
            assert line["unit_price_usd"] == ""
            unpriced[line["unit"]] += int(line["quantity"])
        if line["unit"] != "adjustment":
            found[line["unit"]] += int(line["quantity"])
        assert "e" not in (line["quantity"] + line["unit_price_usd"] + line["cost_usd"]).lower()
    assert found == quantities
    assert {unit: n for unit, n in manifest.unpriced.items() if unit != "calls"} == dict(unpriced)


@settings(max_examples=25, deadline=None)
@given(many, st.sampled_from(FIVE_ZONES), st.sampled_from(["", "model", "app", "user"]))
def test_the_days_of_a_period_add_up_to_the_period(calls, zone, group):
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        period = parse_period(f"{FIRST_DAY}..{END_DAY}", zone, NOW_US)
        found = rows(engine, spend.spend_per_day(Selection(zone=zone, group=group), period, ZONES, LIMITS))
        by_day: Counter[int] = Counter()
        for row in found:
            by_day[row.day] += row.cost_picousd
        assert set(by_day) <= set(days(period))
        for day in by_day:
            one_day = parse_period(f"{format_day(day)}..{format_day(day + 1)}", zone, NOW_US)
            alone = rows(engine, spend.spend_per_day(Selection(zone=zone, group=group), one_day, ZONES, LIMITS))
            assert total(alone, "cost_picousd") == by_day[day]
        engine.dispose()


@settings(max_examples=15, deadline=None)
@given(many)
def test_names_come_back_out_of_the_csv_as_they_were(calls):
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls)
        out = Path(folder) / "out.csv"
        period = parse_period(f"{FIRST_DAY}..{END_DAY}", "UTC", NOW_US)
        export(engine, ZONES, Request(period, calls=True), out)
        found = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
        assert {line["id"]: plain_text(line["app"]) for line in found} == {c.id: c.app or "" for c in calls}
        starts = ("=", "+", "-", "@", "\t", "\r")
        assert not [line["app"] for line in found if line["app"].startswith(starts)]
        engine.dispose()


@pytest.mark.parametrize("zone", FIVE_ZONES)
@settings(max_examples=2, deadline=None)
@given(few, few, groups)
def test_files_screen_and_ledger_agree_before_and_after_close_with_corrections_and_after_pruning(zone, some, late, by):
    with TemporaryDirectory() as name:
        folder = Path(name)
        engine = store(folder, some)
        assert_one_total(engine, zone, by, spent(engine))
        for month in ("2021-04", "2021-05"):
            close(engine, ZONES, month, zone, "ann", NOW_US)
        assert_one_total(engine, zone, by, spent(engine))
        store(folder, late).dispose()
        reprice(engine, CHEAPER, Which(ALL_TIME), NOW_US, Author("ann", "why"))
        after = spent(engine)
        assert_one_total(engine, zone, by, after)
        prune(engine, folder / "journal", Rules(days=1, most_bytes=None, probe_days=1, zone=zone), NOW_US)
        with engine.connect() as connection:
            first_kept = connection.exec_driver_sql("SELECT min(started_at) FROM calls").scalar()
            assert first_kept is None or first_kept >= (first_open_us(connection) or 0) // DAY_US * DAY_US
        assert_one_total(engine, zone, tuple(name for name in by if name != "user"), after)
        assert booked_differences(engine, declared_zones(engine)) == []
        engine.dispose()


def spent(engine):
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT sum(cost) FROM calls").scalar() or 0


def assert_one_total(engine, zone, by, cost):
    """The ledger's spend is that of the screen, of every file by usage, and of all months' files together."""
    period = parse_period(f"{FIRST_DAY}..{END_DAY}", zone, NOW_US)
    screen = shown(engine, period, cost)
    lines = read_csv(engine, Request(period, by))
    assert sum(parse_usd(line["cost_usd"]) for line in lines[:-1] if line["cost_usd"]) == cost
    assert parse_usd(lines[-1]["cost_usd"]) == cost
    focus = read_csv(engine, Request(period, format="focus"))
    assert sum(parse_usd(line["EffectiveCost"]) for line in focus) == cost
    months = {format_day(row.day)[:7] for row in screen} | {"2021-04", "2021-05", "2021-06"}
    for file_format, column, last_lines in (("csv", "cost_usd", 1), ("focus", "EffectiveCost", 0)):
        booked = 0
        for month in months:
            lines = read_csv(engine, booked_request(month_named(month, zone), file_format))
            booked += sum(parse_usd(line[column]) for line in lines[: len(lines) - last_lines] if line[column])
        assert booked == cost


def shown(engine, period, cost):
    """The rows of the spend chart, once its table, its sentence, the finance page and `explain` have said the cost."""
    zones, usd = declared_zones(engine), Decimal(format_usd(cost))
    answer = rows(engine, spend.spend_per_day(Selection(zone=period.zone), period, zones, LIMITS))
    assert sum(filter(None, spend_table(answer, day_axis(period, NOW_US), "")[USD])) == usd
    assert says(answer).startswith((f"Exactly {texts.usd(cost)}", "No spend"))
    booked = month_table(months_of(engine, zones, period.zone, NOW_US), "/month.csv")
    assert sum(booked["Booked, USD"]) == sum(booked["Used by now, USD"]) == usd
    assert why_total(engine, Selection(), period, zones, date(2026, 11, 1)).cost == cost
    return answer


def read_csv(engine, request):
    content = b"".join(pages(engine, declared_zones(engine), request)).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_by_user_after_pruning_the_declared_zones_answer_and_others_are_refused(tmp_path):
    table = "2026-08-01T12:00 openai m 1000/500 ok user=ann\n2026-10-01T12:00 openai m 10/0 ok user=bob"
    engine = store(tmp_path, calls_of(table))
    prune(engine, tmp_path / "journal", Rules(days=1, most_bytes=None, probe_days=1, zone="UTC"), NOW_US)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM calls").scalar() == 0
    for zone in ZONES:
        lines = read_csv(engine, Request(parse_period("2026-08-01..2026-11-01", zone, NOW_US), ("user",)))
        assert [(line["user"], line["cost_usd"]) for line in lines if line["unit"] == "input_tokens"] == [
            ("ann", "0.01"), ("bob", "0.0001"),
        ]  # fmt: skip
        assert lines[-1]["cost_usd"] == "0.0251"
    for request in (
        Request(parse_period("2026-08-01..2026-11-01", "Asia/Kathmandu", NOW_US), ("user",)),
        Request(parse_period("2026-08-01..2026-11-01", "UTC", NOW_US), calls=True),
    ):
        with pytest.raises(
            UsageError, match="this is answered from single calls, and those before 2026-10-02 are pruned"
        ):
            read_csv(engine, request)
