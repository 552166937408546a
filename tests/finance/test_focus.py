"""The FOCUS file: what its validator says, and what the validator does not look at."""

import csv
import io
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core.money import PICODOLLARS
from collector.core.periods import parse_period
from collector.demo.past import past_calls
from collector.finance.close import close
from collector.finance.columns import FOCUS_COLUMNS
from collector.finance.export import Request, booked_request, export
from collector.finance.months import month_named
from collector.intake.files import reader_of
from collector.intake.files.lines import Lines
from collector.intake.files.reading import Options
from collector.ledger.book import load_book
from collector.settings import Credit, Finance, Plan, Rate, load_settings
from tests.finance.focus_validator import verdict
from tests.random_calls import END_DAY, FIRST_DAY, HOSTILE, many
from tests.shared_data import shared
from tests.stored import NOW_US, SETS, ZONES, store
from tests.tables import calls, instant

CONTRADICTORY = ("InvoiceId-C-004-C", "InvoiceId-C-005-C")  # must be null, must not be null: one fails, always
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"Usage-Based", "One-Time", "Recurring"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},
    "PricingCategory": {"", "Standard"},
    "BillingCurrency": {"USD"},
    "PricingCurrency": {"USD"},
    "PricingUnit": {
        "", "1000000 Tokens", "Images", "Searches", "Tool Calls", "Function Calls", "Requests", "Adjustments",
        "Purchases",
    },
    "ConsumedUnit": {"", "Tokens", "Images", "Searches", "Tool Calls", "Function Calls", "Requests"},
}  # fmt: skip
COSTS = ("ListCost", "ContractedCost", "EffectiveCost", "BilledCost")
DEMO_CALLS = 9_000  # of 90 days
FIVE_ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")
TABLE = """
    2026-10-01T12:00 openai m/x   1000/500 ok key=k1 cache_read=7
    2026-10-01T13:00 openai m/x   500/0    ok key=k1 app=shop
    2026-10-01T12:00 openai other 7/0      ok
    2026-10-01T12:00 openai free  1/0      ok cost=-40000000
"""


def written(engine: Engine, folder: Path, request: Request) -> list[dict[str, str]]:
    out = folder / "focus.csv"
    export(engine, ZONES, request, out)
    return list(csv.DictReader(io.StringIO(out.read_text(), newline="")))


def october(**finance: object) -> Request:
    return Request(parse_period("2026-10", "UTC", NOW_US), format="focus", finance=Finance(**finance))


def assert_rows_hold(rows: list[dict[str, str]]) -> None:
    """What the validator misses: arithmetic, dates, allowed values, ASCII, nulls in place of zeros."""
    for row in rows:
        quantity, cost = row["PricingQuantity"], Decimal(row["ContractedCost"])
        if row["ListUnitPrice"]:
            assert Decimal(quantity) * Decimal(row["ListUnitPrice"]) == Decimal(row["ListCost"])
            assert Decimal(quantity) * Decimal(row["ContractedUnitPrice"]) == cost
            assert Decimal(row["ListUnitPrice"]) >= 0
            assert Decimal(row["ContractedUnitPrice"]) >= 0
        else:
            assert (row["x_Unpriced"], quantity, cost, Decimal(row["EffectiveCost"])) == ("true", "", 0, 0)
        assert Decimal(row["EffectiveCost"]) in (cost, 0)
        assert Decimal(row["BilledCost"]) in (cost, 0)
        for name in ("ListUnitPrice", "ContractedUnitPrice", "EffectiveCost"):
            assert row[f"PricingCurrency{name}"] == (row[name] if row[name] else "")
        for name, values in ALLOWED.items():
            assert row[name] in values, (name, row[name])
        for name, column in FOCUS_COLUMNS.items():
            cell = row[name]
            assert cell.isascii()
            if column.kind == "instant":
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00Z", cell), (name, cell)
            if column.kind == "decimal" and cell:
                assert re.fullmatch(r"-?\d+\.\d+", cell), (name, cell)
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] < row["BillingPeriodEnd"]
        assert (row["SubAccountId"] == "") == (row["SubAccountType"] == "")
        assert row["SkuPriceDetails"] == "" or json.loads(row["SkuPriceDetails"])["x_ModelId"]


def spend(rows: list[dict[str, str]]) -> int:
    return int(sum(Decimal(row["EffectiveCost"]) for row in rows) * PICODOLLARS)


