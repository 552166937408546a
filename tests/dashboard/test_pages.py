"""Every page on a ledger of every kind, run as Streamlit runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from dashboard.routes import ROUTES, WITH_CHARTS
from tests.dashboard.ledgers import HOSTILE, LEDGERS

Tab = Callable[..., AppTest]
PAGES: dict[str, dict[str, Any]] = {
    "overview": {"group": "app"},
    "model": {},
    "providers": {},
    "calls": {},
    "call": {},
    "spend": {"group": "app"},
    "apps": {},
    "why": {},
    "finance": {},
    "collector": {},
    "alerts": {},
}
MODELS = {"demo": "openai/gpt-4o", "unpriced only": "acme/x", "down all day": "m", "hostile names": HOSTILE[0]}


def opened(tab: Tab, page: str, name: str) -> AppTest:
    """A page on one of LEDGERS; the pages of one model or call are of such that are there."""
    if page == "model":
        return tab(name, page, model=MODELS.get(name, "openai/gpt-4-turbo"))
    if page == "call":
        listed = tab(name, "calls").dataframe
        return tab(name, page, id=listed[0].value["Call"][0].rsplit("id=")[-1] if listed else "00" * 16)
    return tab(name, page, **PAGES[page])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", LEDGERS)
def test_it_opens(tab: Tab, page: str, name: str) -> None:
    app = opened(tab, page, name)
    assert not app.exception
    assert app.title[0].value == page.capitalize()


@pytest.mark.parametrize("page", ["overview", "model", "providers", "calls", "spend", "apps", "why"])
def test_without_calls_it_says_what_brings_some_and_with_filters_to_choose_others(tab: Tab, page: str) -> None:
    (command,) = (box.value for box in tab("empty", page).code)
    assert command == "callmeter up\nexport OPENAI_BASE_URL=http://127.0.0.1:8484/v1"
    if page != "model":  # it has one model in place of filters
        assert "No calls here" in tab("one call", page, provider="nobody").markdown[0].value


@pytest.mark.parametrize("page", PAGES)
def test_names_from_outside_are_plain_text(tab: Tab, page: str) -> None:
    app = opened(tab, page, "hostile names")
    for chart in app.get("plotly_chart"):
        assert "<script" not in json.dumps(json.loads(chart.proto.spec))
        assert "<img" not in chart.proto.spec
    in_markdown = [*app.markdown, *app.caption, *app.subheader, *app.title, *app.metric]
    shown = [*(str(part.value) for part in in_markdown), *(part.value for part in app.html)]
    assert [text for text in shown if any(name in text for name in HOSTILE) and "`" not in text] == []


LIVE_S = {"overview": 15, "model": 30, "providers": 15, "calls": 5, "spend": 15, "apps": 15, "alerts": 30}
LIVE_S |= {"collector": 30}


@pytest.mark.parametrize("page", PAGES)
def test_what_traffic_changes_comes_by_itself_and_nothing_else_is_asked_again(
    tab: Tab, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every: list[float] = []

    def fragment(shown: Any = None, *, run_every: float, key: str) -> Any:
        every.append(run_every)
        return shown or (lambda its: its)

    monkeypatch.setattr(st, "fragment", fragment)
    assert not tab("demo", page, **PAGES[page]).exception
    assert every == ([LIVE_S[page]] if page in LIVE_S else [])


@pytest.mark.parametrize("page", PAGES)
def test_every_chart_has_words_for_those_who_do_not_see_it_and_a_table(tab: Tab, page: str) -> None:
    app = opened(tab, page, "demo")
    charts = app.get("plotly_chart")
    assert all("The table below has all numbers" in chart.proto.alt for chart in charts)
    assert len([box for box in app.expander if box.label == "Table"]) >= len(charts)


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in PAGES)])
def test_a_page_with_charts_reads_what_draws_them_with_itself_and_only_such_a_page(path: str) -> None:
    html = TestClient(Starlette(routes=ROUTES)).get(path).text
    (static,) = (Path(root) / "static" for root in st.__path__)
    (drawing,) = static.glob("static/js/PlotlyChart.*.js")
    assert (f'import("./{drawing.relative_to(static)}")' in html) == (path in WITH_CHARTS)
    assert html.index("<title>callmeter</title>") < html.index("/static/js/index.")
