"""Metered, reported and invoiced side by side, out of a ledger."""

from datetime import date

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from collector.cli import main
from collector.core.money import parse_usd
from collector.core.periods import parse_day
from collector.core.prices.names import Names
from collector.finance.reconcile import compare
from collector.ledger.questions.ask import declared_zones
from collector.ledger.retention import Rules, prune
from collector.ledger.schema import provider_sums
from collector.settings import Finance, Plan
from tests.stored import ZONES, store
from tests.tables import calls, instant

TABLE = """
    2026-10-01T12:00 openai     m          1000/500 ok images_in=2
    2026-10-02T00:30 openai     vendor/m   1000/0   ok cost=10000000000
    2026-10-02T12:00 openai     m          1000/0   ok
    2026-10-02T12:00 openrouter none       7/8      ok reported_cost=5000000
"""
NAMES = Names(models={"vendor/m": "m"})
FIRST, END = parse_day("2026-10-01"), parse_day("2026-11-01")


def say(engine, source, day, provider, model="", line="", usd=None, **stated):
    row = {"source": source, "day": parse_day(day), "provider": provider, "model": model, "key": "", "line": line}
    cost = None if usd is None else parse_usd(usd)
    with engine.begin() as connection:
        connection.execute(sa.insert(provider_sums).values(**row, cost=cost, read_at=1, **stated))


def compared(engine, routers=()):
    found = compare(engine, NAMES, ZONES, FIRST, END, routers)
    return {(row.first_day - FIRST + 1, row.provider, row.model): row for row in found.days}, found.invoices


@pytest.fixture
def engine(tmp_path):
    engine = store(tmp_path, calls(TABLE))
    yield engine
    engine.dispose()


def test_days_providers_and_models_are_compared_under_any_of_their_names(engine):
    say(
        engine,
        "openai_usage",
        "2026-10-01",
        "openai",
        "m-2026-08-06",
        requests=1,
        input_tokens=1_000,
        output_tokens=500,
    )
    say(engine, "openai_costs", "2026-10-01", "openai", "m", "m, input", "0.01")
    say(engine, "openai_costs", "2026-10-01", "openai", "m", "m, output", "0.015")
    say(engine, "openai_usage", "2026-10-02", "openai", "m", requests=3)
    say(engine, "openai_costs", "2026-10-02", "openai", "m", "m, input", "0.03")
    days, _ = compared(engine)
    first = days[1, "openai", "m"]
    assert (first.metered.cost, first.told.cost, first.coverage) == (53_900_000_000, 25_000_000_000, (1, 1))
    assert first.gap == {"image rule": -28_900_000_000}
    second = days[2, "openai", "m"]
    assert (second.metered.calls, second.coverage, second.gap) == (2, (2, 3), {"not captured": 10_000_000_000})


def test_running_balances_are_no_sums_of_a_day(engine):
    say(engine, "openrouter_credits", "2026-10-02", "openrouter", "", "bought", "1000")
    say(engine, "openrouter_activity", "2026-10-02", "openrouter", "none", "Upstream", "0.000005", requests=1)
    days, _ = compared(engine)
    assert days[2, "openrouter", "none"].told.cost == 5_000_000
    assert days[2, "openrouter", ""].told.cost is None


def test_what_answers_said_counts_where_no_sum_is_known(engine):
    days, _ = compared(engine)
    row = days[2, "openrouter", "none"]
    assert (row.told.cost, row.metered.cost, row.metered.unpriced_calls) == (5_000_000, 0, 1)
    assert row.gap == {"price difference": 5_000_000}
    assert (days[1, "openai", "m"].difference, days[1, "openai", "m"].gap) == (None, {})


OWN = "2026-10-05T12:00 openrouter m {} ok reported_cost={} own_key_cost={}"


def test_what_an_own_key_paid_upstream_is_no_part_of_what_the_router_charges(engine, tmp_path):
    """Two calls of 0.01 and 0.02; the second is paid upstream at 0.018, for a fee of 0.001."""
    store(tmp_path, calls(f"2026-10-05T12:00 openrouter m 1000/0 ok\n{OWN.format('2000/0', 19 * 10**9, 18 * 10**9)}"))
    say(engine, "openrouter_activity", "2026-10-05", "openrouter", "m", "Upstream", "0.011", requests=2)
    days, _ = compared(engine, routers={"openrouter"})
    row = days[5, "openrouter", "m"]
    assert (row.metered.own_key_calls, row.metered.own_key_paid) == (1, 18_000_000_000)
    assert row.gap == {"own key": -20_000_000_000, "provider fee": 1_000_000_000}


def test_answers_by_an_own_key_say_the_fee_of_the_router(engine, tmp_path):
    store(tmp_path, calls(OWN.format("1000/0", 11 * 10**9, 10 * 10**9)))
    days, _ = compared(engine)
    row = days[5, "openrouter", "m"]
    assert (row.told.cost, row.gap) == (10**9, {"own key": -(10**10), "provider fee": 10**9})


def test_what_answers_said_is_not_taken_for_the_router_s_charge_once_it_is_not_known_what_own_keys_paid(
    engine, tmp_path
):
    store(tmp_path, calls(OWN.format("1000/0", 11 * 10**9, 10 * 10**9)))
    rules = Rules(days=1, most_bytes=None, probe_days=1, zone="UTC")
    prune(engine, tmp_path / "journal", rules, instant("2026-12-20T12:00"))
    found = compare(engine, NAMES, declared_zones(engine), FIRST, END, {"openrouter"})
    (row,) = (row for row in found.days if (row.first_day, row.provider) == (parse_day("2026-10-05"), "openrouter"))
    assert (row.metered.cost, row.metered.reported_cost) == (10**10, 11 * 10**9)
    assert (row.told.cost, row.difference, row.gap) == (None, None, {})


