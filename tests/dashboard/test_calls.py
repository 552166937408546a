"""The list of calls and the page of one, on a ledger that ingest wrote."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from collector.core.calls import Attempt
from collector.core.outcomes import Outcome
from collector.core.periods import parse_period
from collector.core.selection import Selection
from collector.finance.explain import Explanation, explain
from collector.ledger.questions import ask
from collector.ledger.questions import calls as questions
from collector.settings import load_settings
from dashboard import cached, texts
from dashboard.figures.waterfall import waterfall
from dashboard.frames import calls as frames
from tests.dashboard.ledgers import HOSTILE, NOW
from tests.stored import store
from tests.tables import call, calls, instant

DAY = "2026-10-20"
TABLE = """
    10:00 openai m     1000/500 ok 840ms images_in=2 first_token_ms=90 streamed=1 app=shop user=ann
    10:01 dear   m     10/1 ok 2172ms attempts=openai:provider_fault,dear:ok
    10:02 acme   other 7/7 ok
    10:03 openai m     - rate_limited http_status=429
"""
Tab = Callable[..., AppTest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the calls of TABLE, and 120 more the day before."""
    made = tmp_path_factory.mktemp("calls")
    many = "\n".join(f"{n // 60:02}:{n % 60:02} openai m {n + 1}/1 ok" for n in range(120))
    store(made, [*calls(many, "2026-10-19"), *calls(TABLE, DAY)], now_us=NOW).dispose()
    return made


@pytest.fixture
def engine(folder: Path) -> Engine:
    return cached.engine(f"sqlite:///{folder / 'callmeter.db'}")


@pytest.fixture
def told(folder: Path, engine: Engine) -> Callable[[str], Explanation]:
    """Explains a call by its id."""
    return lambda call_id: explain(engine, load_settings(folder, environ={}), call_id, date(2026, 10, 21))


def rows_of_table(engine: Engine) -> list[ask.AnyRow]:
    """The calls of TABLE, newest first."""
    return ask.rows(engine, questions.page(Selection(), parse_period(DAY, "UTC", NOW)))


def test_a_line_says_what_was_stated_and_nothing_else(engine: Engine) -> None:
    table = frames.call_list(rows_of_table(engine), "Europe/Berlin")
    assert list(table["Time"])[-1] == "2026-10-20 12:00:00.000 +02:00"
    assert list(table["Outcome"]) == ["rate limited", "ok", "ok", "ok"]
    assert list(table["Input tokens"]) == ["–", "7", "10", "1,000"]
    assert list(table["Cost, USD"]) == [Decimal(0), None, Decimal("0.000260000017"), Decimal("0.0539")]
    assert list(table["Latency"]) == ["–", "–", "2172 ms", "840 ms"]
    assert list(table["Attempts"]) == ["1", "1", "2", "1"]


def test_the_lines_of_a_cost_add_up_to_it(engine: Engine, told: Callable[[str], Explanation]) -> None:
    priced = [row for row in rows_of_table(engine) if row.price_id is not None]
    assert len(priced) == 2
    for row in priced:
        why = frames.why(told(row.id.hex()))
        assert sum(why["Cost, USD"]) == texts.dollars(row.cost_picousd)
        quantities = [Decimal(text.replace(",", "")) for text in why["Quantity"]]
        assert [a * b for a, b in zip(quantities, why["Price per unit, USD"], strict=True)] == list(why["Cost, USD"])


def test_without_a_price_the_meters_stand_alone(engine: Engine, told: Callable[[str], Explanation]) -> None:
    row = next(row for row in rows_of_table(engine) if row.model == "other")
    why = frames.why(told(row.id.hex()))
    assert list(why["Quantity"]) == ["7", "7"]
    assert list(why["Cost, USD"]) == [None, None]
    assert frames.why_says(told(row.id.hex())) == "No price: the call is not part of spend"


def test_what_used_nothing_costs_nothing_and_is_not_called_unpriced(
    engine: Engine, told: Callable[[str], Explanation]
) -> None:
    row = next(row for row in rows_of_table(engine) if row.outcome == "rate_limited")
    said = "the call ended as rate_limited and no usage was reported: nothing is charged."
    assert frames.why_says(told(row.id.hex())) == f"$0.00: {said}"
    assert len(frames.why(told(row.id.hex()))) == 0


def test_a_cost_that_came_with_its_call_is_a_line_of_its_own(tmp_path: Path) -> None:
    one = call("12:00 openai m 7/7 ok cost=12")
    engine = store(tmp_path, [one])
    why = frames.why(explain(engine, load_settings(tmp_path, environ={}), one.id, date(2026, 10, 21)))
    assert list(why["Meter"]) == ["input", "output", "beyond"]
    assert list(why["Cost, USD"]) == [None, None, Decimal("0.000000000012")]
    engine.dispose()


def page(tab: Tab, folder: Path, name: str, **query: str) -> AppTest:
    """A page other than the first."""
    app = tab(folder, **query)
    app.switch_page(f"views/{name}.py")
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def test_calls_are_listed_newest_first_page_by_page(tab: Tab, folder: Path) -> None:
    app = page(tab, folder, "calls", period="7d")
    assert not app.exception
    first = app.dataframe[0].value
    assert len(first) == cached.PAGE_CALLS
    assert app.button(key="newest").disabled
    app.button(key="older").click().run()
    second = app.dataframe[0].value
    app.button(key="older").click().run()
    third = app.dataframe[0].value
    assert app.button(key="older").disabled
    times = [*first["Time"], *second["Time"], *third["Time"]]
    assert len(times) == len(set(times)) == 124
    assert times == sorted(times, reverse=True)
    app.button(key="newest").click().run()
    assert list(app.dataframe[0].value["Time"]) == list(first["Time"])


