"""The address and the controls say the same, on every page."""

from collections.abc import Callable

import pytest
import streamlit as st
from streamlit.runtime.state.query_params_proxy import QueryParamsProxy
from streamlit.testing.v1 import AppTest

from dashboard.views import address

Tab = Callable[..., AppTest]


def test_a_page_takes_over_what_its_own_link_says_nothing_of() -> None:
    asked = {"period": ["7d"], "zone": [], "provider": []}
    kept = {"period": ["90d"], "zone": ["Asia/Kathmandu"], "provider": ["a", "b"]}
    names = ("period", "zone")
    assert address.carried(asked, kept, names) == {"period": ["7d"], "zone": ["Asia/Kathmandu"], "provider": []}


def test_what_was_chosen_goes_along_to_every_page_and_comes_back(tab: Tab) -> None:
    chosen = {"period": "7d", "zone": "Asia/Kathmandu", "provider": ["flaky"], "compare": "nothing", "group": "app"}
    app = tab("demo", **chosen)
    for page in ("providers", "model", "calls", "finance", "collector", "overview"):
        app.query_params.clear()
        app.switch_page(f"views/{page}.py").run()
        assert not app.exception
        assert app.query_params["period"] == "7d"
        assert app.query_params["zone"] == "Asia/Kathmandu"
        if page != "model":
            assert app.query_params["provider"] == "flaky"
            assert app.multiselect(key="provider").value == ["flaky"]
            assert app.selectbox(key="compare").value == "nothing"
            assert app.query_params["group"] == "app"


def test_a_control_changes_the_address_and_what_goes_without_saying_is_left_out(tab: Tab) -> None:
    app = tab("demo", period="7d")
    app.multiselect(key="app").set_value(["https://chat.example.com"]).run()
    assert app.query_params["app"] == "https://chat.example.com"
    app.button_group(key="period").set_value("30d").run()
    assert "period" not in app.query_params
    app.multiselect(key="app").set_value([]).run()
    assert app.query_params == {}


def test_a_changed_address_changes_the_controls(tab: Tab) -> None:
    app = tab("demo", period="7d", provider=["flaky"])
    app.query_params["period"] = "90d"
    del app.query_params["provider"]
    app.run()
    assert app.button_group(key="period").value == "90d"
    assert app.multiselect(key="provider").value == []


def test_the_model_of_its_page_is_no_filter_elsewhere(tab: Tab) -> None:
    app = tab("demo", "model", model="openai/gpt-4o")
    app.query_params.clear()
    app.switch_page("views/overview.py").run()
    assert app.multiselect(key="model").value == []
    app.multiselect(key="model").set_value(["openai/gpt-4o-mini"]).run()
    app.query_params.clear()
    app.switch_page("views/model.py").run()
    assert app.selectbox(key="one_model").value == "openai/gpt-4o-mini"


def test_a_page_that_a_click_cut_short_takes_over_what_was_chosen_all_the_same(
    tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tab("demo", period="7d")
    app.query_params.clear()
    with monkeypatch.context() as its:
        its.setattr(address, "write", lambda values: st.stop())
        app.switch_page("views/spend.py").run()
    app.run()
    assert app.query_params["period"] == "7d"
    assert app.button_group(key="period").value == "7d"


def test_a_choice_whose_telling_is_cut_short_is_told_afterwards(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    app = tab("demo")
    with monkeypatch.context() as its:
        its.setattr(QueryParamsProxy, "__setitem__", lambda *_: st.stop())
        app.button_group(key="split").set_value("app").run()
    app.run()
    assert app.query_params == {"group": "app"}
    assert app.button_group(key="split").value == "app"


def test_of_many_addresses_that_a_page_had_the_last_one_is_known(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "MOST_PAST", 2)
    app = tab("demo")
    for period in ("7d", "30d", "90d"):
        app.button_group(key="period").set_value(period).run()
    app.query_params.clear()  # sent with a click before 90d was answered
    app.selectbox(key="compare").set_value("nothing").run()
    assert app.query_params == {"period": "90d", "compare": "nothing"}