def test_an_invoice_is_not_held_against_what_came_under_a_flat_plan(engine, tmp_path):
    """Of 0.03 at `m` 0.02 came under a plan of key k1; the plan's fee and 0.011 are on the invoice."""
    store(tmp_path, calls("2026-10-03T12:00 flat m 2000/0 ok key=k1\n2026-10-03T12:00 flat m 1000/0 ok key=k2"))
    (tmp_path / "invoice.csv").write_text("provider,month,kind,usd\nflat,2026-10,usage,0.011\nflat,2026-10,fee,20\n")
    run(tmp_path, "--invoice", tmp_path / "invoice.csv")
    plan = Plan(name="Team", provider="flat", key="k1", usd_per_month=20, starts=date(2026, 10, 1))
    (invoice,) = compare(engine, NAMES, ZONES, FIRST, END, finance=Finance(plans=(plan,))).invoices
    assert (invoice.metered.cost, invoice.metered.notional) == (3 * 10**10, 2 * 10**10)
    assert invoice.gap == {"provider fee": 20 * 10**12, "free": -2 * 10**10, "unexplained": 10**9}


def test_costs_that_are_not_by_model_are_compared_with_all_models_together(engine):
    say(engine, "openai_costs", "2026-10-01", "openai", "", "", "0.05")
    say(engine, "openai_usage", "2026-10-01", "openai", "m", requests=1)
    days, _ = compared(engine)
    assert [key for key in days if key[:2] == (1, "openai")] == [(1, "openai", "")]
    assert days[1, "openai", ""].gap == {"image rule": -3_900_000_000}


def test_a_fee_beside_costs_by_model_is_a_fee(engine):
    say(engine, "openai_costs", "2026-10-01", "openai", "m", "m, input", "0.0539")
    say(engine, "openai_costs", "2026-10-01", "openai", "", "support", "7")
    days, _ = compared(engine)
    assert days[1, "openai", ""].gap == {"provider fee": 7 * 10**12}


INVOICE = """provider,month,model,kind,usd,invoice_id
openai,2026-10,,usage,0.08,INV-1
openai,2026-10,,tax,0.02,INV-1
'=cmd,2026-10,,,-5,
"""


def run(folder, *arguments):
    return CliRunner().invoke(
        main,
        ["--data-dir", str(folder), "reconcile", "--from", "2026-10-01", "--to", "2026-11-01", *map(str, arguments)],
    )


def test_invoices_are_entered_once_and_compared_with_their_days(engine, tmp_path):
    (tmp_path / "invoice.csv").write_text(INVOICE)
    say(engine, "openai_costs", "2026-10-01", "openai", "m", "m", "0.0539")
    say(engine, "openai_costs", "2026-10-02", "openai", "m", "m", "0.02")
    for _ in range(2):
        done = run(tmp_path, "--invoice", tmp_path / "invoice.csv")
        assert (done.exit_code, "3 invoice totals entered" in done.stderr) == (0, True)
    _, (nobody, invoice) = compared(engine)
    assert (nobody.provider, nobody.invoice, nobody.gap) == ("=cmd", -5 * 10**12, {"unexplained": -5 * 10**12})
    assert (invoice.invoice, invoice.metered.cost, invoice.told.cost) == (10**11, 73_900_000_000, 73_900_000_000)
    assert invoice.gap == {"provider fee": 20_000_000_000, "unexplained": 6_100_000_000}
    assert invoice.difference == sum(invoice.gap.values())
    assert "2026-10-01..2026-11-01  openai" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider,usd\nopenai,1\n", "has no column month or from"),
        ("provider,usd,month,colour\n", "'colour' is not a column of invoices"),
        ("provider,usd,month\nopenai,1,2026-13\n", "line 2: '2026-13"),
        ("provider,usd,month\nopenai,ten,2026-10\n", "line 2: 'ten' is not an amount of money"),
        ("provider,usd,month\n,1,2026-10\n", "line 2: provider is empty"),
        (
            "provider,usd,month,kind\nopenai,1,2026-10,gift\n",
            "line 2: kind 'gift' is none: write usage, fee, tax, credit",
        ),
        ("provider,usd,month,currency\nopenai,1,2026-10,EUR\n", "currency 'EUR': enter the amount in USD"),
        ("provider,usd,from,to\nopenai,1,2026-10-02,2026-10-02\n", "is no day"),
        ("", "has no column provider"),
        ("\xff\xfe", "is no CSV in UTF-8"),
    ],
)
def test_a_wrong_invoice_file_is_named_and_nothing_of_it_is_entered(engine, tmp_path, text, said):
    good = "provider,usd,month\nopenai,1,2026-10\n"
    (tmp_path / "invoice.csv").write_bytes(
        text.replace("\nopenai", f"\n{good.splitlines()[1]}\nopenai", 0).encode("latin-1")
    )
    done = run(tmp_path, "--invoice", tmp_path / "invoice.csv")
    assert (done.exit_code, said in done.stderr) == (1, True)
    assert compared(engine)[1] == ()


def test_without_anything_told_the_way_to_it_is_named(engine, tmp_path):
    store(tmp_path, [])
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE price_days SET reported_calls = 0")
    assert run(tmp_path).stdout.splitlines()[-1].startswith("no provider says what it charged: set up a pull")
