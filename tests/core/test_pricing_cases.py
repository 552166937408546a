"""The pricing cases of tests/cases/pricing.txt: each shows its arithmetic, and the book arrives at the same sum."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from collector.core.calls import Call, Quality
from collector.core.money import PICODOLLARS, parse_usd
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook, charge, line_items
from collector.core.prices.book import Files
from collector.core.prices.entries import read_entry
from collector.ledger.book.cards import load_names
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.load import shipped_sets
from collector.toml_file import read_toml

CASES = Path(__file__).parents[1] / "cases"
UNITS = {"M": 1_000_000, "K": 1_000, "1": 1}
PACKAGE = "genai-prices"


class Case(NamedTuple):
    list_name: str
    what: str
    model: str
    provider: str
    at_us: int
    conditions: str
    meters: dict[str, int]
    shown: str
    usd: str


class PriceList(NamedTuple):
    name: str
    address: str
    read: str


def _parse(text):
    lists, cases = [], []
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line, below in zip(lines[::2], lines[1::2], strict=True):
        if heading := re.fullmatch(r"\[(.+)\] (.+)", line):
            lists.append(PriceList(heading[1], heading[2], below.strip()))
        else:
            cases.append(_case(lists[-1].name, line, below))
    return lists, cases


def _case(list_name, line, below):
    what, sold, when, conditions, usage = line.split(" | ")
    model, provider = sold.split(" at ")
    moment = datetime.fromisoformat(when).replace(tzinfo=UTC)
    meters = {name: int(n) for name, n in (part.split() for part in usage.split(", "))}
    shown, usd = below.strip().split(" = ")
    at_us = int(moment.timestamp()) * 1_000_000
    return Case(list_name, what, model, provider, at_us, conditions, meters, shown, usd)


LISTS, ALL = _parse((CASES / "pricing.txt").read_text())


@cache
def _book(list_name, images):
    names = load_names()
    rules = {("openrouter", "openai/gpt-4-turbo"): images} if images else {}
    if list_name == PACKAGE:
        return PriceBook([GenaiPrices(names)], names)
    entries = read_toml(CASES / "pricing_lists.toml").get(list_name, [])
    listed = [read_entry(entry, list_name) for entry in entries]
    return PriceBook(
        [Files(list_name, listed, names), Files("data/prices", shipped_sets(), names)], names, None, frozenset(), rules
    )


def _charge(case):
    kind, _, value = case.conditions.partition(" ")
    tier = kind if kind not in ("-", "key", "images", "served") else None
    call = Call(
        id="0" * 32,
        source="test",
        started_at=case.at_us,
        outcome=Outcome.OK,
        model=case.model,
        provider=case.provider,
        quality=Quality.EXACT,
        meters=case.meters,
        service_tier=tier,
        key=value if kind == "key" else None,
        served_model=value if kind == "served" else None,
    )
    return charge(call, _book(case.list_name, case.conditions.removeprefix("images ") if kind == "images" else None))


def _terms(shown):
    for term in shown.split(" + "):
        quantity, usd, per = re.fullmatch(r"([\d,]+) x ([\d.]+)/([MK1])", term).groups()
        yield int(quantity.replace(",", "")), Decimal(usd) / UNITS[per]


@pytest.mark.parametrize("case", ALL, ids=lambda c: f"{c.list_name}: {c.model}: {c.what}")
def test_the_book_arrives_at_the_sum_that_is_shown(case):
    assert sum(quantity * price for quantity, price in _terms(case.shown)) == Decimal(case.usd)
    charged = _charge(case)
    assert charged.unpriced_reason is None
    assert charged.cost == parse_usd(case.usd)


@pytest.mark.parametrize("case", ALL, ids=lambda c: f"{c.list_name}: {c.model}: {c.what}")
def test_its_line_items_are_the_products_that_are_shown(case):
    charged = _charge(case)
    items = line_items(charged.meters, charged.price_set)
    ours = sorted((item.quantity, item.unit_price) for item in items if item.unit_price)
    assert ours == sorted((n, int(price * PICODOLLARS)) for n, price in _terms(case.shown) if price)


def test_there_are_a_hundred_cases_at_most_half_of_them_from_the_package_and_each_list_says_when_it_was_read():
    assert len(ALL) >= 100
    assert sum(case.list_name == PACKAGE for case in ALL) <= len(ALL) / 2
    assert all(re.match(r"https://|genai-prices$", each.address) for each in LISTS)
    assert all(re.match(r"read \d{4}-\d\d-\d\d|\d+\.\d+\.\d+ as installed", each.read) for each in LISTS)
    assert len({(case.list_name, case.what, case.model, case.at_us) for case in ALL}) == len(ALL)
