"""Apps, keys and users: leaderboards beside the period before, who is new and gone, and the way to single calls."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from collector.core.selection import Selection, from_query
from dashboard.frames import leaders
from tests.dashboard.ledgers import NOW
from tests.stored import store
from tests.tables import calls

Tab = Callable[..., AppTest]
TABLE = """
    2026-10-19T10:00 openai m     1000/500 ok app=https://shop.example key=k1 user=ann
    2026-10-19T10:01 openai m     10/10    ok app=new key=k2 user=ann
    2026-10-19T10:02 acme   other 7/0      ok
    2026-10-09T10:00 openai m     1000/0   ok app=https://shop.example key=k1 user=bob
    2026-10-09T10:01 openai m     2000/0   ok app=old key=k1 user=bob
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("apps")
    store(made, calls(TABLE), now_us=NOW).dispose()
    return made


def tables(app: AppTest, column: str) -> list[Any]:
    return [table.value for table in app.dataframe if column in table.value]


def test_the_board_ranks_by_tokens_beside_the_period_before(tab: Tab, folder: Path) -> None:
    app = tab(folder, "apps", period="7d")
    assert not app.exception
    (board,) = tables(app, "Rank")
    assert list(board["App"]) == ["https://shop.example", "new", "no app"]
    assert list(board["Tokens"]) == [1_500, 20, 7]
    assert list(board["Share"]) == ["98.23%", "1.30%", "0.45%"]
    assert list(board["Change"]) == ["+50%", "new", "new"]
    assert list(board["Rank before"]) == ["2", "–", "–"]
    assert list(board["Spend, USD"]) == [Decimal("0.025"), Decimal("0.0004"), None]
    assert list(board["Site"]) == ["https://shop.example", "", ""]


def test_new_and_gone_ones_are_named_and_calls_without_a_name_are_nobody(tab: Tab, folder: Path) -> None:
    app = tab(folder, "apps", period="7d")
    new, gone = (table for table in tables(app, "App") if "Rank" not in table and "Day" not in table)
    assert (list(new["App"]), list(gone["App"]), list(gone["Tokens"])) == (["new"], ["old"], [2_000])
    assert any("2 apps: 1,527 tokens in 3 calls" in part.value for part in app.caption)


@pytest.mark.parametrize(("group", "names"), [("key", ["k1", "k2", "no key"]), ("user", ["ann", "no user"])])
def test_keys_and_users_have_the_same_board(tab: Tab, folder: Path, group: str, names: list[str]) -> None:
    app = tab(folder, "apps", period="7d", group=group)
    assert not app.exception
    (board,) = tables(app, "Rank")
    assert list(board[group.capitalize()]) == names
    assert sum(board["Tokens"]) == 1_527
    assert "Site" not in board


def test_compared_with_nothing_nobody_is_new(tab: Tab, folder: Path) -> None:
    app = tab(folder, "apps", period="7d", compare="nothing")
    assert "Change" not in tables(app, "Rank")[0]
    assert [part.value for part in app.subheader] == ["Apps", "Tokens per day by app"]


@pytest.mark.parametrize("name", ["https://shop.example/?a=b&c", "<b>#</b>", ""])
def test_a_link_leads_to_the_calls_of_a_name_and_keeps_the_other_filters(name: str) -> None:
    path = leaders.calls_path(Selection("7d", "Asia/Kathmandu", models=("m",), apps=("x", "y"), group="app"), name)
    assert path.startswith("/calls?")
    asked = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    assert from_query(asked) == Selection("7d", "Asia/Kathmandu", models=("m",), apps=(name,))


def test_a_link_opens_the_calls_it_promises(tab: Tab, folder: Path) -> None:
    for query, count in (({"app": "new"}, 1), ({"app": ""}, 1), ({"app": "https://shop.example"}, 1)):
        app = tab(folder, "calls", period="7d", **query)
        assert not app.exception
        assert len(tables(app, "Outcome")[0]) == count


def test_without_calls_it_says_so(tab: Tab, folder: Path) -> None:
    app = tab(folder, "apps", app="nobody")
    assert not app.exception
    assert "No calls here" in app.markdown[0].value
