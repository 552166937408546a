"""Every page on a ledger of every kind, run as Streamlit runs it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.ledgers import HOSTILE, LEDGERS

Tab = Callable[..., AppTest]
PAGES: dict[str, dict[str, Any]] = {
    "overview": {"group": "app"},
    "model": {},
    "providers": {},
    "calls": {},
    "spend": {"group": "app"},
    "apps": {},
    "why": {},
    "finance": {},
    "collector": {},
    "alerts": {},
}
MODELS = {"demo": "openai/gpt-4o", "unpriced only": "acme/x", "down all day": "m", "hostile names": HOSTILE[0]}


def opened(tab: Tab, page: str, name: str) -> AppTest:
    """A page on one of LEDGERS; the model's page is of a model that has calls there."""
    query = {"model": MODELS.get(name, "openai/gpt-4-turbo")} if page == "model" else PAGES[page]
    return tab(name, page, **query)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", LEDGERS)
def test_it_opens(tab: Tab, page: str, name: str) -> None:
    app = opened(tab, page, name)
    assert not app.exception
    assert app.title[0].value == page.capitalize()


@pytest.mark.parametrize("page", PAGES)
def test_names_from_outside_are_plain_text(tab: Tab, page: str) -> None:
    app = opened(tab, page, "hostile names")
    for chart in app.get("plotly_chart"):
        assert "<script" not in json.dumps(json.loads(chart.proto.spec))
        assert "<img" not in chart.proto.spec
    in_markdown = [*app.markdown, *app.caption, *app.subheader, *app.title, *app.metric]
    shown = [str(part.value) for part in in_markdown]
    assert [text for text in shown if any(name in text for name in HOSTILE) and "`" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_chart_has_words_for_those_who_do_not_see_it_and_a_table(tab: Tab, page: str) -> None:
    app = opened(tab, page, "demo")
    charts = app.get("plotly_chart")
    assert all("The table below has all numbers" in chart.proto.alt for chart in charts)
    assert len([box for box in app.expander if box.label == "Table"]) >= len(charts)
