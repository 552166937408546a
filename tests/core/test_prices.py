"""Price sets and their arithmetic: every cost is a sum of whole products, and says where each price came from."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.calls import Call, Quality
from collector.core.errors import PriceError
from collector.core.meters import METERS
from collector.core.money import parse_usd
from collector.core.outcomes import Outcome
from collector.core.prices import IN_TOKENS, PER_IMAGE, PriceBook, PriceSet, charge, line_items, price_usage
from collector.core.prices.book import Files
from collector.core.prices.entries import read_entry
from collector.core.prices.names import Names
from collector.core.prices.notices import image_notice

TURBO = PriceSet(
    model="openai/gpt-4-turbo",
    prices={"input": 10_000_000, "output": 30_000_000, "images_in": 14_450_000_000},
    images=PER_IMAGE,
    source="test",
)

counts = st.integers(min_value=0, max_value=10**9)
meters = st.dictionaries(st.sampled_from(list(METERS)), counts)
price_sets = st.builds(
    PriceSet,
    model=st.just("m"),
    prices=st.dictionaries(st.sampled_from(list(METERS)), st.integers(min_value=0, max_value=10**13)),
    images=st.sampled_from([PER_IMAGE, IN_TOKENS]),
    source=st.just("test"),
    minimum=st.none() | st.integers(min_value=0, max_value=10**13),
)


def test_gpt_4_turbo_with_two_images_costs_53_9_thousandths_of_a_dollar():
    """1,000 x $10/M + 500 x $30/M + 2 x $14.45/K = 0.01 + 0.015 + 0.0289."""
    assert price_usage({"input": 1_000, "output": 500, "images_in": 2}, TURBO).cost == 53_900_000_000


def test_line_items_show_the_products():
    items = line_items({"input": 1_000, "output": 500, "images_in": 2}, TURBO)
    assert [(i.meter, i.unit, i.quantity, i.unit_price, i.cost) for i in items] == [
        ("input", "token", 1_000, 10_000_000, 10_000_000_000),
        ("output", "token", 500, 30_000_000, 15_000_000_000),
        ("images_in", "image", 2, 14_450_000_000, 28_900_000_000),
    ]


@given(meters, price_sets)
def test_price_times_quantity_is_cost_on_every_line_item(usage, price_set):
    assert all(i.unit_price * i.quantity == i.cost for i in line_items(usage, price_set))


@given(meters, price_sets)
def test_line_items_add_up_to_the_cost(usage, price_set):
    priced = price_usage(usage, price_set)
    if priced.cost is not None:
        assert sum(item.cost for item in line_items(usage, price_set)) == priced.cost
        assert {meter for meter, n in usage.items() if n} <= {item.meter for item in line_items(usage, price_set)}


@given(st.lists(meters, max_size=6), price_sets)
def test_items_of_summed_meters_are_the_sums_of_the_items(usages, price_set):
    total: Counter[str] = Counter()
    for usage in usages:
        total.update(usage)
    summed: Counter[str] = Counter()
    for usage in usages:
        summed.update({item.meter: item.cost for item in line_items(usage, price_set)})
    assert {item.meter: item.cost for item in line_items(total, price_set)} == dict(summed)


@given(price_sets)
def test_a_set_survives_its_plain_form_with_its_id(price_set):
    again = PriceSet.from_plain(price_set.to_plain())
    assert again == price_set
    assert again.id == price_set.id


def test_an_id_changes_with_what_is_charged_and_not_with_the_day_it_was_read():
    ids = {
        TURBO.id,
        PriceSet(model="openai/gpt-4-turbo", prices=TURBO.prices, source="test", images=IN_TOKENS).id,
        PriceSet(model="openai/gpt-4-turbo", prices=TURBO.prices, source="test", images=PER_IMAGE, tier="flex").id,
        PriceSet(model="openai/gpt-4-turbo", prices={**TURBO.prices, "input": 1}, source="test", images=PER_IMAGE).id,
    }
    assert len(ids) == 4
    read = PriceSet(
        model="openai/gpt-4-turbo", prices=TURBO.prices, source="test", images=PER_IMAGE, checked="2026-01-01", until=9
    )
    assert read.id == TURBO.id
    assert len(TURBO.id) == 24


@pytest.mark.parametrize(
    ("meter", "giver"),
    [
        ("reasoning", "output"),
        ("cache_read", "input"),
        ("cache_write_5m", "input"),
        ("cache_write_1h", "input"),
        ("image_in_tokens", "input"),
        ("cache_read_image", "input"),
    ],
)
def test_a_meter_without_a_price_takes_its_parents_and_says_so(meter, giver):
    [item] = line_items({meter: 7}, PriceSet(model="m", prices={"input": 3, "output": 5}, source="test"))
    assert item.cost == 7 * {"input": 3, "output": 5}[giver]
    assert item.rule == f"at the price of {giver}"


def test_nearer_kinds_come_before_fresh_input():
    listed = PriceSet(model="m", prices={"input": 100, "cache_read": 10, "cache_write_5m": 125}, source="test")
    assert price_usage({"cache_read_image": 1}, listed).cost == 10
    assert price_usage({"cache_write_1h": 1}, listed).cost == 125
    pictures = PriceSet(model="m", prices={"input": 100, "cache_read": 10, "image_in_tokens": 160}, source="test")
    assert price_usage({"cache_read_image": 1}, pictures).cost == 160


@pytest.mark.parametrize("meter", ["audio_in", "audio_out", "image_out_tokens", "video_in", "cache_read_audio"])
def test_a_parentless_meter_without_a_price_makes_the_call_unpriced_naming_the_unit(meter):
    priced = price_usage({"input": 10, meter: 1}, TURBO)
    assert priced.cost is None
    assert priced.unpriced_reason == f"no price per token of {meter} for openai/gpt-4-turbo"
    assert price_usage({"input": 10, meter: 0}, TURBO).cost == 100_000_000


def test_free_is_zero_and_no_price_is_none():
    free = PriceSet(model="m:free", prices={"input": 0, "output": 0}, source="test")
    assert price_usage({"input": 5, "output": 5}, free).cost == 0
    assert price_usage({"input": 5}, PriceSet(model="m", prices={"output": 1}, source="test")).cost is None


def test_function_calls_are_never_charged_and_searches_only_where_priced():
    usage = {"input": 1, "tool_calls": 9, "web_searches": 3, "server_tool_calls": 2}
    assert price_usage(usage, TURBO).cost == 10_000_000
    searching = PriceSet(
        model="m", prices={"input": 1, "web_searches": 10_000_000_000, "tool_calls": 77}, source="test"
    )
    assert price_usage(usage, searching).cost == 1 + 3 * 10_000_000_000


def test_image_tokens_are_covered_by_the_price_per_image_and_images_by_the_tokens_otherwise():
    usage = {"input": 235, "image_in_tokens": 765, "images_in": 1}
    assert price_usage(usage, TURBO).cost == 235 * 10_000_000 + 14_450_000_000
    in_tokens = PriceSet(model="m", prices=TURBO.prices, source="test")
    assert price_usage(usage, in_tokens).cost == 1_000 * 10_000_000
    assert {i.meter: i.rule for i in line_items(usage, in_tokens)}["images_in"] == (
        "counted in tokens, not charged by image"
    )


def test_the_notice_says_what_images_add_and_how_to_change_it():
    notice = image_notice(TURBO, "openai", {"input": 1_000, "images_in": 2})
    assert notice is not None
    assert "0.0289 USD for 2 images" in notice
    assert 'images = "in tokens"' in notice
    assert image_notice(TURBO, "openai", {"input": 235, "image_in_tokens": 765, "images_in": 1}) is None
    assert image_notice(TURBO, "anthropic", {"images_in": 1}) is None


def _call(**fields):
    stated = {"id": "0" * 32, "source": "test", "started_at": 0, "outcome": Outcome.OK, "model": "m"}
    return Call(**{**stated, "quality": Quality.EXACT, **fields})


def _book(**fields):
    return PriceBook([Files("test", [PriceSet(model="m", source="test", **fields)], Names())])


@pytest.mark.parametrize("outcome", ["refused", "caller_fault", "rate_limited", "provider_fault"])
def test_a_failed_call_without_usage_costs_nothing_even_if_its_request_held_images(outcome):
    call = _call(outcome=Outcome(outcome), quality=Quality.NONE, meters={"images_in": 2})
    charged = charge(call, _book(prices={"input": 1, "images_in": 10**9}, images=PER_IMAGE))
    assert (charged.cost, charged.price_set, charged.unpriced_reason) == (0, None, None)


@pytest.mark.parametrize("outcome", ["ok", "cancelled", "interrupted", "unknown"])
def test_any_other_call_without_usage_is_unpriced(outcome):
    charged = charge(_call(outcome=Outcome(outcome), quality=Quality.NONE), _book(prices={"input": 1}))
    assert (charged.cost, charged.unpriced_reason) == (None, "no usage was reported")


def test_the_cost_of_a_failed_call_follows_its_usage():
    call = _call(outcome=Outcome.PROVIDER_FAULT, quality=Quality.PARTIAL, meters={"input": 3})
    assert charge(call, _book(prices={"input": 5})).cost == 15


def test_a_response_cache_hit_costs_nothing():
    book = _book(prices={"input": 5, "requests": 10**9}, minimum=10**10)
    assert charge(_call(meters={"input": 0, "output": 0}), book).cost == 0


def test_a_price_per_request_is_a_line_of_quantity_one():
    charged = charge(_call(meters={"input": 100}), _book(prices={"input": 5, "requests": 12_000_000_000}))
    assert charged.cost == 500 + 12_000_000_000
    assert charged.price_set is not None
    items = {i.meter: (i.quantity, i.cost) for i in line_items(charged.meters, charged.price_set)}
    assert items == {"input": (100, 500), "requests": (1, 12_000_000_000)}


def test_a_minimum_is_a_set_of_its_own_with_one_line_of_quantity_one():
    book = _book(prices={"input": 5}, minimum=1_000)
    above, below = charge(_call(meters={"input": 201}), book), charge(_call(meters={"input": 199}), book)
    assert (above.cost, below.cost) == (1_005, 1_000)
    assert above.price_set is not None
    assert below.price_set is not None
    assert above.price_set.id != below.price_set.id
    items = line_items(below.meters, below.price_set)
    assert [(i.meter, i.quantity, i.unit_price, i.rule) for i in items] == [
        ("input", 199, 0, "covered by the minimum"),
        ("requests", 1, 1_000, "listed"),
    ]


@given(counts, st.integers(min_value=1, max_value=10**12))
def test_with_a_minimum_the_line_items_still_add_up(tokens, minimum):
    charged = charge(_call(meters={"input": tokens}), _book(prices={"input": 5}, minimum=minimum))
    assert charged.price_set is not None
    assert sum(i.cost for i in line_items(charged.meters, charged.price_set)) == charged.cost
    assert charged.cost == (max(tokens * 5, minimum) if tokens else 0)


def test_an_amount_in_usd_is_exact_however_large():
    assert parse_usd("123456789012345678.000000000001") == 123456789012345678_000000000001


def test_a_listed_price_is_rounded_half_even_once_and_its_text_kept():
    entry = read_entry({"model": "m", "input_usd_per_m": "0.0000025", "output_usd_per_m": "0.0000015"}, "test")
    assert entry.prices == {"input": 2, "output": 2}
    assert entry.listed == {
        "input": "0.0000025 USD per 1,000,000, rounded to 0.000000000002 USD",
        "output": "0.0000015 USD per 1,000,000, rounded to 0.000000000002 USD",
    }
    whole = read_entry({"model": "m", "input_usd_per_m": "0.000002"}, "test")
    assert whole.listed == {"input": "0.000002 USD per 1,000,000"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "names no model"),
        ({"model": "m"}, "no price of a unit is stated"),
        ({"model": "m", "input_usd_per_m": -1}, "input_usd_per_m = -1 is refused"),
        ({"model": "m", "input_usd_per_m": 0.1}, "0.1 is not a decimal number"),
        ({"model": "m", "input_usd_per_m": True}, "True is not a decimal number"),
        ({"model": "m", "input_usd_per_m": "ten"}, "'ten' is not a decimal number"),
        ({"model": "m", "input_usd_per_k": 1}, "'input_usd_per_k' is not a key"),
        ({"model": "m", "input_usd_per_m": 1, "hours": ["25:00-26:00"]}, "'25:00-26:00' is not a window"),
        ({"model": "m", "input_usd_per_m": 1, "hours": ["08:00-08:00"]}, "empty"),
        ({"model": "m", "input_usd_per_m": 1, "from": "yesterday"}, "from = 'yesterday' is not a date"),
        ({"model": "m", "input_usd_per_m": 1, "images": "per pixel"}, "'per pixel' is not a rule"),
        ({"model": "m", "input_usd_per_m": 1, "days": ["monday"]}, "'monday'. is not a list of days"),
        ({"model": "m", "input_usd_per_m": 1, "images": "per image"}, "needs image_usd_per_k"),
        ({"model": "m", "input_usd_per_m": 1, "above_tokens": -5}, "-5 is not a number of tokens"),
    ],
)
def test_a_wrong_entry_is_refused_with_the_value_that_is_wrong(entry, said):
    with pytest.raises(PriceError, match=said):
        read_entry(entry, "prices.toml")
