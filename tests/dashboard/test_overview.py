"""Overview on ledgers of every kind, run as Streamlit runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Node

from collector.core.periods import days_period, parse_day
from collector.core.selection import Selection, from_query
from collector.ledger.engines import open_ledger
from collector.ledger.questions import ask, spend
from collector.settings import Limits
from dashboard import texts
from tests.dashboard.ledgers import HOSTILE, LEDGERS

Tab = Callable[..., AppTest]


def cards(app: AppTest) -> dict[str, str]:
    """The numbers of the cards by name."""
    return dict(zip(_texts(app, "dt/span[1]"), _texts(app, "dd[@class='value']"), strict=True))


def changes(app: AppTest) -> list[str]:
    """How cards say that they moved."""
    return _texts(app, "dd[@class='change']/span")


def _texts(app: AppTest, path: str) -> list[str]:
    lists = [ElementTree.fromstring(part.value) for part in app.html if part.value.startswith("<dl")]
    return [str(found.text) for cards in lists for found in cards.findall(f"div/{path}")]


def figures(app: AppTest) -> dict[str, Any]:
    """The figures by key, as they are sent to the browser."""
    charts = app.get("plotly_chart")
    return {chart.proto.id.rsplit("-", 1)[-1]: json.loads(chart.proto.spec) for chart in charts}


def words(app: AppTest) -> str:
    """All that stands on the page as text of its own."""
    parts = [*app.title, *app.subheader, *app.caption, *app.text, *app.markdown, *app.info, *app.code]
    return "\n".join(str(part.value) for part in parts).replace("\\$", "$")


@pytest.mark.parametrize("name", LEDGERS)
def test_it_opens_on_every_ledger(tab: Tab, name: str) -> None:
    app = tab(name)
    assert not app.exception
    assert app.title[0].value == "Overview"
    assert ("Demo data" in words(app)) is (name == "demo")


def test_the_demo_shows_all_charts_with_a_table_behind_each(tab: Tab) -> None:
    app = tab("demo")
    assert list(figures(app)) == [
        "chart_tokens",
        "chart_spend",
        "chart_providers",
        "chart_router",
        "chart_outcomes",
        "chart_images",
    ]
    assert [box.label for box in app.expander] == ["Table"] * 6
    assert len(app.dataframe) == 2  # the models, and the calls without a price
    assert all(chart.proto.alt for chart in app.get("plotly_chart"))


def test_a_table_is_sent_when_it_is_opened_and_has_the_exact_numbers(tab: Tab) -> None:
    app = tab("one call")
    assert not [table for table in app.dataframe if "Input tokens" in table.value]
    app.session_state["table_tokens"] = True
    app.run()
    (opened,) = (table.value for table in app.dataframe if "Input tokens" in table.value)
    assert opened.iloc[0].to_dict() == {
        "Day": "Tue 20 Oct 2026 (so far)",
        "Input tokens": 1_000,
        "of them cached": 0,
        "Output tokens": 500,
        "of them reasoning": 0,
        "Calls": 1,
    }


def test_the_cards_are_the_ledgers_sums(tab: Tab, ledger: Callable[[str], Path]) -> None:
    app = tab("demo", period="2026-10-01..2026-10-15", zone="Europe/Berlin")
    engine = open_ledger(f"sqlite:///{ledger('demo') / 'callmeter.db'}", read_only=True)
    period = days_period(parse_day("2026-10-01"), parse_day("2026-10-15"), "Europe/Berlin")
    rows = ask.rows(engine, spend.spend_per_day(Selection(), period, ask.declared_zones(engine), Limits()))
    engine.dispose()
    total = sum(row.cost_picousd for row in rows)
    assert total > 0
    assert cards(app)["Spend"] == texts.short_usd(total)
    assert f"Exactly {texts.usd(total)}" in words(app)
    assert cards(app)["Calls"] == texts.short_count(sum(row.calls for row in rows))


def test_one_call_is_shown_to_the_last_digit_and_as_no_data_of_uptime(tab: Tab) -> None:
    app = tab("one call")
    assert cards(app) == {
        "Spend": "$0.0539",
        "Tokens": "1,500",
        "Calls": "1",
        "Uptime, routed": "no data",
        "Uptime, first try": "no data",
        "Unpriced tokens": "0",
        "Waiting calls": "0",
    }
    notes = [note["text"] for note in figures(app)["chart_providers"]["layout"]["annotations"]]
    assert notes == ["<b>openai</b>", "no data (1 of 1 ok)"]


def test_today_is_marked_as_not_over(tab: Tab) -> None:
    bar = figures(tab("one call"))["chart_tokens"]["data"][0]
    assert bar["x"] == ["Tue 20 Oct 2026 (so far)"]
    assert bar["marker"]["opacity"] == [0.5]


def test_unpriced_is_its_own_total_and_no_spend(tab: Tab) -> None:
    app = tab("unpriced only")
    assert cards(app)["Spend"] == "no price"
    assert cards(app)["Unpriced tokens"] == texts.short_count(49 * 1_200)
    assert "No spend: 49 calls without a price" in words(app)
    assert "Calls without a price" in [title.value for title in app.subheader]
    assert "A missing price goes into" in words(app)
    assert "prices.toml" in words(app)
    assert "no price is missing" not in words(app)


def test_a_provider_that_was_down_all_day_is_not_hidden(tab: Tab) -> None:
    app = tab("down all day")
    assert cards(app)["Uptime, routed"] == cards(app)["Uptime, first try"] == "0%"
    assert "1 of 1 provider down in the last bucket, so far" in words(app)
    assert "199 provider fault" in words(app)


def test_an_empty_ledger_says_what_to_run(tab: Tab) -> None:
    app = tab("empty")
    assert "No calls in this period (30d)" in words(app)
    assert app.code[0].value == "callmeter up\nexport OPENAI_BASE_URL=http://127.0.0.1:8484/v1"
    assert not cards(app)


def test_without_a_ledger_it_says_what_to_run_and_makes_none(tab: Tab, tmp_path: Path) -> None:
    app = tab(tmp_path)
    assert not app.exception
    assert f"there is no ledger at {tmp_path / 'callmeter.db'}" in words(app)
    assert app.code[0].value == "callmeter demo"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("group", ["model", "provider", "app", "key", "user"])
def test_names_from_outside_are_plain_text_everywhere(tab: Tab, group: str) -> None:
    app = tab("hostile names", group=group, model=[HOSTILE[1], HOSTILE[4]])
    assert not app.exception
    for figure in figures(app).values():
        assert "<script" not in json.dumps(figure)
        assert "<img" not in json.dumps(figure)
    in_markdown = [str(part.value) for part in (*app.markdown, *app.caption, *app.subheader)]
    in_markdown += [part.value for part in app.html]
    found = [text for text in in_markdown if "evil" in text]
    assert found == [f"Only model `{HOSTILE[1]}` or `{HOSTILE[4]}`"]


def test_the_url_chooses_period_zone_group_and_filters(tab: Tab) -> None:
    query = {"period": "7d", "zone": "Asia/Kathmandu", "group": "model", "provider": ["steady", "in-house"]}
    app = tab("demo", **query)
    assert app.button_group(key="period").value == "7d"
    assert app.selectbox(key="zone").value == "Asia/Kathmandu"
    assert app.multiselect(key="provider").value == ["steady", "in-house"]
    names = {bar["name"] for bar in figures(app)["chart_tokens"]["data"]}
    assert {"openai/gpt-4-turbo", "acme/house-model"} < names
    assert "Only provider `steady` or `in-house`" in words(app)


def test_a_change_is_against_the_period_that_the_url_names(tab: Tab) -> None:
    before, year, nothing = "previous period", "52 weeks earlier", "nothing"
    told = {name: changes(tab("demo", compare=name, period="7d")) for name in (before, year, nothing)}
    assert len(told[before]) == 6
    assert told[before][0].endswith("%")
    assert told[year] == told[nothing]  # nothing is known of then
    assert not any(change.endswith("%") for change in told[nothing])


def test_the_running_month_is_carried_to_its_end_and_says_how(tab: Tab) -> None:
    app = tab("demo", period="month")
    assert "for the month by 31 Oct: each day to come as the mean of its weekday in the last 4 weeks" in words(app)
    assert figures(app)["chart_spend"]["data"][1]["x"][-1] == "Sat 31 Oct 2026"
    assert "for the month" not in words(tab("one call"))


def test_every_model_links_to_its_page(tab: Tab) -> None:
    table = tab("demo").dataframe[0].value
    assert table["Model"][0] == "openai/gpt-4o"
    assert table["Page"][0] == "/model?model=openai%2Fgpt-4o&zone=UTC"


def test_what_is_chosen_is_in_the_link_of_the_csv_and_comes_back_from_it(tab: Tab) -> None:
    app = tab("demo", period="90d", zone="Europe/Berlin", app=["https://reports.example.com"], group="app")
    address = app.get("link_button")[0].proto.url
    path, _, query = address.partition("?")
    assert path == "/export.csv"
    assert from_query(parse_qsl(query)) == Selection(
        "90d", "Europe/Berlin", apps=("https://reports.example.com",), group="app"
    )
    assert dict(parse_qsl(query))["by"] == "day,model,provider,app"


def test_another_period_and_zone_are_taken_from_the_controls(tab: Tab) -> None:
    app = tab("demo")
    month = cards(app)["Calls"]
    app.button_group(key="period").set_value("7d").run()
    app.selectbox(key="zone").set_value("Europe/Berlin").run()
    assert not app.exception
    assert cards(app)["Calls"] != month
    assert "period=7d&zone=Europe%2FBerlin&" in app.get("link_button")[0].proto.url


def test_another_split_is_taken_from_the_control(tab: Tab) -> None:
    app = tab("demo")
    app.button_group(key="split").set_value("provider").run()
    assert not app.exception
    assert app.query_params["group"] == "provider"
    assert "steady" in {bar["name"] for bar in figures(app)["chart_tokens"]["data"]}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"period": "banana"}, "'banana' is not a period"),
        ({"zone": "Mars/Olympus"}, "'Mars/Olympus' is not a time zone"),
        ({"group": "colour"}, "group='colour' cannot be grouped by"),
        ({"period": "9000d"}, "longer than 1100 days"),
    ],
)
def test_an_address_that_cannot_be_shown_names_what_is_wrong(tab: Tab, query: dict[str, str], said: str) -> None:
    app = tab("demo", **query)
    assert not app.exception
    assert said in words(app)
    assert not cards(app)


def test_uptime_says_which_filter_it_does_not_know(tab: Tab) -> None:
    app = tab("demo", app=["https://reports.example.com"])
    assert "uptime is known by model and provider, not by app: take that filter away" in words(app)
    assert not any("Uptime" in name for name in cards(app))
    assert list(figures(app)) == ["chart_tokens", "chart_spend", "chart_outcomes", "chart_images"]


def test_a_day_of_ten_minute_buckets(tab: Tab) -> None:
    app = tab("demo", period="24h")
    strip = figures(app)["chart_providers"]
    assert len(strip["layout"]["xaxis"]["categoryarray"]) == 24 * 6 - 2  # the running hour has half an hour to go


def test_a_filter_moves_nothing_so_that_a_browser_redraws_what_it_has(tab: Tab) -> None:
    def places(part: Node) -> list[tuple[int, ...]]:
        """Where the cards and the charts are, as ways from the top."""
        if isinstance(part, Block):
            return [(n, *rest) for n, child in part.children.items() for rest in places(child)]
        return [()] if part.type in ("html", "plotly_chart") else []

    whole, filtered = tab("demo"), tab("demo", model="openai/gpt-4o")
    assert "Only model" in words(filtered)
    assert len(places(whole.main)) == 1 + len(figures(whole))
    assert places(filtered.main) == places(whole.main)


def test_what_is_on_the_screen_already_changes_with_its_first_chart_first(
    tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    for name in ("html", "plotly_chart", "multiselect"):
        monkeypatch.setattr(st, name, _noting(sent, name, getattr(st, name)))
    app = tab("demo")
    assert [*dict.fromkeys(sent)] == ["html", "multiselect", "plotly_chart"]
    sent.clear()
    app.multiselect(key="model").set_value(["openai/gpt-4o"]).run()
    assert [*dict.fromkeys(sent)] == ["html", "plotly_chart", "multiselect"]
    assert sent[:3] == ["html", "plotly_chart", "html"]


def _noting(sent: list[str], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **options: Any) -> Any:
        sent.append(name)
        return call(*args, **options)

    return noted
