"""Alerts, budgets, incidents and jobs on the screen: frames from hand-made rows, and the page on a ledger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from streamlit.testing.v1 import AppTest

from collector.alerts import look
from collector.alerts.rules import Look, Rule
from collector.core.alerts import Finding, Found, Level
from collector.core.budgets import budget
from collector.core.money import PICODOLLARS
from collector.core.selection import Selection
from collector.core.told import Incident
from collector.ledger.engines import open_ledger
from collector.settings import load_settings
from dashboard.figures import bars
from dashboard.frames import alerts, axis
from dashboard.sessions import Who
from tests.dashboard.ledgers import HOSTILE, HOUR_US, NOW
from tests.ledger.test_told import tell

Tab = Callable[..., AppTest]
ALL, SHOP = budget("all", "day", "2"), budget("app:shop", "month", "100")


class Row(NamedTuple):
    level: str = "warning"
    rule: str = "provider"
    text: str = "openai is down"
    began_at: int = NOW
    ended_at: int | None = None


def test_an_alert_says_since_and_until_when() -> None:
    table = alerts.alert_table([Row(), Row(ended_at=NOW + HOUR_US)], "Europe/Berlin")
    assert list(table["Until"]) == ["it lasts", "Tue 20 Oct 2026, 18:30 +02:00"]
    assert alerts.alerts_say([Row(), Row(ended_at=NOW)]) == "1 alert lasts, 1 alert ended in the last 7 days"
    assert alerts.banner([Row(), Row(ended_at=NOW), Row(level="info")]) == ["openai is down"]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(), [ALL]),
        (Selection(apps=("shop",)), [SHOP]),
        (Selection(apps=("shop", "blog")), []),
        (Selection(apps=("shop",), models=("m",)), []),
        (Selection(users=("shop",)), []),
    ],
)
def test_a_budget_is_shown_with_exactly_what_it_limits(selection: Selection, found: list[Any]) -> None:
    assert alerts.fitting([ALL, SHOP], selection) == found


def test_a_days_budget_is_a_line_and_every_budget_a_sentence() -> None:
    assert alerts.line([SHOP, ALL]) == 2.0
    assert alerts.line([SHOP]) is None
    assert (
        alerts.budgets_say([alerts.Spent(SHOP, 25 * PICODOLLARS)])
        == "25.00% of this month's budget of $100.00 is spent"
    )
    day = axis.Axis((1, 2), ("one", "two"), (), None, "a day")
    fig = bars.stacked(alerts.pd.DataFrame({"label": [], "series": [], "value": [], "text": []}), day, ["Spend"])
    bars.add_line(fig, day, 2.0, alerts.BUDGET, "$2")
    assert (list(fig.data[-1].x), list(fig.data[-1].y), fig.data[-1].mode) == (["one", "two"], [2.0, 2.0], "lines")


def test_failed_jobs_come_first() -> None:
    class Run(NamedTuple):
        name: str
        started_at: int = NOW
        ended_at: int | None = NOW + 1_500_000
        rows: int | None = 3
        error: str | None = None

    table = alerts.job_table([Run("a"), Run("b", error="it broke", rows=None), Run("c", ended_at=None)], "UTC")
    assert list(table["Job"]) == ["b", "a", "c"]
    assert list(table["Took"]) == ["1500 ms", "1500 ms", "not ended"]
    assert alerts.jobs_say([Run("a"), Run("b", error="x")]) == "2 jobs ran; 1 failed the last time"


def test_the_page_shows_what_fired_and_names_from_outside_are_plain_text(tab: Tab, tmp_path: Path) -> None:
    name = HOSTILE[1]
    told = Incident("https://s.example", "i", name, name, NOW, NOW, NOW, url="https://s.example/i")
    engine = tell(tmp_path, told, table="2026-10-20T12:00 openai m 1000/500 ok", now_us=NOW)
    (tmp_path / "callmeter.toml").write_text('[[budgets]]\nscope = "all"\nperiod = "day"\nlimit_usd = 0.1\n')
    settings = load_settings(tmp_path, config=tmp_path / "callmeter.toml", environ={})
    finding = Finding("unpriced", name, f"{name} has no price", Level.WARNING)
    look(Look(settings, engine, NOW), [Rule("unpriced", "", lambda at: Found([finding]))])
    with engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO job_runs VALUES (1, 'drain', {NOW}, {NOW}, 1, NULL)")
    engine.dispose()
    app = tab(tmp_path, "alerts", Who("ann", "viewer"))
    assert not app.exception
    assert [each.value for each in app.subheader] == ["Alerts", "Budgets", "Who is told", "Incidents", "Jobs"]
    assert name in str(app.dataframe[0].value["What"][0])
    assert list(app.dataframe[1].value["Share"]) == ["25.00%"]
    assert name not in "".join(each.value for each in (*app.caption, *app.markdown))
    beside = tab(tmp_path, "providers")
    assert "Incidents" not in [each.value for each in beside.subheader]  # no status page is set
    first = tab(tmp_path, "overview")
    assert not first.exception
    assert any(f"{name} has no price" == each.value for each in first.text)
    assert any(
        "25.00% of this day's budget of $0.10 is spent" in each.value.replace("\\", "") for each in first.caption
    )


def test_a_page_with_nothing_on_it_says_what_to_do(tab: Tab, tmp_path: Path) -> None:
    open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}", create=True).dispose()
    app = tab(tmp_path, "alerts")
    assert not app.exception
    assert any("None lasts" in each.value for each in app.text)
    assert any("[[budgets]]" in each.value for each in app.code)
    assert any("callmeter collect" in each.value for each in app.code)


def test_incidents_stand_beside_the_uptime_that_was_measured(tab: Tab, tmp_path: Path) -> None:
    told = Incident("https://s.example", "i", "openai", "slow answers", NOW, NOW, NOW)
    tell(tmp_path, told, table="2026-10-20T12:00 openai m 1000/500 ok", now_us=NOW).dispose()
    page = '[[status_pages]]\nprovider = "openai"\nurl = "https://s.example"\n'
    (tmp_path / "callmeter.toml").write_text(page)
    app = tab(tmp_path, "providers")
    assert not app.exception
    assert "Incidents" in [each.value for each in app.subheader]
    assert any(
        "Incident" in each.value.columns and each.value["Incident"][0] == "slow answers" for each in app.dataframe
    )
    for name in ("overview", "spend"):
        drawn = next(it.proto.spec for it in tab(tmp_path, name).get("plotly_chart") if "chart_spend" in it.proto.id)
        assert "openai told of slow answers" in drawn
