"""Why a total is what it is: the page behind the spend that a screen shows."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from collector.core.periods import parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.core.selection import Selection
from collector.finance.why_total import why_total
from collector.finance.why_total_text import remarks
from collector.ledger.questions import ask, spend
from collector.settings import Limits
from dashboard import cached, texts
from dashboard.frames import why as frames
from tests.dashboard.ledgers import NOW
from tests.stored import SETS, ZONES, store
from tests.tables import calls

TABLE = """
    10:00 openai m     1000/500 ok images_in=2 app=shop reported_cost=50000000000
    10:01 dear   m     10/1 ok app=shop
    10:02 acme   other 7/7 ok app=blog
    10:03 openai m     - rate_limited
    10:04 openai m     3/3 ok cost=5 app=blog
"""
Tab = Callable[..., AppTest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("why")
    store(made, calls(TABLE, "2026-10-20"), now_us=NOW).dispose()
    return made


def test_the_lines_by_hand(folder: Path) -> None:
    engine = cached.engine(f"sqlite:///{folder / 'callmeter.db'}")
    day = parse_period("2026-10-20", "UTC", NOW)
    told = why_total(engine, Selection(), day, cached.zones(engine), date(2026, 10, 21))
    found = frames.lines(told)
    columns = [list(found[name]) for name in ("Meter", "Quantity", "Cost, USD")]
    assert list(zip(*columns, strict=True)) == [
        ("input", "1,000", Decimal("0.01")),
        ("output", "500", Decimal("0.015")),
        ("images_in", "2", Decimal("0.0289")),
        ("input", "10", Decimal("0.00020000001")),
        ("output", "1", Decimal("0.000060000007")),
        ("input", "3", Decimal(0)),
        ("output", "3", Decimal(0)),
        ("beyond", "1", Decimal("0.000000000005")),
        ("input", "7", None),
        ("output", "7", None),
    ]
    prices = frames.prices(told)
    assert list(prices["Provider"]) == ["any", "dear", "", ""]
    assert list(prices["Calls"]) == [1, 1, 2, 1]
    assert list(prices["Reported"]) == ["$0.05 for 1", "–", "–", "–"]
    assert prices["Source"][0] == "Stated by test; no date of reading is given."
    assert frames.says(told) == "Exactly $0.054160000022 for 4 calls; 1 call without a price besides"


def test_an_own_price_stands_beside_the_list(tmp_path: Path) -> None:
    """1,000 x 8/M + 500 x 30/M is 0.023, by the list 0.025; what came with its cost is the same by both."""
    contract = PriceSet(model="m", prices={"input": 8_000_000, "output": 30_000_000}, source="contract")
    names = Names()
    book = PriceBook([Files("prices.toml", [contract], names, is_list=False), Files("list", SETS, names)])
    table = "10:00 openai m 1000/500 ok\n10:01 openai free 1/1 ok\n10:04 openai m 3/3 ok cost=5"
    engine = store(tmp_path, calls(table, "2026-10-20"), book=book, now_us=NOW)
    told = why_total(engine, Selection(), parse_period("2026-10-20", "UTC", NOW), ZONES, date(2026, 10, 21))
    found = frames.prices(told)
    assert list(found["Cost, USD"]) == [Decimal("0.023"), Decimal("0.000000000005"), Decimal(0)]
    assert list(found[frames.BY_LIST]) == [Decimal("0.025"), Decimal("0.000000000005"), Decimal(0)]
    said = "By the list it would be 0.025 USD: this is 0.002 USD less."
    assert [said in list(remarks(part)) for part in told.parts] == [True, False, False]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("chosen", [{}, {"app": "shop"}, {"model": "other"}, {"provider": "dear"}])
def test_the_costs_of_the_page_add_up_to_the_spend_of_overview(
    tab: Tab, folder: Path, zone: str, chosen: dict[str, str]
) -> None:
    app = tab(folder, "why", zone=zone, period="7d", **chosen)
    assert not app.exception
    lines, prices = (frame.value for frame in app.dataframe)
    engine = cached.engine(f"sqlite:///{folder / 'callmeter.db'}")
    selection = Selection("7d", zone, **{f"{name}s": (value,) for name, value in chosen.items()})
    period = parse_period("7d", zone, NOW)
    rows = ask.rows(engine, spend.spend_per_day(selection, period, cached.zones(engine), Limits()))
    shown = texts.dollars(ask.total(rows, "cost_picousd"))
    assert sum(cost for cost in lines["Cost, USD"] if cost is not None) == shown
    assert sum(cost for cost in prices["Cost, USD"] if cost is not None) == shown
    assert sum(prices["Calls"]) == ask.total(rows, "calls")


def test_without_calls_it_says_so(tab: Tab, folder: Path) -> None:
    app = tab(folder, "why", app="nobody")
    assert not app.exception
    assert "No calls here" in app.markdown[0].value
