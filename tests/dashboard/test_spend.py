"""Spend: groups that add up, the cost of trouble, what caches saved, and the same traffic at other prices."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from collector.core.meters import METERS
from collector.core.prices import PriceSet
from dashboard.frames import ranking, savings, trouble, unpriced, what_if
from tests.dashboard.answers import Spent
from tests.dashboard.ledgers import NOW
from tests.stored import store
from tests.tables import calls

Tab = Callable[..., AppTest]
TABLE = """
    10:00 openai m     1000/500 ok app=shop images_in=2 reported_cost=50000000000
    10:01 dear   m     10/1     cancelled app=shop attempts=openai:provider_fault,dear:cancelled
    10:02 acme   other 7/7      ok app=blog
    10:03 openai m     -        rate_limited
    10:04 openai m     100/0    ok app=blog cache_read=900
"""
DAY = "2026-10-20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("spend")
    store(made, calls(TABLE, DAY), now_us=NOW).dispose()
    return made


def frame(app: AppTest, column: str) -> Any:
    return next(table.value for table in app.dataframe if column in table.value)


def test_a_group_s_line_has_its_sum_and_the_least_average_and_most_of_its_days() -> None:
    rows = [Spent(1, 10, group="a"), Spent(2, 15, group="a"), Spent(2, 4, group="b"), Spent(3, 0, 1, 1, group="c")]
    table = ranking.spend_table(ranking.by_spend(rows, "app", 2), "app")
    picos = [[None if cost is None else int(cost * 10**12) for cost in table[name]] for name in ranking.AMOUNTS]
    assert list(table["App"]) == ["a", "b", "all others (1)", "Total"]
    assert picos == [[25, 4, None, 29], [10, 4, None, 10], [12, 4, None, 14], [15, 4, None, 19]]
    assert list(table["Share"]) == ["86.20%", "13.79%", "–", "100%"]
    assert list(table["Unpriced calls"]) == [0, 0, 1, 1]


@given(some.lists(some.tuples(some.integers(0, 5), some.integers(0, 10**20), some.sampled_from("abcdefgh"))))
def test_the_lines_add_up_to_the_total_to_the_last_digit(stated: list[tuple[int, int, str]]) -> None:
    rows = [Spent(day, cost, group=group) for day, cost, group in stated]
    *lines, total = ranking.by_spend(rows, "app", 3).values()
    assert sum(line.spend or 0 for line in lines) == (total.spend or 0) == sum(row.cost_picousd for row in rows)
    assert sum(line.calls for line in lines) == total.calls == len(rows)


def test_those_that_a_question_folded_are_in_the_line_of_all_others() -> None:
    rows = [Spent(1, 5, group="ann"), Spent(1, 3, group="bob"), Spent(1, 90, calls=7, group=None)]
    found = ranking.by_spend(rows, "user", 1)
    assert {name: its.spend for name, its in found.items()} == {"ann": 5, "all others": 93, "Total": 98}
    assert ranking.series_of(rows, "user") == ["ann", "bob", "all others"]


def test_a_difference_is_stated_only_where_every_call_was_reported() -> None:
    rows = [Spent(1, 10, 1, 0, "a", "", 1, 12), Spent(1, 10, 2, 0, "b", "", 1, 4), Spent(1, 7, group="c")]
    table = ranking.reported_table(ranking.by_spend(rows, "app", 9), "app")
    assert list(table["Difference, USD"]) == [Decimal("2E-12"), None, None, None]
    assert list(table["Reported, USD"])[2] is None


def test_trouble_has_its_calls_and_money_and_so_have_retried_calls(tab: Tab, folder: Path) -> None:
    app = tab(folder, "spend", period="7d")
    assert not app.exception
    table = frame(app, "Ended")
    assert list(table["Ended"]) == ["rate limited", "client cancelled", trouble.ALL, trouble.RETRIED]
    assert list(table["Calls"]) == [1, 1, 2, 1]
    assert list(table["Spend, USD"])[1:] == [Decimal("0.000260000017")] * 3


def test_over_more_days_than_single_calls_are_read_for_retried_ones_are_not_told(tab: Tab, folder: Path) -> None:
    app = tab(folder, "spend", period="30d")
    assert trouble.RETRIED not in list(frame(app, "Ended")["Ended"])
    assert any("Retried calls are read one by one, for 7 days at most" in text.value for text in app.text)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("group", ["model", "provider", "app", "key", "user"])
def test_every_group_adds_up_to_the_same_spend(tab: Tab, folder: Path, group: str, zone: str) -> None:
    app = tab(folder, "spend", period="7d", group=group, zone=zone)
    assert not app.exception
    *lines, total = frame(app, "Least a day, USD")["Spend, USD"]
    assert sum(cost for cost in lines if cost is not None) == total == Decimal("0.064160000017")
    assert list(frame(app, "Reason")["Calls"]) == [1]


def test_a_longer_ranking_of_users_has_all_its_names(tab: Tab, tmp_path: Path) -> None:
    lines = [f"10:{n:02d} openai m {1000 + n}/0 ok user=user-{n:02d}" for n in range(30)]
    store(tmp_path, calls("\n".join(lines), DAY), now_us=NOW).dispose()
    for top, named in (("10", 10), ("25", 25), ("100", 30)):
        app = tab(tmp_path, "spend", period="7d", group="user", top=top)
        table = frame(app, "Least a day, USD")
        *users, total = zip(table["User"], table["Spend, USD"], strict=True)
        assert [name for name, _ in users[:named]] == [f"user-{29 - n:02d}" for n in range(named)]
        assert len(users) == min(named + 1, 30)
        assert sum(cost for _, cost in users) == total[1] == Decimal("0.30435")


def metered(price: str = "p", cost: int = 0, unpriced: int = 0, model: str = "m", calls: int = 1, **meters: int) -> Any:
    class Row(NamedTuple):
        day: int
        model: str
        provider: str
        price: str
        unpriced: int
        calls: int
        cost: int

    row = Row(1, model, "x", price, unpriced, calls, cost)
    quantities = {meter.column: meters.get(name, 0) for name, meter in METERS.items()}
    return type("Sums", (), {**row._asdict(), **quantities})()


def test_what_to_do_about_calls_without_a_price_depends_on_why_they_have_none() -> None:
    file = Path("prices.toml")
    (missing,) = unpriced.advice(["no price for x at y"], file)
    assert missing.startswith("A missing price goes into prices.toml")
    (unused,) = unpriced.advice(["no usage was reported"], file)
    assert unused.startswith("Where no usage was reported no price is missing")
    assert unpriced.advice(["no usage was reported", "no price for x at y"], file) == [missing, unused]


def test_savings_are_cached_tokens_at_the_input_price_less_what_they_cost() -> None:
    price = PriceSet(model="m", prices={"input": 10, "cache_read": 3, "audio_in": 50}, source="test")
    bodies = {"p": json.dumps(price.to_plain())}
    rows = [metered(cache_read=100), metered(cache_read=1, cache_read_audio=7), metered(unpriced=1, cache_read=9)]
    (saved,) = savings.by_price(rows, bodies)
    assert (saved.tokens, saved.fresh, saved.paid) == (108, 101 * 10 + 7 * 50, 101 * 3 + 7 * 50)
    assert savings.says([saved]).endswith("exactly $0.000000000707 less than fresh ones")


def test_the_same_traffic_elsewhere_leaves_out_what_has_one_price_only() -> None:
    prices = {"m": PriceSet(model="n", prices={"input": 3}, source="test")}
    rows = [
        metered(cost=100, calls=2, input=20),
        metered(cost=7, input=1, output=1),
        metered(unpriced=1, input=1),
        metered(cost=9, model="z"),
    ]
    found = what_if.compare(rows, lambda model, provider, day: prices.get(model, "no list knows it"))
    assert found["m", "x"][:4] == (2, 100, 60, 2)
    assert found["m", "x"].reasons == ("no price per token of output for n", what_if.UNPRICED)
    assert found["z", "x"] == what_if.Line(left_out=1, reasons=("no list knows it",))
    assert what_if.says(found).startswith("Exactly $0.00000000006 in place of $0.0000000001 for 2 calls (-40%); 3")
    assert list(what_if.table(found)["Spend, USD"])[1] is None


def test_the_page_prices_the_period_at_a_provider_that_is_chosen(tab: Tab, folder: Path) -> None:
    (folder / "prices.toml").write_text(
        '[[prices]]\nmodel = "m"\nprovider = "acme"\ninput_usd_per_m = "1"\noutput_usd_per_m = "2"\nsource = "us"\n'
    )
    app = tab(folder, "spend", period="7d", as_provider="acme")
    assert not app.exception
    table = frame(app, "Would be, USD")
    by_provider = dict(zip(table["Provider"], table["Would be, USD"], strict=True))
    assert by_provider["dear"] == Decimal("0.000012")
    assert by_provider["openai"] == Decimal("0.002") + Decimal("0.001")
    assert by_provider["acme"] is None


def test_the_page_prices_the_period_at_a_model_that_is_chosen(tab: Tab, folder: Path) -> None:
    app = tab(folder, "spend", period="7d", as_model="openai/gpt-4-turbo")
    assert not app.exception
    table = frame(app, "Would be, USD")
    by_provider = dict(zip(table["Provider"], table["Would be, USD"], strict=True))
    assert by_provider["dear"] == 10 * Decimal("0.00001") + 1 * Decimal("0.00003")


def test_without_calls_it_says_so(tab: Tab, folder: Path) -> None:
    app = tab(folder, "spend", app="nobody")
    assert not app.exception
    assert "No calls here" in app.markdown[0].value


def test_caches_save_in_the_demo(tab: Tab) -> None:
    saved = frame(tab("demo", "spend"), "Saved, USD").set_index("Model")["Saved, USD"]
    assert saved["openai/gpt-4o"].max() > 0
    assert saved["openai/gpt-4-turbo"] == 0  # its provider sells no cheaper cached tokens
