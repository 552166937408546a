"""The book: which of many prices a call is charged by."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.calls import Call, Quality
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook, PriceSet, Unpriced, charge, price_usage
from collector.core.prices.book import Files
from collector.core.prices.checks import problems
from collector.core.prices.entries import instant_of, read_entry
from collector.core.prices.names import Names, is_snapshot, normal_tier, undated

ALIASES = Names(
    models={"gpt-x": "lab/gpt-x", "lab/gpt-x": "lab/gpt-x", "gpt-x-2026-01-01": "lab/gpt-x"},
    aliases={"lab/gpt-x": ("gpt-x", "gpt-x-2026-01-01")},
    providers={"my-azure": "azure"},
)


def entry(model="gpt-x", price=1, **fields):
    return read_entry({"model": model, "input_usd_per_m": price, **fields}, "prices.toml")


def book(*entries, **options):
    return PriceBook([Files("prices.toml", entries, ALIASES)], ALIASES, **options)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def price(found):
    """USD per million input tokens of what was found, or the reason."""
    return found.reason if isinstance(found, Unpriced) else found.prices["input"] // 1_000_000


@pytest.mark.parametrize("name", ["gpt-x", "lab/gpt-x", "GPT-X", "gpt-x-2026-01-01"])
def test_a_model_is_found_by_its_id_and_every_alias(name):
    assert price(book(entry("lab/gpt-x", 7)).find(name, "lab", 0)) == 7


@pytest.mark.parametrize("name", ["gpt-x-mini", "gpt", "gpt-x-", "lab/gpt-x-2", "other/gpt-x", "gpt-x-2026-13-01"])
def test_a_name_that_only_begins_alike_is_unpriced(name):
    assert price(book(entry("lab/gpt-x", 7)).find(name, "lab", 0)) == f"no price for {name} at lab"


def test_the_price_at_the_provider_comes_before_the_one_for_any_provider():
    prices = book(entry(price=1), entry(price=2, provider="azure"), entry(price=3, provider="My-Azure"))
    assert price(prices.find("gpt-x", "other", 0)) == 1
    assert price(prices.find("gpt-x", "azure", 0)) == 2
    assert price(prices.find("gpt-x", "my-azure", 0)) == 3


def test_a_provider_known_by_its_address_has_the_prices_of_its_list():
    assert price(book(entry(price=2, provider="azure")).find("gpt-x", "my-azure", 0)) == 2


def test_without_a_provider_only_prices_for_any_provider_count():
    assert price(book(entry(price=2, provider="azure")).find("gpt-x", None, 0)) == (
        "no price for gpt-x (no provider is stated)"
    )
    assert price(book(entry(price=1)).find("gpt-x", None, 0)) == 1


def test_a_contract_of_one_key_is_that_keys_price():
    prices = book(entry(price=10), entry(price=8, key="team-a"))
    assert [price(prices.find("gpt-x", "lab", 0, key=key)) for key in (None, "team-a", "team-b")] == [10, 8, 10]


def test_a_contract_of_a_key_comes_before_the_list_price_of_a_provider():
    prices = book(entry(price=10, provider="lab"), entry(price=8, key="team-a"))
    assert [price(prices.find("gpt-x", "lab", 0, key=key)) for key in (None, "team-a")] == [10, 8]


def contract_and_lists(contract, *listed):
    return PriceBook(
        [Files("prices.toml", [contract], ALIASES, is_list=False), Files("list", listed, ALIASES)], ALIASES
    )


def test_a_contract_says_what_the_list_asks_for_the_same():
    contract = entry(price=8, output_usd_per_m=30)
    found = contract_and_lists(contract, entry(price=10, output_usd_per_m=30)).find("gpt-x", "lab", 0)
    assert (found.unit_prices["input"], found.list_unit_prices["input"]) == (8_000_000, 10_000_000)
    assert found.unit_prices["output"] == found.list_unit_prices["output"] == 30_000_000
    assert (found.list_source, contract.list_unit_prices) == ("prices.toml", contract.unit_prices)
    assert PriceSet.from_plain(found.to_plain()) == found
    assert found.id != contract.id


def test_the_list_beside_a_contract_is_the_one_of_that_day_size_and_hour():
    prices = contract_and_lists(
        entry(price=8),
        entry(price=10, until="2026-10-01"),
        entry(price=12, **{"from": "2026-10-01"}),
        entry(price=20, above_tokens=1_000),
    )
    days = [prices.find("gpt-x", "lab", at(day)).list_unit_prices["input"] for day in ("2026-09-30", "2026-10-01")]
    assert days == [10_000_000, 12_000_000]
    large = prices.find("gpt-x", "lab", at("2026-10-01"), prompt_tokens=1_001)
    assert (large.unit_prices["input"], large.list_unit_prices["input"]) == (8_000_000, 20_000_000)
    assert prices.find("gpt-x", "lab", at("2026-10-01"), prompt_tokens=1_001) is large


def test_a_contract_at_the_price_of_the_list_or_without_one_stays_as_it_is():
    contract = entry(price=8)
    for listed in (entry(price=8), entry("other", 9), entry(price=9, tier="batch"), entry(price=9, provider="azure")):
        assert contract_and_lists(contract, listed).find("gpt-x", "lab", 0) == contract


def test_the_list_is_read_by_the_image_rule_of_the_contract():
    contract = entry(price=8, image_usd_per_k=10, images="in tokens")
    found = contract_and_lists(contract, entry(price=10, image_usd_per_k=14)).find("gpt-x", "lab", 0)
    assert (found.unit_prices["images_in"], found.list_unit_prices["images_in"]) == (0, 0)


def test_a_tier_that_the_provider_does_not_list_is_looked_up_for_any_provider():
    prices = book(entry(price=10, provider="lab"), entry(price=5, tier="batch"))
    assert [price(prices.find("gpt-x", "lab", 0, tier)) for tier in (None, "batch")] == [10, 5]


def test_the_served_model_counts_and_where_nobody_knows_it_the_asked_one():
    prices = book(entry("asked", 1), entry("served", 2))
    assert price(prices.find("asked", "lab", 0, served_model="served")) == 2
    assert price(prices.find("asked", "lab", 0, served_model="unheard-of")) == 1
    assert price(prices.find("unheard-of", "lab", 0, served_model="unheard-of-too")) == "no price for unheard-of at lab"


def test_a_snapshot_of_what_was_asked_does_not_leave_the_users_own_price():
    own, shipped = entry("gpt-y", 2), entry("gpt-y-2026-08-06", 5)
    prices = PriceBook([Files("own", [own], Names()), Files("shipped", [shipped], Names())])
    assert price(prices.find("gpt-y", "lab", 0, served_model="gpt-y-2026-08-06")) == 2
    assert price(prices.find("gpt-y-2026-08-06", "lab", 0)) == 5


def test_an_endpoints_own_price_holds_whatever_name_the_answer_bears():
    own = Files("callmeter.toml", [entry("asked", 9, provider="lab")], Names())
    listed = Files("list", [entry("served", 2)], Names())
    assert price(PriceBook([listed], own=own).find("asked", "lab", 0, served_model="served")) == 9


def test_a_router_may_serve_another_model_which_is_then_the_price():
    own = Files("callmeter.toml", [entry("asked", 9, provider="lab")], Names())
    listed = Files("list", [entry("served", 2)], Names())
    routed = PriceBook([listed], own=own, routers=frozenset({"lab"}))
    assert price(routed.find("asked", "lab", 0, served_model="served")) == 2
    assert price(routed.find("asked", "lab", 0, served_model="asked-2026-01-01")) == 9
    assert price(routed.find("asked", "lab", 0)) == 9


def test_an_endpoint_may_say_how_its_images_are_charged():
    prices = PriceBook(
        [Files("list", [entry(image_usd_per_k=10)], Names())], image_rules={("lab", "gpt-x"): "in tokens"}
    )
    usage = {"input": 1, "images_in": 1}
    assert price_usage(usage, prices.find("gpt-x", "lab", 0)).cost == 1_000_000
    assert price_usage(usage, prices.find("gpt-x", "other", 0)).cost == 1_000_000 + 10_000_000_000


def test_sources_are_asked_in_order_and_a_set_never_mixes_them():
    first = read_entry({"model": "gpt-x", "input_usd_per_m": 1}, "first")
    second = read_entry({"model": "gpt-x", "input_usd_per_m": 5, "output_usd_per_m": 6}, "second")
    prices = PriceBook([Files("first", [first], Names()), Files("second", [second], Names())])
    assert prices.find("gpt-x", "lab", 0) == first
    assert price_usage({"output": 1}, first).cost is None


@pytest.mark.parametrize(
    ("tokens", "expected"), [(0, 1), (1, 1), (200_000, 1), (200_001, 2), (500_000, 2), (500_001, 3)]
)
def test_a_band_begins_with_the_token_above_its_edge(tokens, expected):
    prices = book(entry(price=1), entry(price=2, above_tokens=200_000), entry(price=3, above_tokens=500_000))
    assert price(prices.find("gpt-x", "lab", 0, prompt_tokens=tokens)) == expected


def test_the_band_is_chosen_by_all_input_tokens_cached_ones_included():
    prices = book(entry(price=1), entry(price=2, above_tokens=100))
    below = Call("0", "test", 0, Outcome.OK, model="gpt-x", meters={"input": 40, "cache_read": 60, "output": 900})
    above = Call("0", "test", 0, Outcome.OK, model="gpt-x", meters={"input": 40, "cache_read": 61, "images_in": 9})
    assert [price(prices.for_call(call)) for call in (below, above)] == [1, 2]


@pytest.mark.parametrize(
    ("time", "expected"),
    [("16:29:59", 4), ("16:30:00", 1), ("23:59:59", 1), ("00:00:00", 1), ("00:29:59", 1), ("00:30:00", 4)],
)
def test_hours_may_wrap_midnight(time, expected):
    prices = book(entry(price=4), entry(price=1, hours=["16:30-00:30"]))
    assert price(prices.find("gpt-x", "lab", at(f"2025-03-01T{time}"))) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-16T01:00:00", 2),  # a Friday
        ("2026-10-16T04:00:00", 1),
        ("2026-10-17T01:00:00", 1),
        ("2026-10-18T03:59:59", 1),
        ("2026-10-19T00:59:59", 1),
        ("2026-10-19T01:00:00", 2),
    ],
)
def test_hours_may_hold_on_some_days_of_the_week(moment, expected):
    peak = entry(price=2, hours=["01:00-04:00"], days=["mon", "tue", "wed", "thu", "fri"])
    assert price(book(entry(price=1), peak).find("gpt-x", "lab", at(moment))) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("2026-09-30T23:59:59", 10), ("2026-10-01T00:00:00", 8), ("2026-10-31T23:59:59", 8), ("2026-11-01T00:00:00", 6)],
)
def test_a_price_cut_holds_from_its_day_on(moment, expected):
    prices = book(
        entry(price=10), entry(price=8, **{"from": "2026-10-01"}), entry(price=6, **{"from": "2026-11-01T00:00:00Z"})
    )
    assert price(prices.find("gpt-x", "lab", at(moment))) == expected


def test_outside_the_dates_of_every_entry_there_is_no_price():
    prices = book(entry(**{"from": "2026-10-01", "until": "2026-11-01"}))
    assert price(prices.find("gpt-x", "lab", at("2026-10-31T23:59:59"))) == 1
    assert price(prices.find("gpt-x", "lab", at("2026-11-01T00:00:00"))) == (
        "no price in force at that time for gpt-x at lab"
    )


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        (None, 10),
        ("default", 10),
        ("standard", 10),
        ("on_demand", 10),
        ("auto", 10),
        ("batch", 5),
        ("Batch", 5),
        ("ON_DEMAND_FLEX", 6),
        ("scale", "no price for service tier scale of gpt-x at lab"),
    ],
)
def test_the_tier_that_was_served_is_charged_and_an_unknown_one_is_not_guessed(tier, expected):
    prices = book(entry(price=10), entry(price=5, tier="batch"), entry(price=6, tier="flex"))
    assert price(prices.find("gpt-x", "lab", 0, tier)) == expected


def test_tiers_in_words_and_dates_in_names():
    assert [normal_tier(t) for t in ("", "STANDARD", "priority", None)] == [None, None, "priority", None]
    assert [undated(n) for n in ("a-2026-01-31", "a-20260131", "a-2026-02-31", "a-mini")] == [
        "a",
        "a",
        "a-2026-02-31",
        "a-mini",
    ]
    assert is_snapshot("gpt-4o-2024-08-06", "openai/gpt-4o")
    assert not is_snapshot("gpt-4o-mini", "gpt-4o")


@given(st.integers(0, 10**12), st.integers(1, 100), st.integers(1, 100))
def test_a_price_added_later_changes_no_earlier_call(started_at, old, new):
    cut = instant_of("1970-01-08")
    call = Call(
        "0", "test", started_at, Outcome.OK, model="gpt-x", quality=Quality.EXACT, meters={"input": 3, "output": 0}
    )
    before = charge(call, book(entry(price=old)))
    after = charge(call, book(entry(price=old), entry(price=new, **{"from": "1970-01-08"})))
    if started_at < cut:
        assert (after.cost, after.price_set.id) == (before.cost, before.price_set.id)
    else:
        assert after.cost == 3 * new * 1_000_000


def test_names_from_outside_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("collector.core.prices.book._MAX_ROUTES", 100)
    prices = book(entry(price=1))
    for n in range(1_000):
        prices.find(f"model-{n}", "lab", 0)
    assert len(prices._routes) <= 100
    assert price(prices.find("gpt-x", "lab", 0)) == 1


def found(*entries, others=()):
    return problems(entries, ALIASES, others)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (
            [entry(price=1), entry("lab/gpt-x", 2)],
            "two prices hold at the same time: gpt-x (prices.toml) and lab/gpt-x",
        ),
        (
            [entry(until="2026-10-02"), entry(**{"from": "2026-10-01"})],
            "two prices hold at the same time: gpt-x, until 2026-10-02 (prices.toml) and gpt-x, from 2026-10-01",
        ),
        (
            [entry(until="2026-10-01"), entry(**{"from": "2026-10-02"})],
            "no price holds from 2026-10-01 to 2026-10-02, between gpt-x, until 2026-10-01 (prices.toml) and gpt-x",
        ),
        ([entry(**{"from": "2026-10-02", "until": "2026-10-02"})], "ends before it starts"),
        (
            [entry(price=1), entry(hours=["08:00-12:00"]), entry(hours=["11:00-13:00"])],
            "two prices hold in the same hours: gpt-x, 08:00-12:00 UTC (prices.toml) and gpt-x, 11:00-13:00 UTC",
        ),
        ([entry(hours=["08:00-12:00"]), entry(hours=["12:00-07:59"])], "no price holds in the other hours"),
        ([entry(days=["sat", "sun"])], "no price holds in the other hours beside gpt-x, on sat, sun"),
        (
            [entry(), entry(hours=["08:00-12:00"]), entry(days=["mon"])],
            "two prices hold in the same hours: gpt-x, 08:00-12:00 UTC (prices.toml) and gpt-x, on mon",
        ),
        ([entry(above_tokens=200_000)], "no price holds up to 200,000 tokens beside gpt-x, above 200,000 tokens"),
        (
            [entry(price="10"), entry(price="0.01", tier="batch")],
            "input differs by 1,000 times or more: 0.00000001 and 0.00001 USD per token: gpt-x, tier batch",
        ),
        ([entry(price="0.01", output_usd_per_m=30)], "output and input differ by 1,000 times or more"),
    ],
)
def test_entries_that_contradict_each_other_are_named(entries, said):
    assert any(said in problem for problem in found(*entries)), found(*entries)


def test_an_entry_beside_another_source_may_not_be_absurd():
    assert (
        "prices.toml) and gpt-x (list)"
        in found(entry(price="0.001"), others=[PriceSet(model="gpt-x", prices={"input": 10_000_000}, source="list")])[0]
    )


@pytest.mark.parametrize(
    "entries",
    [
        [entry(price=1), entry(price=2, provider="azure"), entry(price=3, key="k"), entry(price=4, tier="batch")],
        [entry(price=4), entry(price=1, hours=["16:30-00:30"])],
        [entry(hours=["00:00-12:00"]), entry(hours=["12:00-24:00"])],
        [entry(days=["sat", "sun"]), entry(days=["mon", "tue", "wed", "thu", "fri"])],
        [entry(), entry(**{"from": "2026-10-01"}), entry(**{"from": "2026-11-01"})],
        [entry(until="2026-10-01"), entry(**{"from": "2026-10-01"})],
        [entry(price=0), entry(price=10, provider="azure")],
    ],
)
def test_entries_that_share_out_the_calls_are_accepted(entries):
    assert found(*entries) == []