def test_a_row_for_each_day_model_provider_key_meter_and_price_set(tmp_path):
    book = SETS[0]
    engine = store(tmp_path, calls(TABLE.replace("m/x", "m  ")))
    rows = written(engine, tmp_path, october())
    found = {(row["SkuId"], row["SubAccountId"]): row for row in rows if row["ChargeCategory"] == "Usage"}
    tokens = found["m-input", "k1"]
    assert {name: cell for name, cell in tokens.items() if cell} == {
        "BillingAccountId": "callmeter",
        "BillingAccountName": "callmeter",
        "BillingAccountType": "Billing Account",
        "SubAccountId": "k1",
        "SubAccountName": "k1",
        "SubAccountType": "API Key",
        "InvoiceIssuerName": "openai",
        "ProviderName": "openai",
        "ServiceProviderName": "openai",
        "HostProviderName": "openai",
        "PublisherName": "openai",
        "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z",
        "ChargePeriodStart": "2026-10-01T00:00:00Z",
        "ChargePeriodEnd": "2026-10-02T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": "Input Tokens of m at openai",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": "openai API",
        "SkuId": "m-input",
        "SkuMeter": "Input Tokens",
        "SkuPriceId": f"m-input-{book.id}",
        "SkuPriceDetails": '{"x_ModelId":"m","x_Modality":"text","x_TokenDirection":"Input",'
        '"x_TokenCacheAction":"Uncached"}',
        "PricingCategory": "Standard",
        "PricingQuantity": "0.0015",
        "PricingUnit": "1000000 Tokens",
        **dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice"), "10.0"),
        **dict.fromkeys(("PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice"), "10.0"),
        **dict.fromkeys((*COSTS, "PricingCurrencyEffectiveCost"), "0.015"),
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "ConsumedQuantity": "1500.0",
        "ConsumedUnit": "Tokens",
        "x_UsageDay": "2026-10-01",
        "x_BookingMonth": "2026-10",
        "x_PriceSetId": book.id,
    }  # fmt: skip
    assert_rows_hold(rows)


def test_unpriced_usage_is_an_adjustment_of_nothing_that_says_how_much_was_used(tmp_path):
    rows = written(store(tmp_path, calls(TABLE)), tmp_path, october())
    (row,) = [row for row in rows if row["ChargeDescription"] == "Unpriced: 7 input_tokens of other at openai"]
    assert (row["ChargeCategory"], row["BilledCost"], row["ListUnitPrice"]) == ("Adjustment", "0.0", "")
    assert (row["x_Unpriced"], row["x_UnpricedQuantity"], row["x_UnpricedUnit"]) == ("true", "7.0", "input_tokens")


def test_a_stated_cost_below_zero_has_a_price_above_and_a_quantity_below(tmp_path):
    rows = written(store(tmp_path, calls(TABLE)), tmp_path, october())
    (row,) = [row for row in rows if row["PricingUnit"] == "Adjustments"]
    assert (row["PricingQuantity"], row["ListUnitPrice"], row["EffectiveCost"]) == ("-1.0", "0.00004", "-0.00004")


def test_the_columns_of_callmeter_come_last():
    own = [name.startswith("x_") for name in FOCUS_COLUMNS]
    assert own == sorted(own)
    assert {"ServiceProviderName", "HostProviderName", "ProviderName", "PublisherName"} <= set(FOCUS_COLUMNS)


def test_corrections_of_a_closed_month_are_of_the_class_correction(tmp_path):
    engine = store(tmp_path, calls(TABLE))
    close(engine, ZONES, "2026-10", "UTC", "ann", instant("2026-12-01T00:00"))
    store(tmp_path, calls("2026-10-01T15:00 openai m 1/0 ok key=k1\n2026-11-01T00:00 openai m 2/0 ok"))
    rows = written(engine, tmp_path, booked_request(month_named("2026-11", "UTC"), "focus"))
    told = [
        (row["ChargeClass"], row["x_CorrectsMonth"], row["ChargePeriodStart"][:10], row["ConsumedQuantity"])
        for row in rows
    ]
    assert told == [("", "", "2026-11-01", "2.0"), ("Correction", "2026-10", "2026-10-01", "1.0")]
    assert {row["BillingPeriodStart"] for row in rows} == {"2026-11-01T00:00:00Z"}
    assert_rows_hold(rows)
    before = (tmp_path / "focus.csv").read_bytes()
    closed = booked_request(month_named("2026-10", "UTC"), "focus", Finance(billing_account_id="another one now"))
    assert {row["BillingAccountId"] for row in written(engine, tmp_path, closed)} == {"callmeter"}
    assert (tmp_path / "focus.csv").read_bytes() != before


