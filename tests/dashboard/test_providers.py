"""The providers' page: its frames from hand-made rows, and the whole page."""

from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

import pytest
from streamlit.testing.v1 import AppTest

from collector.core.outages import Outage
from collector.core.periods import parse_day, parse_period
from collector.core.uptime import Uptime
from dashboard.frames import axis as axes
from dashboard.frames import model, outages, providers, uptime
from dashboard.frames.outages import Out
from dashboard.frames.uptime import Tally
from tests.dashboard.ledgers import NOW
from tests.tables import instant

Tab = Callable[..., AppTest]
DAY = parse_day("2026-10-01")
START_S = instant("2026-10-02T06:00") // 1_000_000


class Tried(NamedTuple):
    at: int
    group: str
    ok: int
    provider_fault: int = 0
    rate_limited: int = 0
    probe_ok: int = 0
    probe_fault: int = 0


@pytest.fixture
def three_days() -> axes.Axis:
    return axes.day_axis(parse_period("2026-10-01..2026-10-04", "UTC", NOW), NOW)


def test_outages_are_found_by_provider_the_newest_first() -> None:
    rows = [Tried(0, "a", 0, 20), Tried(300, "a", 0, 20), Tried(600, "a", 20), Tried(900, "b", 1, 20)]
    found = outages.found(rows, "5m")
    assert found == [Out("b", Outage(900, 1_200, 1, 20)), Out("a", Outage(0, 600, 0, 40))]
    assert outages.says(found, "5m").startswith("2 outages, 15 min in all; each lasts from the first")
    assert outages.says([], "1h").startswith("None; an outage lasts")


def test_a_listed_outage_has_start_end_length_and_whom_it_hit() -> None:
    out = Out("", Outage(START_S, START_S + 7_500, 1, 19))
    (line,) = outages.outage_table([out], lambda _: (12, 9), "Europe/Berlin", NOW).to_dict("records")
    assert line == {
        "Provider": "no provider",
        "Start": "Fri 2 Oct 2026, 08:00 +02:00",
        "End": "Fri 2 Oct 2026, 10:05 +02:00",
        "Length": "2 h 5 min",
        "Attempts ok": "1 of 20",
        "Calls hit": "12",
        "Calls rescued": "9",
    }
    running = outages.outage_table([out], lambda _: (0, 0), "UTC", (START_S + 60) * 1_000_000)
    assert (running["End"][0], running["Calls hit"][0]) == ("still out", "not kept")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 min"), (300, "5 min"), (3_600, "1 h"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h")]
)
def test_lengths_are_read_in_two_units(seconds: int, words: str) -> None:
    assert outages.length(seconds) == words


def test_an_outage_is_drawn_where_it_was_on_an_axis_of_days(three_days: axes.Axis) -> None:
    out, before = Out("p", Outage(START_S, START_S + 43_200, 0, 20)), Out("p", Outage(0, 300, 0, 20))
    assert outages.spans([out, before], three_days, "UTC") == [
        outages.Span(0.75, 1.25, "Fri 2 Oct 2026", "p was out for 12 h")
    ]


def test_the_board_has_the_worst_first() -> None:
    rows = [Tried(0, "good", 50), Tried(0, "bad", 1, 20), Tried(0, "new", 1, rate_limited=1)]
    standing = model.standings(rows, [], 60)
    table = providers.board(standing)
    assert list(table["Provider"]) == ["bad", "good", "new"]
    assert list(table["Status"]) == ["○ down", "● normal", "◌ too few attempts"]
    assert list(table["Rate limited 1d"]) == ["0.00%", "0.00%", "50.00%"]
    assert providers.board_says(standing).startswith("1 down, 1 normal, 1 too few attempts, by the shortest")


