"""A day that would cost more than 64 bits hold: its sums stay whole, and no call is lost."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.prices import PriceBook, PriceSet
from collector.ledger.check import check
from tests.ledger.contents import contents
from tests.ledger.test_reprice import ANN, book, run
from tests.stored import BOOK, store
from tests.tables import call

MOST = 10**17  # of one call
REASON = "more than 9200000 USD for the calls of one day"


def dear(count: int, at: str = "2026-10-01T12:00", told: str = f"cost={MOST}") -> list[Call]:
    return [call(f"{at} openai m 1000/0 ok user=u{n} {told}") for n in range(count)]


def at(price: int) -> PriceBook:
    return book(PriceSet(model="m", prices={"input": price, "output": 0}, source="test"))


def priced(engine: Engine) -> tuple[int, int, list[str]]:
    """How many calls have a cost, how many do not, and why not."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT cost_picousd, unpriced_reason FROM v_calls").all()
        kinds = connection.exec_driver_sql("SELECT DISTINCT typeof(cost), typeof(reported_cost) FROM day_totals").all()
    assert kinds == [("integer", "integer")]
    return sum(c is not None for c, _ in found), sum(c is None for c, _ in found), sorted({r for _, r in found if r})


@pytest.mark.parametrize("prices", [None, at(MOST // 1000)])
def test_what_a_day_cannot_add_up_is_unpriced_and_kept(tmp_path: Path, prices: PriceBook | None) -> None:
    told = dear(100) if prices is None else dear(100, told="")
    engine = store(tmp_path, told, book=prices or BOOK)
    assert priced(engine) == (92, 8, [REASON])
    assert check(engine) == []


def test_reported_amounts_that_a_day_cannot_add_up_are_not_kept_and_the_cost_is(tmp_path: Path) -> None:
    engine = store(tmp_path, dear(100, told=f"reported_cost={MOST}"))
    assert priced(engine) == (100, 0, [])
    with engine.connect() as connection:
        query = "SELECT usage_problem, count(*), count(reported_cost) FROM calls GROUP BY usage_problem"
        told = connection.exec_driver_sql(query).all()
    assert told == [(None, 92, 92), (f"no reported cost is kept: {REASON}", 8, 0)]
    assert check(engine) == []


def test_it_is_priced_when_the_price_is_right(tmp_path: Path) -> None:
    engine = store(tmp_path, dear(100, told=""), book=at(MOST // 1000))
    run(engine, at(5))
    assert priced(engine) == (100, 0, [])
    assert check(engine) == []


def test_a_day_of_every_declared_zone_counts(tmp_path: Path) -> None:
    """Of the day in Berlin one half is in the UTC day before."""
    engine = store(tmp_path, dear(60, "2026-10-01T23:00") + dear(60, "2026-10-02T12:00"))
    assert priced(engine) == (92, 28, [REASON])
    assert check(engine) == []


@pytest.mark.parametrize("count", [92 + 1, 200])
def test_a_price_too_high_for_a_day_is_refused_and_changes_nothing(tmp_path: Path, count: int) -> None:
    engine = store(tmp_path, dear(count, told=""))
    before = contents(engine)
    with pytest.raises(InputError, match=f"{REASON}, by what those from 2026-10-01 to 2026-10-01 would cost: correct"):
        run(engine, at(MOST // 1000), by=ANN)
    assert contents(engine) == before
