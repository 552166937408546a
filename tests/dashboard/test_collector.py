"""The collector's page: its frames from hand-made values, and who may see it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from collector.core.prices import PriceSet
from collector.ledger.questions.books import Account
from dashboard.frames import collector
from dashboard.sessions import Who
from tests.dashboard.ledgers import NOW, call
from tests.stored import store

Tab = Callable[..., AppTest]
GOOD, BAD = Account("gateway", 10, 6, 1, 1, 1, 1, 4), Account("file", 5, 4, 0, 0, 0, 0, 0)


def test_the_books_say_for_each_source_and_all_whether_they_add_up() -> None:
    table = collector.books([GOOD, BAD])
    assert list(table["Source"]) == ["gateway", "file", "all sources"]
    assert list(table["Adds up"]) == ["✓ yes", "✗ off by +1", "✗ off by +1"]
    assert list(table["Accepted"]) == [10, 5, 15]
    assert collector.books_say([GOOD]) == (
        "10 accepted = 6 stored + 1 merged + 1 open + 1 waiting + 1 rejected, which holds for every source"
    )
    assert collector.books_say([GOOD, BAD]).endswith("which does not hold for 1 source")
    assert collector.books_say([msgspec.structs.replace(GOOD, is_more=True)]) == (
        "at least 10 accepted = 6 stored + 1 merged + 1 open + 1 waiting + 1 rejected, which holds for every source;"
        " the journal is still being read"
    )


def test_a_reject_says_where_it_stands_and_shows_its_line_cut() -> None:
    class Row(NamedTuple):
        source: str
        segment: str
        position: int
        line: int | None
        reason: str
        text: bytes

    table = collector.rejected_lines(
        [Row("file", "s", 9, 3, "bad", b"x" * 900), Row("gateway", "s", 9, None, "torn", b"\xff")]
    )
    assert list(table["Place"]) == ["line 3", "s, byte 9"]
    assert len(table["As it came"][0]) == collector.MOST_TEXT
    assert table["As it came"][1] == "\ufffd"


def test_prices_are_listed_by_age_and_old_ones_counted() -> None:
    def body(model: str, checked: str | None) -> str:
        price_set = PriceSet(model=model, prices={"input": 1}, source="list", checked=checked)
        return msgspec.json.encode(price_set.to_plain()).decode()

    bodies = {"a": body("new", "2026-10-01"), "b": body("old", "2026-01-01"), "c": body("own", None)}
    table = collector.price_table({"a": 1, "b": 2, "c": 3, "gone": 4}, bodies, date(2026, 10, 11))
    assert list(table["Model"]) == ["old", "new", "own"]
    assert list(table["Age, days"]) == ["283", "10", "–"]
    assert collector.prices_say(table) == "3 price sets, read up to 283 days ago; 1 of them are older than 180 days"
    assert "none says when" in collector.prices_say(table[2:])


@pytest.mark.parametrize(
    ("taken", "words"), [(0, "0 B"), (1_023, "1023 B"), (2**20 * 3, "3.0 MiB"), (2**40, "1,024.0 GiB")]
)
def test_sizes_have_units(taken: int, words: str) -> None:
    assert collector.size(taken) == words


def test_the_page_s_books_are_the_ledger_s(tab: Tab, ledger: Callable[[str], Path]) -> None:
    app = tab("demo", "collector")
    with closing(sqlite3.connect(ledger("demo") / "callmeter.db")) as connection:
        ((stored,),) = connection.execute("SELECT count(*) FROM calls").fetchall()
    books = app.dataframe[0].value
    assert list(books["Stored"]) == [stored]
    assert list(books["Adds up"]) == ["✓ yes"]
    assert "None: everything that was accepted could be read and stored." in [part.value for part in app.text]


def test_what_was_rejected_is_shown_with_its_reason_as_plain_text(tab: Tab, tmp_path: Path) -> None:
    wrong: Any = msgspec.structs.replace(call(1, NOW - 1, "m", "p"), meters={"<b>input</b>": 1})
    store(tmp_path, [wrong, call(2, NOW - 1, "m", "p")], now_us=NOW).dispose()
    app = tab(tmp_path, "collector")
    assert not app.exception
    reasons = next(table.value for table in app.dataframe if "Reason" in table.value and "Lines" in table.value)
    assert reasons["Lines"].sum() == 1
    assert "1 line could not be read or stored" in "\n".join(part.value for part in app.caption)


def test_a_viewer_does_not_see_the_page(tab: Tab) -> None:
    app = tab("demo", who=Who("bob", "viewer"))
    assert not app.exception
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        app.switch_page("views/collector.py")
