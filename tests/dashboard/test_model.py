"""A model's page: its frames from hand-made rows, and the whole page on the demo."""

import json
import shlex
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from collector.core import histograms
from collector.core.meters import METERS
from collector.core.periods import Period, parse_day
from collector.core.prices import PriceSet
from collector.ledger.book import Card
from collector.ledger.questions.offers import Catalog, Offer
from collector.settings import Endpoint, load_settings
from dashboard.frames import axis as axes
from dashboard.frames import effective, model, samples, speed
from tests.dashboard.ledgers import HOSTILE, NOW, call
from tests.stored import store
from tests.tables import instant

Tab = Callable[..., AppTest]
NOW_S = NOW // 1_000_000
PRICE = PriceSet(
    model="m",
    prices={"input": 10_000_000, "output": 30_000_000, "images_in": 14_450_000_000, "cache_read": 5_000_000},
    source="test",
    images="per image",
)
CARD = Card(
    id="m",
    source="a page",
    checked=date(2026, 1, 1),
    created=date(2024, 4, 9),
    context_tokens=128_000,
    training_data="Dec 2023",
)


def row(**columns: Any) -> Any:
    """A row as the ledger's driver gives it: also by position."""

    class Row(SimpleNamespace):
        def __getitem__(self, n: int) -> Any:
            return list(self.__dict__.values())[n]

    return Row(**columns)


def tried(at: int, group: str, ok: int, fault: int = 0) -> Any:
    return row(at=at, group=group, ok=ok, provider_fault=fault, rate_limited=0)


def timed(at: int, group: str, *latencies: int) -> Any:
    data = histograms.to_bytes(histograms.of(latencies))
    return row(at=at, group=group, latency=data, first_token=None, throughput=None, times=1)


def test_the_head_states_what_the_card_and_the_list_say() -> None:
    assert dict(model.facts(CARD, [PRICE])) == {
        "Context, tokens": "128,000",
        "Input, $/M tokens": "$10",
        "Output, $/M tokens": "$30",
        "Images, $/K imgs": "$14.45",
        "Created": "9 Apr 2024",
        "Training data up to": "Dec 2023",
    }


def test_what_nobody_knows_reads_not_known() -> None:
    assert {fact.value for fact in model.facts(None, [])} == {"not known"}


def test_several_prices_are_a_range_and_pictures_that_are_tokens_say_so() -> None:
    dear = PriceSet(model="m", prices={"input": 12_500_000, "images_in": 5}, source="test")
    assert model.price_range([dear, PRICE], "input", 1_000_000) == "$10–$12.5"
    assert model.price_range([dear], "images_in", 1_000) == "as tokens"
    assert model.price_range([dear], "output", 1_000_000) == "not known"


def test_a_standing_looks_back_by_five_minutes_half_an_hour_and_a_day() -> None:
    cell = NOW_S // 300 * 300
    rows = [
        tried(cell, "p", 5),
        tried(cell - 300, "p", 4, 1),
        tried(cell - 1_800, "p", 10, 90),
        tried(cell - 80_000, "p", 900),
    ]
    (its,) = model.standings(rows, [timed(cell, "p", 100, 100)], NOW_S).values()
    assert {name: (t.ok, t.fault) for name, t in its.tallies.items()} == {
        "5m": (9, 1),
        "30m": (19, 91),
        "1d": (919, 91),
    }
    assert its.status == "degraded"
    assert its.speed.latency_ms.count == 2


def test_a_status_is_of_the_shortest_window_with_enough_attempts() -> None:
    (its,) = model.standings([tried(NOW_S - 10, "p", 1), tried(NOW_S - 9_000, "p", 0, 50)], [], NOW_S).values()
    assert its.status == "down"
    assert model.standings([], [timed(NOW_S, "q", 5)], NOW_S)["q"].status == "no data"


def test_a_provider_s_own_limits_come_before_the_card_s() -> None:
    endpoint = Endpoint(model="m", provider="p", context_tokens=4_096)
    table = model.offer_table([Offer("p", endpoint, PRICE), Offer("q", no_price="none")], {}, CARD)
    assert list(table["Context"]) == ["4,096", "128,000"]
    assert list(table["Max output"]) == ["not known", "not known"]
    assert list(table["Images, $/K"]) == ["$14.45", "not known"]
    assert list(table["Status"]) == ["– no data", "– no data"]


