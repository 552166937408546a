"""What is notional and what is left of a credit: in the manifest of every format, and by the same sums as the spend."""

import csv
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.cli import main
from collector.core.periods import parse_day, parse_period
from collector.core.selection import Selection
from collector.finance.close import close
from collector.finance.export import Request, booked_request, export
from collector.finance.manifest import FlatPlan, Manifest, Prepaid
from collector.finance.months import month_named
from collector.finance.paid import Balance, Notional, Use, balances_of, notional_of
from collector.settings import Credit, Finance, Plan
from tests.random_calls import END_DAY, FIRST_DAY, many
from tests.stored import NOW_US, ZONES, store
from tests.tables import calls, instant

TABLE = """
    2026-09-30T12:00 openai m 100/0  ok key=k1
    2026-10-01T12:00 openai m 1000/0 ok key=k1 app=shop
    2026-10-02T12:00 openai m 2000/0 ok key=k2
    2026-10-20T12:00 openai m 3000/0 ok key=k2
    2026-10-20T12:00 dear   m 1000/0 ok key=k1
"""
TEAM = Plan(name="Team", provider="openai", key="k1", usd_per_month=20, starts=date(2026, 9, 15))
CREDITS = (
    Credit(provider="openai", date=date(2026, 10, 2), usd=Decimal("0.03")),
    Credit(provider="openai", date=date(2026, 10, 25), usd=Decimal("0.01")),
    Credit(provider="openai", date=date(2026, 11, 25), usd=5),
)
FINANCE = Finance(plans=(TEAM,), credits=CREDITS)
OCTOBER = parse_period("2026-10", "UTC", NOW_US)
USED = [FlatPlan("Team", "openai", "20", "0.01")]
LEFT = [Prepaid("openai", "0.04", "0.05", "-0.01")]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return store(tmp_path, calls(TABLE))


def manifest_of(engine: Engine, folder: Path, request: Request) -> Manifest:
    return export(engine, ZONES, request, folder / "out")


@pytest.mark.parametrize("by", [(), ("day", "model"), ("key", "user"), ("day", "provider", "key")])
@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_the_manifest_says_what_is_notional_and_what_is_left(engine, tmp_path, by, file_format):
    manifest = manifest_of(engine, tmp_path, Request(OCTOBER, by, format=file_format, finance=FINANCE))
    assert (manifest.plans, manifest.prepaid) == (USED, LEFT)


def test_so_does_that_of_single_calls_of_focus_and_of_a_month_as_booked(engine, tmp_path):
    month = month_named("2026-10", "UTC")
    for request in (
        Request(OCTOBER, calls=True, finance=FINANCE),
        Request(OCTOBER, format="focus", finance=FINANCE),
        booked_request(month, finance=FINANCE),
        booked_request(month, "focus", FINANCE),
    ):
        manifest = manifest_of(engine, tmp_path, request)
        assert (manifest.plans, manifest.prepaid) == (USED, LEFT)


def test_a_selection_has_its_own_notional_part_and_the_whole_balance(engine, tmp_path):
    chosen = Selection(apps=("shop",), providers=("openai", "dear"))
    manifest = manifest_of(engine, tmp_path, Request(OCTOBER, selection=chosen, finance=FINANCE))
    assert (manifest.cost_usd, manifest.plans, manifest.prepaid) == ("0.01", USED, LEFT)
    elsewhere = Selection(providers=("dear",))
    manifest = manifest_of(engine, tmp_path, Request(OCTOBER, selection=elsewhere, finance=FINANCE))
    assert [plan.notional_usd for plan in manifest.plans] == ["0"]


PAID = Finance(
    plans=(
        Plan(name="Shop", provider="openai", key="shop", usd_per_month=20, starts=date(2021, 1, 1)),
        Plan(name="Dear", provider="dear", usd_per_month=7, starts=date(2024, 4, 1), until=date(2024, 11, 3)),
    ),
    credits=(Credit(provider="openai", date=date(2021, 1, 1), usd=1),),
)


