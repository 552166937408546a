"""The finance page: months, closes, files and the comparison, from the ledger to the last digit."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from collector.finance.close import close, reopen
from collector.finance.export import booked_request, export
from collector.finance.months import month_named
from collector.finance.overview import months_of
from collector.ledger.schema import provider_sums
from dashboard import cached
from dashboard.frames import finance
from dashboard.routes import ROUTES
from tests.dashboard.ledgers import NOW
from tests.stored import ZONES, store
from tests.tables import calls, instant

Tab = Callable[..., AppTest]
TABLE = """
    2026-08-01T12:00 openai m 1000/0   ok
    2026-09-30T12:00 openai m 1000/500 ok
    2026-10-02T12:00 openai m 20/0     ok
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return store(tmp_path, calls(TABLE), now_us=NOW)


def shown(app: AppTest, column: str) -> list[object]:
    return next(list(table.value[column]) for table in app.dataframe if column in table.value)


def test_months_say_what_they_used_and_book(tab: Tab, engine: Engine, tmp_path: Path) -> None:
    close(engine, ZONES, "2026-09", "UTC", "ann", NOW)
    store(tmp_path, calls("2026-09-30T13:00 openai m 1000/0 ok"), now_us=NOW)
    app = tab(tmp_path, "finance")
    assert not app.exception
    assert shown(app, "Month")[:3] == ["2026-10", "2026-09", "2026-08"]
    assert shown(app, "State")[:3] == ["open", "closed", "before the first close"]
    assert shown(app, "Used by now, USD") == list(map(Decimal, ("0.0002", "0.035", "0.01")))
    assert shown(app, "Own, USD") == list(map(Decimal, ("0.0002", "0.025", "0.01")))
    assert shown(app, "Corrections, USD") == list(map(Decimal, ("0.01", "0", "0")))
    assert "which is what was used" in "\n".join(part.value for part in app.caption)
    assert shown(app, "File")[1] == "/month.csv?month=2026-09"


def test_the_first_open_month_is_there_for_its_corrections_without_any_usage(tmp_path: Path) -> None:
    at = instant("2026-12-05T00:00")
    engine = store(tmp_path, calls("2026-08-01T12:00 openai m 1000/0 ok"), now_us=NOW)
    close(engine, ZONES, "2026-08", "UTC", "ann", at)
    store(tmp_path, calls("2026-08-01T13:00 openai m 500/0 ok"), now_us=NOW)
    table = finance.month_table(months_of(engine, ZONES, "UTC", at), "")
    assert list(table["Month"]) == ["2026-12", "2026-09", "2026-08"]
    assert list(table["Corrections, USD"]) == [Decimal(0), Decimal("0.005"), Decimal(0)]


def test_closes_tell_who_opened_a_month_again_and_why(tab: Tab, engine: Engine, tmp_path: Path) -> None:
    close(engine, ZONES, "2026-09", "UTC", "ann", NOW)
    reopen(engine, "2026-09", "<b>wrong</b>", "bob", NOW)
    app = tab(tmp_path, "finance")
    assert (shown(app, "By"), shown(app, "Opened by"), shown(app, "Because")) == (["ann"], ["bob"], ["<b>wrong</b>"])
    assert "<b>" not in "".join(part.value for part in [*app.markdown, *app.caption])


def test_the_comparison_is_exact(tab: Tab, engine: Engine, tmp_path: Path) -> None:
    row = {"source": "openai_costs", "provider": "openai", "model": "m", "key": "", "line": "", "read_at": 1}
    with engine.begin() as connection:
        day = instant("2026-10-02T00:00") // 86_400_000_000
        connection.execute(sa.insert(provider_sums).values(**row, day=day, cost=300_000_001, requests=None))
    app = tab(tmp_path, "finance", period="2026-10")
    assert shown(app, "Metered") == ["$0.0002"]
    assert shown(app, "Provider says") == ["$0.000300000001"]
    assert (shown(app, "Gap"), shown(app, "Unexplained")) == (["$0.000100000001"], ["$0.000100000001"])


TERMS = """
[[finance.plans]]
name = "Team"
provider = "openai"
usd_per_month = 20
from = 2026-10-01

[[finance.credits]]
provider = "other"
date = 2026-09-01
usd = 7.5

[[finance.credits]]
provider = "dear"
date = 2026-09-01
usd = 0.000000000001
"""


def test_plans_are_notional_and_credits_have_a_balance(
    tab: Tab, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, calls("2026-10-02T13:00 other m 100/0 ok\n2026-10-02T13:00 dear m 1/0 ok"), now_us=NOW)
    (tmp_path / "callmeter.toml").write_text(TERMS)
    monkeypatch.setenv("CALLMETER_CONFIG", str(tmp_path / "callmeter.toml"))
    app = tab(tmp_path, "finance", period="2026-10")
    assert not app.exception
    assert (shown(app, "Fees, USD"), shown(app, "Notional, USD")) == ([Decimal("20")], [Decimal("0.0002")])
    assert shown(app, "Bought, USD") == [Decimal("0.000000000001"), Decimal("7.5")]
    assert shown(app, "Left, USD") == [Decimal("-0.00002"), Decimal("7.499")]
    said = "\n".join(part.value for part in [*app.text, *app.caption, *app.markdown])
    assert "Exactly \\$0.0002 of the spend of these days is notional" in said
    assert "More was used at dear than is entered as bought" in said


def test_without_anything_each_section_says_what_would_fill_it(tab: Tab, engine: Engine, tmp_path: Path) -> None:
    app = tab(tmp_path, "finance", period="2026-10-10..2026-10-11")
    assert not app.exception
    said = "\n".join(part.value for part in [*app.text, *app.caption, *app.markdown, *app.code])
    for words in (
        "No month was closed yet",
        "Nothing was metered",
        "callmeter close",
        "folder",
        "finance.plans",
        "finance.credits",
    ):
        assert words in said


def test_the_file_of_a_month_is_the_one_that_export_writes(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLMETER_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(cached, "now_us", lambda: NOW)
    close(engine, ZONES, "2026-09", "UTC", "ann", NOW)
    client = TestClient(Starlette(routes=ROUTES))
    export(engine, ZONES, booked_request(month_named("2026-09", "UTC")), tmp_path / "out.csv")
    answer = client.get("/month.csv?month=2026-09")
    assert (answer.status_code, answer.content) == (200, (tmp_path / "out.csv").read_bytes())
    assert answer.headers["content-disposition"] == 'attachment; filename="callmeter-2026-09.csv"'
    wrong = client.get('/month.csv?month=";evil')
    assert (wrong.status_code, "is not a month" in wrong.text) == (400, True)


def test_nothing_told_is_said_so() -> None:
    assert finance.compared_says([]) == "No provider says what it charged for these days"