def test_what_is_prepaid_is_paid_once_and_billed_at_nothing(tmp_path):
    engine = store(tmp_path, calls("2026-10-01T12:00 openai m 1000/0 ok\n2026-10-05T12:00 openai m 1000/0 ok"))
    credit = Credit(provider="openai", date=date(2026, 10, 2), usd=Decimal("50.5"), invoice_id="INV-7")
    paid, first, second = written(engine, tmp_path, october(credits=(credit,)))
    assert (paid["ChargeCategory"], paid["BilledCost"], paid["EffectiveCost"]) == ("Purchase", "50.5", "0.0")
    assert (paid["ChargeFrequency"], paid["InvoiceId"], paid["ChargePeriodStart"]) == (
        "One-Time",
        "INV-7",
        "2026-10-02T00:00:00Z",
    )
    assert (first["BilledCost"], first["x_PaidBy"]) == ("0.01", "")
    assert (second["BilledCost"], second["EffectiveCost"], second["x_PaidBy"]) == ("0.0", "0.01", "prepaid credit")
    assert_rows_hold([paid, first, second])


def test_usage_under_a_flat_plan_is_notional(tmp_path):
    engine = store(
        tmp_path, calls("2026-10-01T12:00 openai m 1000/0 ok key=k1\n2026-10-01T12:00 openai m 1000/0 ok key=k2")
    )

    plan = Plan(
        name="Team", provider="openai", key="k1", usd_per_month=200, starts=date(2026, 9, 15), until=date(2026, 11, 1)
    )
    fee, under, beside = written(engine, tmp_path, october(plans=(plan,)))
    assert (fee["ChargeFrequency"], fee["BilledCost"], fee["x_UsageDay"]) == ("Recurring", "200.0", "2026-10-01")
    assert (under["x_Notional"], under["x_PaidBy"], under["BilledCost"], under["EffectiveCost"]) == (
        "true",
        "Team",
        "0.0",
        "0.01",
    )
    assert (beside["x_Notional"], beside["BilledCost"]) == ("", "0.01")


def test_a_report_currency_is_a_rounded_column_by_a_dated_rate(tmp_path):
    engine = store(tmp_path, calls("2026-10-01T12:00 openai m 1/0 ok"))

    rates = tuple(
        Rate("EUR", date(2026, month, 30), Decimal(per_usd), "ECB")
        for month, per_usd in ((9, "0.91234"), (10, "0.9"), (11, "0.8"))
    )
    (row,) = written(engine, tmp_path, october(report_currency="EUR", rates=rates))
    assert (row["x_ReportCost"], row["x_ReportCurrency"], row["x_ReportRate"], row["x_ReportRateDate"]) == (
        "0.000009", "EUR", "0.9", "2026-10-30",
    )  # fmt: skip
    assert row["EffectiveCost"] == "0.00001"


CONTRACT = """
[[prices]]
model = "openai/gpt-4-turbo"
input_usd_per_m = 8.5
output_usd_per_m = 30
image_usd_per_k = 12
source = "contract 19"
"""


def test_the_discount_of_a_contract_is_the_list_cost_less_the_contracted_cost(tmp_path):
    """1,000 tokens at 10 and at 8.5, 500 at 30, 2 images at 14.45/K and at 12/K: 0.0539 by the list, 0.0475 agreed."""
    (tmp_path / "prices.toml").write_text(CONTRACT)
    book = load_book(load_settings(data_dir=tmp_path, environ={}))
    some = calls("2026-10-01T12:00 openai openai/gpt-4-turbo 1000/500 ok images_in=2")
    rows = written(store(tmp_path, some, book=book), tmp_path, october())
    told = {row["SkuMeter"]: (row["ListUnitPrice"], row["ContractedUnitPrice"], row["ListCost"]) for row in rows}
    assert told == {
        "Input Tokens": ("10.0", "8.5", "0.01"),
        "Output Tokens": ("30.0", "30.0", "0.015"),
        "Input Images": ("0.01445", "0.012", "0.0289"),
    }
    assert [sum(Decimal(row[name]) for row in rows) for name in COSTS] == [
        Decimal("0.0539"), *3 * [Decimal("0.0475")],
    ]  # fmt: skip
    assert_rows_hold(rows)