@settings(max_examples=8, deadline=None)
@given(many, st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"]))
def test_what_is_notional_and_prepaid_is_the_sum_of_those_rows_of_focus_in_any_zone(some, zone):
    with TemporaryDirectory() as name:
        folder = Path(name)
        engine = store(folder, some)
        period = parse_period(f"{FIRST_DAY}..{END_DAY}", zone, NOW_US)
        told = manifest_of(engine, folder, Request(period, ("app",), finance=PAID))
        focus = manifest_of(engine, folder, Request(period, format="focus", finance=PAID))
        rows = list(csv.DictReader((folder / "out").read_text().splitlines()))
        paid_by: Counter[str] = Counter()
        for row in rows:
            paid_by[row["x_PaidBy"]] += Decimal(row["EffectiveCost"])
            if row["x_PaidBy"]:
                assert Decimal(row["BilledCost"]) == 0
                assert (row["x_Notional"] == "true") == (row["x_PaidBy"] in ("Shop", "Dear"))
        assert [Decimal(plan.notional_usd) for plan in told.plans] == [paid_by["Shop"], paid_by["Dear"]]
        (credit,) = told.prepaid
        assert Decimal(credit.used_usd) == paid_by["prepaid credit"]
        assert Decimal(credit.left_usd) == 1 - Decimal(credit.used_usd)
        assert (focus.plans, focus.prepaid) == (told.plans, told.prepaid)
        engine.dispose()


def test_without_plans_and_credits_the_manifest_has_neither(engine, tmp_path):
    manifest_of(engine, tmp_path, Request(OCTOBER))
    assert not {"plans", "prepaid"} & json.loads((tmp_path / "out.manifest.json").read_bytes()).keys()


def test_a_correction_of_a_closed_month_under_a_plan_is_notional_in_the_month_that_books_it(engine, tmp_path):
    close(engine, ZONES, "2026-10", "UTC", "ann", instant("2026-12-05T00:00"), FINANCE)
    store(tmp_path, calls("2026-10-01T13:00 openai m 500/0 ok key=k1\n2026-11-02T12:00 openai m 10/0 ok key=k1"))
    for file_format in ("csv", "focus"):
        request = booked_request(month_named("2026-11", "UTC"), file_format, FINANCE)
        manifest = manifest_of(engine, tmp_path, request)
        assert (manifest.cost_usd, manifest.plans) == ("0.0051", [FlatPlan("Team", "openai", "20", "0.0051")])
    closed = manifest_of(engine, tmp_path, booked_request(month_named("2026-10", "UTC")))
    assert (closed.plans, closed.prepaid) == (USED, LEFT)


def test_what_comes_under_a_plan_is_not_taken_from_a_credit():
    days = [parse_day(f"2026-10-{day:02d}") for day in (1, 2, 3)]
    uses = [Use(days[0], "openai", "k2", 1), Use(days[1], "openai", "k1", 10), Use(days[2], "openai", "k2", 100)]
    assert balances_of(FINANCE, uses, parse_day("2026-11-01")) == (Balance("openai", 40_000_000_000, 100),)
    assert balances_of(FINANCE, uses, days[1]) == ()
    assert notional_of(FINANCE, uses, days[0], days[0] + 1) == (Notional("Team", "openai", 20 * 10**12, 10),)


def test_export_says_it_too(engine, tmp_path):
    (tmp_path / "callmeter.toml").write_text(
        '[[finance.plans]]\nname = "Team"\nprovider = "openai"\nkey = "k1"\nusd_per_month = 20\nfrom = 2026-09-15\n'
        '[[finance.credits]]\nprovider = "openai"\ndate = 2026-10-02\nusd = 50.5\n'
    )
    options = ("--data-dir", str(tmp_path), "--config", str(tmp_path / "callmeter.toml"))
    days = ("--from", "2026-10-01", "--to", "2026-11-01", "--out", str(tmp_path / "out.csv"))
    done = CliRunner().invoke(main, [*options, "export", *days])
    assert done.stdout.splitlines()[1:] == [
        "notional: 0.01 USD of it came under Team, openai",
        "prepaid at openai: 50.5 USD bought, 0.05 USD used",
    ]
