"""Every price set made from genai-prices charges what the package itself computes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot

from collector.core.money import PICODOLLARS
from collector.core.prices import price_usage
from collector.core.prices.book import PriceBook
from collector.core.prices.checks import problems
from collector.ledger.book.cards import load_names
from collector.ledger.book.genai import GenaiPrices

EDGES = (0, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000)
CONTEXTS = (*[({}, None)] * 8, ({}, None), ({"processing": "batch"}, "batch"), ({"service_tier": "flex"}, "flex"))


@pytest.fixture(scope="module")
def listed():
    return GenaiPrices(load_names())


def _cases(count):
    random = Random(1)
    models = [(p, m) for p in get_snapshot().providers for m in p.models]
    for provider, model in random.sample(models, count):
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(690 * 1440))
        read, written = random.randrange(1_000), random.randrange(1_000)
        fresh = max(0, random.choice(EDGES) + random.choice((0, 1, 5_000)) - read - written)
        yield provider, model, moment, (fresh, read, written, random.randrange(9_000)), random.choice(CONTEXTS)


def _theirs(provider, model, moment, counts, context):
    fresh, read, written, out = counts
    usage = Usage(
        input_tokens=fresh + read + written, cache_read_tokens=read, cache_write_tokens=written, output_tokens=out
    )
    return model.calc_price(usage, provider, genai_request_timestamp=moment, price_context=context or None).total_price


def test_2000_random_calls_cost_what_the_package_says(listed):
    book = PriceBook([listed], load_names())
    compared = 0
    for provider, model, moment, counts, (context, tier) in _cases(2_000):
        fresh, read, written, out = counts
        at_us = int(moment.timestamp()) * 1_000_000
        found = book.find(model.id, provider.id, at_us, tier, fresh + read + written)
        if not hasattr(found, "prices") or "requests" in found.prices:
            continue
        usage = {"input": fresh, "cache_read": read, "cache_write_5m": written, "output": out}
        ours = price_usage(usage, found).cost
        theirs = _theirs(provider, model, moment, counts, context) * PICODOLLARS
        if ours is not None and found.model == model.id:
            assert abs(Decimal(ours) - theirs) <= _rounding(found, usage), (provider.id, model.id, moment, tier)
            compared += 1
    assert compared > 1_200


def _rounding(price_set, usage):
    """Half a picodollar a unit where a listed price is not whole picodollars, as its text says; else nothing."""
    whole = all("rounded" not in text for text in price_set.listed.values())
    return 0 if whole else Decimal(sum(usage.values())) / 2


def test_no_two_sets_of_the_list_contradict_each_other(listed):
    assert problems(list(listed.every()), load_names()) == []


def test_every_set_has_an_id_of_its_own(listed):
    ids = [s.id for s in listed.every()]
    assert len(ids) > 2_500
    assert len(set(ids)) == len(ids)


def test_a_model_is_described_as_the_package_does_at_its_author_or_elsewhere(listed):
    theirs = {(p.id, m.id): m for p in get_snapshot().providers for m in p.models}
    at_author = theirs["openai", "gpt-4o"]
    for name in ("openai/gpt-4o", "openai/gpt-4o-2024-08-06"):
        found = listed.about(name)
        assert (found.name, found.description) == (at_author.name, at_author.description)
        assert found.context_tokens == at_author.context_window
    elsewhere = listed.about("meta-llama/llama-3.3-70b-instruct")  # its author sells none
    assert elsewhere.context_tokens in {
        m.context_window for (_, name), m in theirs.items() if "llama-3.3" in name.lower()
    }
    assert listed.about("nobody/knows") is None
