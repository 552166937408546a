"""Price lists: components, overrides, what changed, what waits; a change is dated and holds for its provider only."""

from typing import Any

import msgspec
import pytest

from collector.core.meters import METERS
from collector.core.money import parse_usd
from collector.core.prices import PER_IMAGE, PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.core.prices.pulled import Standing, change, dated
from collector.core.told import IN_FORCE, WAITING, PulledPrice
from collector.intake.pulls.asking import Asker, Bounds
from collector.intake.pulls.listed import endpoints, models, price_sets
from tests.answering import Reply, answering

AT = 1_790_856_000_000_000
DAY_US = 86_400_000_000
BASE = {"prompt": "0.00001", "completion": "0.00003"}


def sets(**pricing: Any) -> tuple[PriceSet, ...]:
    return price_sets({**BASE, **pricing}, "m", "openrouter", "list")


def told(new: tuple[PriceSet, ...], before: PulledPrice | None = None, **fields: Any) -> PulledPrice | None:
    standing = Standing(tuple(map(PriceSet.from_plain, before.sets)), before.id) if before else Standing()
    return change("openrouter", "m", new, standing, AT, Names(), **fields)


def in_force(new: tuple[PriceSet, ...], before: PulledPrice | None = None) -> PulledPrice:
    found = told(new, before)
    assert found is not None
    assert found.state == IN_FORCE, found.why
    return found


def test_components_price_meters_in_whole_picodollars() -> None:
    (one,) = sets(image="0.01445", input_cache_read="0.000005", input_cache_write_1h="0.00002", web_search="0.01")
    assert one.prices == {
        "input": 10_000_000,
        "output": 30_000_000,
        "images_in": 14_450_000_000,
        "web_searches": 10_000_000_000,
        "cache_read": 5_000_000,
        "cache_write_1h": 20_000_000,
    }
    assert one.images == PER_IMAGE
    assert set(one.prices) <= set(METERS)


@pytest.mark.parametrize("blank", ["", None, "  "])
def test_a_blank_component_is_not_sold_and_never_free(blank: str | None) -> None:
    (one,) = sets(request=blank, input_cache_read=blank)
    assert one.prices == {"input": 10_000_000, "output": 30_000_000}


def test_nothing_for_pictures_means_that_their_tokens_are_charged() -> None:
    (one,) = sets(image="0", internal_reasoning="0", request="0")
    assert one.prices == {"input": 10_000_000, "output": 30_000_000, "requests": 0}
    assert one.images == "in tokens"


@pytest.mark.parametrize(
    "pricing",
    [
        {"prompt": "-1", "completion": "-1"},  # the auto router: it depends
        {"prompt": "", "completion": "0.1"},
        {"prompt": "cheap"},
        {"prompt": "1e999"},
        {"request": "NaN"},
        {"overrides": [{"prompt": "1"}]},
        {"overrides": [{"min_prompt_tokens": "many", "prompt": "1"}]},
        {"overrides": [{"utc_start": 100, "prompt": "1"}]},
        {"overrides": [{"utc_start": 2561, "utc_end": 100}]},
        {"overrides": 5},
        {"overrides": [7]},
    ],
)
def test_prices_that_cannot_be_used_make_no_set(pricing: dict[str, Any]) -> None:
    assert sets(**pricing) == ()


def test_overrides_hold_above_a_size_and_in_their_hours() -> None:
    base, long, night = sets(
        overrides=[
            {"min_prompt_tokens": 200_000, "prompt": "0.00002"},
            {"utc_start": 1630, "utc_end": 30, "prompt": "0.000005", "completion": "0.000015"},
        ]
    )
    assert (long.above_tokens, long.prices) == (200_000, {"input": 20_000_000, "output": 30_000_000})
    assert (night.hours, night.prices) == (((990, 30),), {"input": 5_000_000, "output": 15_000_000})
    book = PriceBook([Files("pulled", dated([in_force((base, long, night))]), Names())], Names())

    def price(hour: int, tokens: int) -> int:
        found = book.find("m", "openrouter", AT + (hour - 12 + 24) * 3_600_000_000, prompt_tokens=tokens)
        assert isinstance(found, PriceSet)
        return found.prices["input"]

    assert [price(12, 1), price(12, 200_000), price(12, 200_001), price(17, 1)] == [
        10_000_000, 10_000_000, 20_000_000, 5_000_000,
    ]  # fmt: skip


