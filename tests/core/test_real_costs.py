"""What every real usage object costs by our book, beside what genai-prices made of it when it was recorded."""

from decimal import Decimal

import pytest

from collector.core.meters import INPUT_TOKENS, METERS
from collector.core.money import PICODOLLARS
from collector.core.prices import PriceBook, Unpriced, line_items, price_usage
from collector.core.prices.book import Files
from collector.core.usage import find_usage, read_usage
from collector.ledger.book.cards import load_names
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.load import shipped_sets
from tests.real_usages import CASES, real_usages

AT_US = 1_782_864_000_000_000  # 2026-07-01, about when the newest were recorded


@pytest.fixture(scope="module")
def book():
    names = load_names()
    return PriceBook([Files("data/prices", shipped_sets(), names), GenaiPrices(names)], names)


def _listed_differences():
    """(provider, model) -> cause."""
    lines = (CASES / "real_costs_differences.txt").read_text().splitlines()
    rows = (line.split(maxsplit=2) for line in lines if line.strip() and not line.startswith("#"))
    return {(provider, model): cause for provider, model, cause in rows}


def _cost(entry, book):
    """Input and output cost in USD, as the package sums them; a text where there is none."""
    meters = read_usage(entry.place.shape, find_usage(entry.place.shape, entry.body)).meters
    size = sum(n for meter, n in meters.items() if meter in INPUT_TOKENS)
    found = book.find(entry.model, entry.place.expected.split("/")[0], AT_US, prompt_tokens=size)
    if isinstance(found, Unpriced):
        return found.reason
    if reason := price_usage(meters, found).unpriced_reason:
        return reason
    costs = dict.fromkeys(("in", "out", ""), 0)
    for item in line_items(meters, found):
        costs[METERS[item.meter].direction] += item.cost
    return Decimal(costs["in"]) / PICODOLLARS, Decimal(costs["out"]) / PICODOLLARS


def test_every_cost_is_that_of_genai_prices_but_for_the_listed_differences(book):
    priced = [entry for entry in real_usages() if entry.input_cost is not None]
    differ = {
        (entry.place.expected.split("/")[0], entry.model)
        for entry in priced
        if _cost(entry, book) != (entry.input_cost, entry.output_cost)
    }
    assert differ == _listed_differences().keys()
    assert len(priced) == 655


def test_a_difference_concerns_few_entries(book):
    listed = _listed_differences()
    priced = [entry for entry in real_usages() if entry.input_cost is not None]
    equal = [entry for entry in priced if _cost(entry, book) == (entry.input_cost, entry.output_cost)]
    outside = [e for e in priced if (e.place.expected.split("/")[0], e.model) not in listed]
    assert [e.name for e in outside if e not in equal] == []
    assert len(equal) >= 620
