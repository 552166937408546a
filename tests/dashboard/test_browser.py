"""The dashboard as its user meets it: a real process, a real browser, a ledger that ingest wrote."""

import re
import sqlite3
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, expect

from collector.core.money import format_usd
from collector.core.periods import Period, day_number, days_period, format_day
from collector.finance.export import Request, export
from collector.ledger.engines import open_ledger
from dashboard import texts
from tests.dashboard.browser import Tab
from tests.stored import ZONES


def as_exported(served: Path, period: Period, out: Path) -> bytes:
    """What `callmeter export` writes for a period."""
    engine = open_ledger(f"sqlite:///{served / 'callmeter.db'}", read_only=True)
    export(engine, ZONES, Request(period), out)
    engine.dispose()
    return out.read_bytes()


def spent(served: Path, period: Period) -> int:
    """The sum over the ledger's rows, in picodollars."""
    with closing(sqlite3.connect(f"file:{served / 'callmeter.db'}?mode=ro", uri=True)) as connection:
        range_of_period = (period.start_us, period.end_us)
        query = "SELECT sum(cost) FROM calls WHERE started_at >= ? AND started_at < ?"
        return int(connection.execute(query, range_of_period).fetchone()[0])


def test_period_and_zone_are_chosen_on_the_page_and_stay_in_its_address(browser: Browser, address: str) -> None:
    tab = Tab(browser)
    page = tab.open(address, charts=3)
    page.get_by_text("7d", exact=True).click()
    page.wait_for_url("**period=7d**")
    page.get_by_role("combobox", name=re.compile("Time zone")).fill("Asia/Kathmandu")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("zone=Asia(%2F|/)Kathmandu"))
    expect(page.get_by_role("link", name="Download CSV")).to_have_attribute("href", re.compile("7d&zone=Asia%2FKathm"))
    tab.drawn(3)
    shown = page.evaluate(LABELS)
    assert len(shown) == 7

    again = Tab(browser)
    again.open(page.url, charts=3)
    assert again.page.evaluate(LABELS) == shown
    assert tab.wrong == again.wrong == []


LABELS = "() => document.querySelector('.js-plotly-plot').layout.xaxis.categoryarray"


def test_the_csv_is_what_finance_gets_and_its_total_what_the_page_shows(
    browser: Browser, address: str, served: Path, tmp_path: Path
) -> None:
    today = day_number(time.time_ns() // 1_000, "Europe/Berlin")
    period = days_period(today - 15, today - 1, "Europe/Berlin")
    tab = Tab(browser)
    page = tab.open(f"{address}/?period={format_day(today - 15)}..{format_day(today - 1)}&zone=Europe/Berlin", charts=3)
    page.get_by_role("link", name="Download CSV").click()
    file = tab.downloaded()
    assert file == as_exported(served, period, tmp_path / "out.csv")
    total = spent(served, period)
    assert total > 0
    assert f",{format_usd(total)},USD," in file.decode().splitlines()[-1]
    expect(page.get_by_text(f"Exactly {texts.usd(total)}, plus")).to_be_visible()
    assert tab.wrong == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_hostile_names_are_text_in_both_themes_and_on_a_phone(
    browser: Browser, address: str, theme: str, width: int
) -> None:
    tab = Tab(browser, width, theme)
    page = tab.open(f"{address}/?group=app", charts=4)
    legend = page.locator(".js-plotly-plot .legendtext").all_text_contents()
    assert "#000001 %{y} {series} `code`" in legend
    assert page.locator("[href*=evil], [src*=evil]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.wrong == []


def test_every_page_has_an_address_of_its_own(browser: Browser, address: str, retried: str) -> None:
    for path, tables in (("calls", 1), (f"call?id={retried}", 3)):
        tab = Tab(browser)
        tab.page.goto(f"{address}/{path}")
        expect(tab.page.get_by_test_id("stDataFrame")).to_have_count(tables, timeout=30_000)
        assert tab.page.title() == "callmeter"
        assert tab.wrong == []


def test_one_starts_over_from_an_address_that_cannot_be_shown_also_after_going_back(
    browser: Browser, address: str
) -> None:
    tab = Tab(browser)
    page = tab.page
    page.goto(f"{address}/?period=9x")
    for _ in range(2):
        page.get_by_role("link", name="Start over").click()
        page.wait_for_url(f"{address}/")
        tab.drawn(3)
        page.go_back()
        expect(page.get_by_text("This address cannot be shown")).to_be_visible(timeout=30_000)
    assert tab.wrong == []


def test_only_loopback_names_are_answered(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    for path in ("/", "/export.csv", "/healthz"):
        with closing(HTTPConnection("127.0.0.1", int(port))) as connection:
            connection.request("GET", path, headers={"Host": f"evil.example:{port}"})
            assert connection.getresponse().status == 421


@pytest.mark.parametrize(("query", "said"), [("period=banana", "banana"), ("by=colour", "colour"), ("zone=X", "'X'")])
def test_a_wrong_address_of_a_csv_is_answered_by_a_sentence(address: str, query: str, said: str) -> None:
    with pytest.raises(HTTPError) as raised:
        urlopen(f"{address}/export.csv?{query}", timeout=30)
    assert raised.value.code == 400
    assert said in raised.value.read().decode()