@pytest.mark.parametrize(
    ("name", "is_link"),
    [
        ("https://shop.example", True),
        ("http://shop.example:8080/a?b=c", True),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https://a.example/<b>", False),
        ("https://[::1", False),
        ("Shop", False),
        *((name, False) for name in HOSTILE),
    ],
)
def test_only_the_address_of_a_site_is_a_link(name: str, is_link: bool) -> None:
    assert model.web_address(name) == (name if is_link else "")


def test_the_stack_of_activity_is_the_whole() -> None:
    day = parse_day("2026-10-01")
    used = row(day=day, tokens_in=10, tokens_cached=4, tokens_out=7, tokens_reasoning=2, calls=1)
    axis = axes.day_axis(Period(instant("2026-10-01T00:00"), instant("2026-10-02T00:00")), NOW)
    frame = model.activity([used], axis)
    assert dict(zip(frame["series"], frame["value"], strict=True)) == dict(zip(model.SIDES, (6, 4, 5, 2), strict=True))
    assert model.activity_says([used]) == "10 prompt tokens, 4 of them cached; 7 completion tokens, 2 of them reasoning"


def test_paid_is_list_price_less_what_caches_save() -> None:
    meters = {meter.column: 0 for meter in METERS.values()}
    used = meters | {"input_tokens": 600, "cache_read_tokens": 400, "output_tokens": 100, "images_in": 2}
    sums = row(day=1, provider="p", price="a", unpriced=0, **used)
    unpriced = row(day=1, provider="p", price="", unpriced=1, **used)
    paid = effective.paid_by_provider([sums, unpriced], {"a": msgspec.json.encode(PRICE.to_plain()).decode()})
    table = effective.effective_table(paid, {"p": PRICE})
    line = table.iloc[0].to_dict()
    assert line["Input paid, $/M"] == "$8.00"  # 10 x 60% + 5 x 40%
    assert (line["Input listed, $/M"], line["Output paid, $/M"], line["Cached"]) == ("$10", "$30.00", "40.00%")
    assert str(line["Images, USD"]) == "0.0289"
    assert line["Tokens"] == 1_100
    assert effective.says(paid).startswith("$8.00 per M input tokens, caches included, and $30.00")


def test_percentiles_are_of_added_histograms_and_gaps_where_few_were_measured() -> None:
    axis = axes.time_axis(Period(0, 3 * 600 * 1_000_000), 600, "", NOW)
    cells = [timed(0, "p", *[100] * 9), timed(0, "p", 1_000), timed(600, "p", *[50] * 9)]
    frame = speed.lines(cells, axis, ["p"], "Whole call", "p50")
    assert [None if v != v else round(v, 3) for v in frame["value"]] == [0.098, None, None]
    assert list(frame["text"]) == ["98 ms", "no data", "no data"]
    found = speed.by_group(cells)
    assert found["p"].latency_ms.count == 19
    table = speed.table(found, "Provider")
    assert [table.iloc[0][name] for name in ("Provider", "Measure", "Measured calls")] == ["p", "Whole call", 19]
    assert speed.says(found, "Throughput", "p90") == "p90 of 0 measured calls: 90% of them were as slow or slower"


@pytest.mark.parametrize("name", ["openai/gpt-4-turbo", "a\"b'c\\d", *HOSTILE])
def test_sample_code_holds_any_name_as_data(name: str) -> None:
    for write in (samples.python_text, samples.python_image):
        code = write(name, "http://127.0.0.1:8484/v1")
        compile(code, "sample", "exec")
        assert json.dumps(name) in code
    for write in (samples.curl_text, samples.curl_image):
        words = shlex.split(write(name, "http://127.0.0.1:8484/v1"))
        assert words[1] == "http://127.0.0.1:8484/v1/chat/completions"
        assert json.loads(words[-1])["model"] == name