def test_outcomes_narrow_the_list(tab: Tab, folder: Path) -> None:
    app = page(tab, folder, "calls")
    app.multiselect(key="outcome").set_value(["rate_limited"]).run()
    assert list(app.dataframe[0].value["Outcome"]) == ["rate limited"]
    app.multiselect(key="outcome").set_value(["interrupted"]).run()
    assert "No calls here" in app.markdown[0].value


def test_status_and_error_type_narrow_the_list_and_stand_in_the_address(tab: Tab, folder: Path) -> None:
    app = page(tab, folder, "calls", period="7d", status="4xx")
    assert list(app.dataframe[0].value["Outcome"]) == ["rate limited"]
    assert said(app) == "1 call, newest first. Exactly $0.00"
    app.multiselect(key="error").set_value(["overloaded"]).run()
    assert "No calls here" in app.markdown[0].value
    app.multiselect(key="error").set_value(["none"]).run()
    assert len(app.dataframe[0].value) == 1
    wrong = page(tab, folder, "calls", status="teapot")
    assert "status='teapot' is no HTTP status: write one such as 503, 5xx or none" in [t.value for t in wrong.text]


def test_the_total_is_of_all_pages_and_of_what_is_filtered(tab: Tab, folder: Path) -> None:
    app = page(tab, folder, "calls", period="7d")
    assert said(app).startswith("124 calls, newest first. Exactly $")
    assert said(app).endswith("plus 1 call without a price")
    app.multiselect(key="outcome").set_value(["rate_limited"]).run()
    assert said(app) == "1 call, newest first. Exactly $0.00"
    month = page(tab, folder, "calls", status="4xx")
    assert "counted one by one, for 7 days at most" in said(month)


def said(app: AppTest) -> str:
    """The sentence above the list."""
    return app.caption[0].value.replace("\\$", "$")


def test_a_call_shows_its_attempts_and_why_it_costs_what_it_costs(tab: Tab, folder: Path, engine: Engine) -> None:
    row = next(row for row in rows_of_table(engine) if row.attempts == 2)
    app = page(tab, folder, "call", id=row.id.hex(), zone="Asia/Kathmandu")
    assert not app.exception
    attempts, facts, why = (frame.value for frame in app.dataframe)
    assert dict(zip(facts["Fact"], facts["Value"], strict=True))["Started"] == "2026-10-20 15:46:00.000 +05:45"
    assert list(attempts["Outcome"]) == ["provider fault", "ok"]
    assert list(why["Meter"]) == ["input", "output"]
    said = [text.value for text in app.text]
    assert any(text.startswith(f"{row.price_id}: m at dear, standard tier") for text in said)
    assert "Stated by test; no date of reading is given." in said
    assert [control.key for control in app.selectbox] == ["zone"]


@pytest.mark.parametrize("call_id", ["", "nonsense", "00" * 16, HOSTILE[0]])
def test_an_id_that_is_no_calls_is_answered_by_a_sentence(tab: Tab, folder: Path, call_id: str) -> None:
    app = page(tab, folder, "call", id=call_id)
    assert not app.exception
    assert "No call here" in app.markdown[0].value
    assert not app.dataframe


@pytest.mark.parametrize("before", ["x", "1.x", "99999999999999999999.00", "1790000000000000." + "00" * 16])
def test_a_place_in_the_list_that_cannot_be_breaks_nothing(tab: Tab, folder: Path, before: str) -> None:
    assert not page(tab, folder, "calls", before=before).exception


def test_attempts_stand_along_the_time_since_the_call_began(tab: Tab, tmp_path: Path) -> None:
    at = instant("10:00", DAY)
    first = Attempt("<b>dear", "m", at + 1_500, Outcome.PROVIDER_FAULT, latency_ms=200)
    second = Attempt("openai", "m", at + 201_500, Outcome.OK, latency_ms=640, first_token_ms=90)
    plan = '{"by":"price","endpoints":[["<b>dear","first"],["openai","next, dearer"]]}'
    made = msgspec.structs.replace(call("10:00 openai m 1/1 ok 842ms", DAY), attempts=(first, second), plan=plan)
    engine = store(tmp_path, [made], now_us=NOW)
    found = frames.waterfall(explain(engine, load_settings(tmp_path, environ={}), made.id, date(2026, 10, 21)))
    assert found.drop(columns="first_ms").to_dict("split")["data"] == [
        ["1. <b>dear", 1.5, 200, False, "provider fault, 200 ms"],
        ["2. openai", 201.5, 640, True, "ok, 640 ms"],
    ]
    figure = waterfall(found)
    assert list(figure.data[0].base) == [1.5, 201.5]
    assert list(figure.data[0].y) == ["1. &lt;b&gt;dear", "2. openai"]
    assert list(figure.data[1].x) == [291.5]
    app = tab(tmp_path, "call", id=made.id)
    assert not app.exception
    assert next(list(table.value["Verdict"]) for table in app.dataframe if "Verdict" in table.value) == [
        "first",
        "next, dearer",
    ]


def test_the_newest_calls_come_by_themselves_until_that_is_switched_off(
    tab: Tab, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every: list[Any] = []
    monkeypatch.setattr(st, "fragment", lambda shown, run_every, key: every.append(run_every) or shown)
    app = tab(folder, "calls")
    app.toggle[0].set_value(False).run()
    assert not app.exception
    assert every == [5, None]
    tab(folder, "calls", live="false")
    assert every == [5, None, None]
