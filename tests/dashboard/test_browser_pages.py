"""Every page in a real browser: in both themes, on a desk and a phone, by keyboard, its totals the ledger's."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from collector.core.money import format_usd
from collector.core.passwords import hash_password
from collector.core.periods import day_number, days_period, format_day, parse_period
from dashboard import texts
from tests.dashboard import axe
from tests.dashboard.browser import Tab
from tests.dashboard.ledgers import call
from tests.processes import running
from tests.stored import store

PAGES = {
    "": 5,
    "model?model=m": 2,
    "providers": 2,
    "calls": 0,
    "call?id=": 1,
    "spend?group=app": 1,
    "apps": 1,
    "why": 0,
    "finance": 0,
    "alerts": 0,
    "collector": 0,
}  # with so many charts at least
LOOKS = (("light", 1440), ("dark", 1440), ("dark", 390), ("light", 390))


@pytest.mark.parametrize("path", PAGES)
def test_it_fits_a_desk_and_a_phone_in_both_themes_and_breaks_no_rule_of_accessibility(
    browser: Browser, address: str, retried: str, path: str
) -> None:
    tab = Tab(browser)
    page = tab.open(f"{address}/{path}{retried if path == 'call?id=' else ''}", PAGES[path])
    for theme, width in LOOKS:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if (theme, width) in (LOOKS[0], LOOKS[2]):
            assert axe.violations(page) == []
    assert tab.wrong == []


def test_totals_of_every_page_are_the_ledger_s(browser: Browser, address: str, served: Path, retried: str) -> None:
    today = day_number(time.time_ns() // 1_000, "UTC")
    period = days_period(today - 9, today - 2, "UTC")
    named = f"period={format_day(today - 9)}..{format_day(today - 2)}"
    within = f"started_at >= {period.start_us} AND started_at < {period.end_us}"
    tokens = "input_tokens + output_tokens"
    with closing(sqlite3.connect(f"file:{served / 'callmeter.db'}?mode=ro", uri=True)) as db:
        ((calls, cost, used),) = db.execute(f"SELECT count(*), sum(cost), sum({tokens}) FROM calls WHERE {within}")
        ((stored,),) = db.execute("SELECT count(*) FROM calls")
        ((mine, given, made),) = db.execute(
            "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM v_calls WHERE model = 'm'"
        )
        ((attempts,),) = db.execute(f"SELECT sum(attempts) FROM calls WHERE {within}")
        ((unpriced,),) = db.execute(f"SELECT count(*) FROM calls WHERE {within} AND cost IS NULL")
        ((booked,),) = db.execute("SELECT sum(cost) FROM calls")
        month = f"started_at >= {parse_period('month', 'UTC', time.time_ns() // 1_000).start_us}"
        ((this_month,),) = db.execute(f"SELECT sum(cost) FROM calls WHERE {month}")
        ((its_cost,),) = db.execute("SELECT cost_picousd FROM v_calls WHERE id = ?", [retried])
    tab = Tab(browser)
    page = tab.open(f"{address}/?{named}", 5)
    assert (card(page, "Calls"), card(page, "Tokens")) == (texts.short_count(calls), texts.short_count(used))
    expect(page.get_by_text(f"Exactly {texts.usd(cost)}, plus")).to_be_visible()
    page = tab.open(f"{address}/spend?{named}", 1)
    expect(page.get_by_text(f"Exactly {texts.usd(cost)}, plus")).to_be_visible()
    expect(line(page, "Total").filter(has_text=format_usd(cost))).to_have_count(1)
    page = tab.open(f"{address}/calls?{named}", 0)
    all_of_them = f"{texts.count(calls, 'call')}, newest first. Exactly {texts.usd(cost)}, plus"
    expect(page.get_by_text(f"{all_of_them} {texts.count(unpriced, 'call')} without a price")).to_be_visible()
    page = tab.open(f"{address}/call?id={retried}", 1)
    expect(page.get_by_text(f"{texts.usd(its_cost)}: each quantity times its unit price")).to_be_visible()
    page = tab.open(f"{address}/why?{named}", 0)
    expect(page.get_by_text(f"Exactly {texts.usd(cost)} for {texts.count(calls - unpriced, 'call')};")).to_be_visible()
    page = tab.open(f"{address}/finance?{named}", 0)
    expect(page.get_by_text(f"all together book {texts.usd(booked)}, which is what was used")).to_be_visible()
    page = tab.open(f"{address}/alerts?{named}", 0)
    expect(line(page, "month").filter(has_text=format_usd(this_month))).to_have_count(1)
    page = tab.open(f"{address}/apps?{named}", 1)
    expect(page.get_by_text(f"Exactly {texts.usd(cost)}, plus")).to_be_visible()
    expect(page.get_by_text(f"{texts.count(used, 'token')} in {texts.count(calls, 'call')}, most")).to_be_visible()
    page = tab.open(f"{address}/model?model=m&{named}", 1)
    sides = f"{texts.short_count(given)} prompt tokens, 0 of them cached; {texts.short_count(made)} completion tokens"
    expect(page.get_by_text(sides)).to_be_visible()
    page = tab.open(f"{address}/providers?{named}", 2)
    expect(page.get_by_text(f"0 of {attempts:,} attempts were answered with 429")).to_be_visible()
    page = tab.open(f"{address}/collector?{named}", 0)
    expect(page.get_by_text(f"{stored:,} accepted = {stored:,} stored + 0 merged")).to_be_visible()
    assert mine < stored
    assert tab.wrong == []


def line(page: Page, text: str) -> Locator:
    """The lines of tables with some text, as those are told of them who do not see the table."""
    return page.locator("canvas tr").filter(has_text=text)


def card(page: Page, label: str) -> str:
    """The number of a card."""
    return page.locator(".cards > div").filter(has=page.get_by_text(label, exact=True)).locator(".value").inner_text()


def test_a_page_can_be_used_by_keyboard_and_links_lead_on_with_what_was_chosen(browser: Browser, address: str) -> None:
    tab = Tab(browser)
    page = tab.open(address, 5)
    page.get_by_role("radio", name="7d").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**period=7d**")
    page.get_by_role("link", name="Providers", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/providers.*period=7d"))
    tab.drawn(2)
    assert tab.wrong == []


def test_a_new_call_comes_by_itself_with_its_total_and_a_phone_reaches_every_split(
    browser: Browser, tmp_path: Path
) -> None:
    now_us = time.time_ns() // 1_000
    first, second = (call(n, now_us - n * 1_000, "m", "openai") for n in (1, 2))
    store(tmp_path, [first], now_us=now_us).dispose()
    with running(tmp_path, "--data-dir", str(tmp_path), "dashboard", "--port", "0") as dashboard:
        address = dashboard.addresses("dashboard")["dashboard"]
        tab = Tab(browser, 360)
        page = tab.open(f"{address}/calls?error=none&period=24h", 0)
        expect(page.get_by_text("1 call, newest first. Exactly $0.016")).to_be_visible()
        store(tmp_path, [second], now_us=now_us).dispose()
        expect(page.get_by_text("2 calls, newest first. Exactly $0.032")).to_be_visible(timeout=20_000)
        expect(line(page, "+00:00")).to_have_count(2)
        page = tab.open(address, 2)
        for split in ("Provider", "Key", "User"):
            page.get_by_role("radio", name=split).click()
            page.wait_for_url(f"**group={split.lower()}**")
        assert tab.wrong == []
        assert dashboard.end() == 0


@pytest.fixture(scope="module")
def closed(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a dashboard shows the same ledger to people who sign in."""
    elsewhere = tmp_path_factory.mktemp("closed")
    config = elsewhere / "callmeter.toml"
    kept = hash_password("correct horse", bytes(16))
    config.write_text(f'[dashboard]\n[dashboard.users.ann]\npassword_hash = "{kept}"\n')
    where = ("--data-dir", str(served), "--config", str(config))
    with running(elsewhere, *where, "dashboard", "--port", "0") as dashboard:
        yield dashboard.addresses("dashboard")["dashboard"]


def test_somebody_signs_in_as_a_viewer_and_out_again(browser: Browser, closed: str) -> None:
    tab = Tab(browser, 390, "dark")
    page = tab.page
    page.goto(f"{closed}/model?model=m")
    expect(page).to_have_title("Sign in to callmeter")
    assert axe.violations(page) == []
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("correct horse")
    page.keyboard.press("Enter")
    page.wait_for_url("**/model?model=m")
    tab.drawn(2)
    page.get_by_role("button", name="Account").click()
    expect(page.get_by_text("ann, viewer")).to_be_visible()
    page.get_by_role("link", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert page.request.get(f"{closed}/export.csv").status == 401
    assert tab.wrong == []