def test_fields_say_who_reads_them_where_anybody_states_it() -> None:
    assert "Read by" not in samples.field_table([Offer("p")])
    endpoint = Endpoint(model="m", provider="p", supported_parameters=("temperature",))
    table = samples.field_table([Offer("p", endpoint), Offer("q")]).set_index("Field")["Read by"]
    assert (table["temperature"], table["seed"], table["model"]) == ("p", "none that states it", "every provider")


def test_a_catalog_knows_cards_by_any_name_and_offers_settings_before_what_was_seen(tmp_path: Path) -> None:
    config = tmp_path / "callmeter.toml"
    config.write_text(
        '[providers.acme]\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[[endpoints]]\nmodel = "house"\nprovider = "acme"\ninput_usd_per_m = 2\noutput_usd_per_m = 4\n'
    )
    catalog = Catalog(load_settings(tmp_path, config=config, environ={}))
    card = catalog.known("gpt-4-turbo")
    assert card is not None
    assert card.id == "openai/gpt-4-turbo"
    assert catalog.known("nobody/knows") is None
    first, second = catalog.offers("house", ["elsewhere", "acme"], NOW)
    assert (first.provider, first.price and first.price.prices) == ("acme", {"input": 2_000_000, "output": 4_000_000})
    assert (second.provider, second.no_price) == ("elsewhere", "no price for house at elsewhere")
    assert {"house", "openai/gpt-4-turbo"} <= set(catalog.models())


def test_the_page_has_all_its_sections(tab: Tab) -> None:
    app = tab("demo", "model", model="openai/gpt-4-turbo", period="30d", uptime="90 d")
    titles = [part.value for part in app.subheader]
    assert titles == [
        "GPT-4 Turbo",
        "Providers",
        "Performance by provider",
        "Uptime across all providers",
        "Recent activity: tokens per day, 90 days",
        "Apps that use it",
        "What was paid, beside the list price",
        "Sample code",
        "What a request may hold",
    ]
    assert {card.label: card.value for card in app.metric}["Images, $/K imgs"] == "\\$14.45"
    assert len(app.get("plotly_chart")) == 3
    assert app.code[0].value == "openai/gpt-4-turbo"


@pytest.mark.parametrize(("span", "buckets"), [("24 h", 6 * 24 - 2), ("72 h", 72), ("90 d", 90)])
def test_uptime_is_in_ten_minutes_hours_or_days_with_both_lines(
    tab: Tab, span: str, buckets: int, tmp_path: Path
) -> None:
    store(tmp_path, (call(n, NOW - n, "m", "openai") for n in range(1, 21)), now_us=NOW).dispose()
    app = tab(tmp_path, "model", model="m", uptime=span)
    (chart,) = (it.proto for it in app.get("plotly_chart") if it.proto.id.endswith("chart_uptime"))
    figure = json.loads(chart.spec)
    assert len(figure["layout"]["xaxis"]["categoryarray"]) == buckets
    assert [line["name"] for line in figure["data"]] == ["With routing", "Without routing"]


def test_apps_of_this_week_or_month_have_rank_title_link_tokens_and_calls(tab: Tab) -> None:
    week, month = (
        next(
            table.value
            for table in tab("demo", "model", model="openai/gpt-4o", apps=span).dataframe
            if "Rank" in table.value
        )
        for span in ("This week", "This month")
    )
    assert list(week.columns) == ["Rank", "App", "Site", "Tokens", "Calls"]
    assert month["Calls"].sum() > week["Calls"].sum() > 0
    assert list(month["Tokens"]) == sorted(month["Tokens"], reverse=True)


def test_without_a_model_it_lists_them_and_with_an_unknown_one_it_says_what_is_not_known(tab: Tab) -> None:
    assert "Models with calls in this period" in [part.value for part in tab("demo", "model").subheader]
    app = tab("demo", "model", model="nobody/knows")
    assert {card.value for card in app.metric} == {"not known"}
    assert "No provider of this model is in callmeter.toml, and none was asked in 90 days." in [
        t.value for t in app.text
    ]


def test_the_model_is_chosen_in_the_address_and_on_the_page(tab: Tab) -> None:
    app = tab("demo", "model")
    app.selectbox(key="one_model").set_value("acme/house-model").run()
    assert app.query_params["model"] == "acme/house-model"
    assert app.code[0].value == "acme/house-model"