def test_the_share_of_429_is_of_all_attempts_and_a_gap_where_few(three_days: axes.Axis) -> None:
    by_provider = {"p": {DAY: Tally(15, 0, 5), DAY + 1: Tally(3, 0, 3)}}
    frame = providers.limited(by_provider, three_days, ["p"])
    assert [None if v != v else v for v in frame["value"]] == [25.0, None, None]
    assert frame["text"][0] == "25.00%, 5 of 20"
    assert providers.limited_says(by_provider) == "8 of 26 attempts were answered with 429, 30.76%"
    assert list(providers.limited_table(by_provider, three_days)["Rate limited"]) == [3, 5]


def test_probes_are_apart_from_traffic() -> None:
    rows = [Tried(0, "p", 7, probe_ok=3, probe_fault=1), Tried(0, "q", 7)]
    probed = providers.probes(rows)
    assert probed == {"p": {0: Tally(3, 1)}}
    assert providers.probe_table(probed).to_dict("records") == [
        {"Provider": "p", "Probes ok": "3 of 4", "Ok": 3, "Failed": 1}
    ]
    assert uptime.tallies(rows)["p"][0].uptime == Uptime(7, 0)


def test_errors_state_their_share_and_what_was_not_stated() -> None:
    class Failed(NamedTuple):
        provider: str | None
        http_status: int | None
        error_type: str | None
        outcome: str
        attempts: int
        last_at: int

    rows: list[Any] = [Failed("p", 503, "overloaded", "provider_fault", 3, NOW), Failed(None, None, None, "ok", 1, NOW)]
    table = providers.error_table(rows, "UTC")
    assert list(table["Share"]) == ["75.00%", "25.00%"]
    assert table.iloc[1][["Provider", "HTTP status", "Error type"]].tolist() == ["no provider", "–", "–"]


def test_a_report_needs_100_attempts_for_a_figure_and_counts_outages() -> None:
    by_provider = {"p": {DAY: Tally(990, 10, 0)}, "q": {DAY: Tally(9, 1, 10)}}
    outs = [Out("p", Outage(0, 600, 0, 20)), Out("p", Outage(9_000, 9_300, 0, 20))]
    first, second = providers.sla_table(by_provider, outs, {}).to_dict("records")
    assert (first["Uptime"], first["Outages"], first["Out for"], first["Longest"]) == ("99%", 2, "15 min", "10 min")
    assert (second["Uptime"], second["Outages"], second["Rate-limited share"]) == ("no data", 0, "50.00%")
    assert second["Latency p50"] == "no data"


def test_months_go_back_over_the_year() -> None:
    assert providers.months(date(2026, 2, 28), 4) == ["2026-02", "2026-01", "2025-12", "2025-11"]


def test_a_provider_that_is_out_is_down_on_the_board_and_in_the_list_with_its_calls(tab: Tab) -> None:
    app = tab("down all day", "providers", period="24h")
    board, outs = (table.value for table in app.dataframe[:2])
    assert board["Status"][0] == "○ down"
    assert outs.iloc[0][["Provider", "End", "Calls hit", "Calls rescued"]].tolist() == ["acme", "still out", "199", "0"]


def test_the_report_is_of_the_month_that_the_address_names(tab: Tab) -> None:
    app = tab("demo", "providers", month="2026-09")
    assert "2026-09: whole days in UTC" in "\n".join(part.value for part in app.caption)
    table = app.dataframe[len(app.dataframe) - 1].value
    assert list(table["Provider"]) == ["steady", "flaky", "in-house"]
    assert "No attempts at a provider in this month." in [
        part.value for part in tab("demo", "providers", month="2025-12").text
    ]


@pytest.mark.parametrize("page", ["overview", "spend"])
def test_outages_are_drawn_over_spend(tab: Tab, page: str) -> None:
    app = tab("down all day", page, period="7d")
    spend = next(chart for chart in app.get("plotly_chart") if "chart_spend" in chart.proto.id)
    assert "acme was out for" in spend.proto.spec


def test_outages_at_once_are_shaded_once() -> None:
    those = [outages.Span(start, end, "", "") for start, end in ((2.0, 3.0), (0.5, 1.0), (2.5, 2.75), (3.0, 4.0))]
    assert outages.shades(those) == [(0.5, 1.0), (2.0, 4.0)]