def test_lists_are_read_with_each_models_own_prices() -> None:
    listed = {
        "data": [{"id": "a/b", "pricing": BASE, "name": "x"}, {"id": "openrouter/auto", "pricing": {"prompt": "-1"}}]
    }
    with answering(lambda _: Reply(listed)) as server, Asker(server.url, {}, Bounds()) as asker:
        found = models(asker, "openrouter")
    assert [(each.model, len(each.sets)) for each in found] == [("a/b", 1), ("openrouter/auto", 0)]
    behind = [
        {"provider_name": "DeepInfra", "tag": "deepinfra/fp8", "pricing": BASE},
        {"provider_name": "Azure", "pricing": BASE},
    ]
    with answering(lambda _: Reply({"data": {"id": "a/b", "endpoints": behind}})) as server:
        with Asker(server.url, {}, Bounds()) as asker:
            assert [each.provider for each in endpoints(asker, "openrouter", "a/b")] == [
                "openrouter/deepinfra/fp8",
                "openrouter/Azure",
            ]
        assert server.asked[0].path == "/models/a/b/endpoints"


def test_a_first_price_is_in_force_and_the_same_again_is_no_news() -> None:
    first = in_force(sets())
    assert first.changes == (
        "m at openrouter (list): input not listed -> 0.00001 USD per token",
        "m at openrouter (list): output not listed -> 0.00003 USD per token",
    )
    assert told(sets(), first) is None


def test_a_change_is_a_dated_entry_with_its_difference() -> None:
    first = in_force(sets())
    second = msgspec.structs.replace(in_force(sets(prompt="0.000012"), first), read_at=AT + DAY_US)
    assert second.changes == ("m at openrouter (list): input 0.00001 -> 0.000012 USD per token",)
    before, after = dated([second, first])
    assert (before.starts, before.until, after.starts, after.until) == (AT, AT + DAY_US, AT + DAY_US, None)
    book = PriceBook([Files("pulled", [before, after], Names())], Names())
    assert [_input(book, AT + at) for at in (-1, 0, DAY_US - 1, DAY_US)] == [None, 10_000_000, 10_000_000, 12_000_000]
    assert _input(book, AT, "openai") is None  # for that provider only


def _input(book: PriceBook, at_us: int, provider: str = "openrouter") -> int | None:
    found = book.find("m", provider, at_us)
    return found.prices["input"] if isinstance(found, PriceSet) else None


def test_a_component_that_is_not_named_keeps_its_price() -> None:
    first = in_force(sets(input_cache_read="0.000005", image="0.01445"))
    assert told(sets(), first) is None
    second = in_force(sets(prompt="0.000011"), first)
    assert second.sets[0]["prices"]["cache_read"] == 5_000_000
    assert second.sets[0]["images"] == PER_IMAGE


@pytest.mark.parametrize(
    ("pricing", "why"),
    [
        ({"prompt": "0.00004"}, "input 0.00001 -> 0.00004 USD per token is a jump"),
        ({"prompt": "0.0000025"}, "input 0.00001 -> 0.0000025 USD per token is a jump"),
        ({"completion": "0"}, "output 0.00003 -> 0 USD per token is a jump"),
        ({"completion": "0.01"}, "output and input differ by 1,000 times or more"),
    ],
)
def test_an_absurd_jump_waits(pricing: dict[str, str], why: str) -> None:
    found = told(sets(**pricing), in_force(sets()))
    assert found is not None
    assert found.state == WAITING
    assert found.why.startswith(why)


@pytest.mark.parametrize("pricing", [{"prompt": "0.0000399"}, {"prompt": "0.0000026"}])
def test_a_large_change_that_is_no_jump_does_not_wait(pricing: dict[str, str]) -> None:
    in_force(sets(**pricing), in_force(sets()))


def test_a_first_price_that_is_absurd_beside_other_lists_waits() -> None:
    shipped = PriceSet(model="m", prices={"input": 10_000}, source="data/prices")
    found = told(sets(), beside=[shipped])
    assert found is not None
    assert (found.state, "differs by 1,000 times or more" in found.why) == (WAITING, True)


def test_a_model_that_is_not_listed_any_more_waits() -> None:
    first = in_force(sets())
    gone = told((), first)
    assert gone is not None
    assert (gone.state, gone.why, gone.sets) == (WAITING, "it is not listed any more", ())
    accepted = msgspec.structs.replace(gone, state=IN_FORCE, read_at=AT + DAY_US)
    (only,) = dated([first, accepted])
    assert only.until == AT + DAY_US


def test_what_waits_or_was_declined_is_not_told_again() -> None:
    first = in_force(sets())
    jump = told(sets(prompt="1"), first)
    assert jump is not None
    standing = Standing(tuple(map(PriceSet.from_plain, first.sets)), first.id, frozenset({jump.id}))
    assert change("openrouter", "m", sets(prompt="1"), standing, AT + 5, Names()) is None
    other = change("openrouter", "m", sets(prompt="2"), standing, AT + 5, Names())
    assert other is not None
    assert other.id != jump.id


def test_a_price_that_comes_back_is_a_new_entry() -> None:
    first = in_force(sets())
    second = in_force(sets(prompt="0.00002"), first)
    third = in_force(sets(), second)
    assert len({first.id, second.id, third.id}) == 3
    assert third.sets[0]["prices"]["input"] == parse_usd("0.00001")