@settings(max_examples=15, deadline=None)
@given(many, st.sampled_from(FIVE_ZONES))
def test_effective_cost_adds_up_to_the_ledger_whatever_is_in_it(some, zone):
    with TemporaryDirectory() as name:
        folder = Path(name)
        engine = store(folder, some)
        rows = written(engine, folder, Request(parse_period(f"{FIRST_DAY}..{END_DAY}", zone, NOW_US), format="focus"))
        with engine.connect() as connection:
            assert spend(rows) == (connection.exec_driver_sql("SELECT sum(cost) FROM calls").scalar() or 0)
        assert_rows_hold(rows)
        engine.dispose()


def demo(folder: Path) -> Engine:
    """A month of the demo, of which one model is bought by a contract."""
    (folder / "prices.toml").write_text(CONTRACT)
    month = parse_period("2026-10", "UTC", NOW_US)
    some = (call for call in past_calls(NOW_US, DEMO_CALLS) if month.start_us <= call.started_at < month.end_us)
    return store(folder, some, book=load_book(load_settings(data_dir=folder, environ={})))


def azure(folder: Path) -> Engine:
    options = Options(model="openai/gpt-4-turbo", provider="openai")
    found = reader_of("azure", options)(Lines(shared("azure_llm_2023_conv.csv.gz")), options)
    return store(folder, found, book=load_book(load_settings(data_dir=folder, environ={})))


def hostile(folder: Path) -> Engine:
    """Every hostile name as model, provider and key; no usage, unpriced usage and costs of every sign."""
    lines = "\n".join(
        f"2026-10-{day:02d}T12:00 openai m 1000/{day} ok cost={10**day * (-1) ** day}" for day in range(1, 17)
    )
    plain = calls(TABLE + lines)
    named = [
        msgspec.structs.replace(call, id=f"{n:032x}", **{field: name})
        for n, (name, field) in enumerate((name, field) for name in HOSTILE for field in ("model", "provider", "key"))
        for call in plain[:1]
    ]
    return store(folder, [*plain, *named])


def with_corrections(engine: Engine, folder: Path) -> None:
    """Closes the month, changes it, and adds what the following month books of it to its file."""
    before = (folder / "focus.csv").read_text()
    close(engine, ZONES, "2026-10", "Asia/Kathmandu", "ann", instant("2026-12-05T00:00"))
    late = "\n".join(f"2026-10-{day:02d}T13:00 openai m 5/{day} ok cost={-day} app=x" for day in range(1, 20))
    store(
        folder, calls(f"{late}\n2026-10-01T13:00 openai other 7/0 ok\n2026-11-03T00:00 openai m 5/5 ok key=é")
    ).dispose()
    rows = written(engine, folder, booked_request(month_named("2026-11", "Asia/Kathmandu"), "focus"))
    assert {row["ChargeClass"] for row in rows} == {"", "Correction"}
    assert_rows_hold(rows)
    (folder / "focus.csv").write_text(before + (folder / "focus.csv").read_text().split("\n", 1)[1])


@pytest.mark.parametrize(("ledger", "month"), [(demo, "2026-10"), (azure, "2023-11"), (hostile, "2026-10")])
def test_the_validator_fails_only_the_rule_that_contradicts_itself(ledger, month, tmp_path):
    engine = ledger(tmp_path)
    finance = Finance(
        credits=(Credit(provider="openai", date=date(2026, 10, 9), usd=50),),
        plans=(Plan(name="Team", provider="dear", usd_per_month=20, starts=date(2026, 10, 1)),),
        report_currency="EUR",
        rates=(Rate("EUR", date(2023, 1, 1), Decimal("0.9"), "ECB"),),
    )  # fmt: skip
    rows = written(engine, tmp_path, Request(parse_period(month, "UTC", NOW_US), format="focus", finance=finance))
    assert_rows_hold(rows)
    discount = sum(Decimal(row["ListCost"]) - Decimal(row["ContractedCost"]) for row in rows)
    assert (discount > 0) == (ledger is demo)
    if ledger is hostile:
        with_corrections(engine, tmp_path)
    said = verdict(tmp_path / "focus.csv")
    assert said.failed == 1, said.rules
    assert said.rules[0] in CONTRADICTORY
    assert said.passed >= 263
