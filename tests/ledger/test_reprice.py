"""Prices change, calls do not, until `reprice` says who changes them and why; rows and cells stay one number."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.periods import Period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.ledger import cells
from collector.ledger import reprice as module
from collector.ledger.check import check
from collector.ledger.reprice import Author, Report, Which, reprice
from tests.ledger.contents import contents
from tests.stored import BOOK, NOW_US, SETS, store
from tests.tables import call, calls, instant

OCTOBER = Period(instant("2026-10-01T00:00"), instant("2026-11-01T00:00"))
ANN = Author("ann", "the contract of October")
NEW = PriceSet(model="new", prices={"input": 2_000_000, "output": 4_000_000}, source="test")
OLD_UNPRICED = ("old", "openai", "no price for old at openai")
TABLE = """
    2026-10-01T12:00 openai m   1000/500 ok images_in=2 app=shop user=ann
    2026-10-01T23:30 openai new 100/10   ok app=shop user=bob
    2026-10-02T12:00 openai new 200/20   ok app=blog user=ann
    2026-10-03T12:00 openai old 7/7      ok
    2026-11-01T00:00 openai new 1/1      ok
"""


def book(*sets: PriceSet) -> PriceBook:
    return PriceBook([Files("test", sets, Names())])


def run(engine: Engine, prices: PriceBook, by: Author | None = ANN, now_us: int = NOW_US, **which: Any) -> Report:
    return reprice(engine, prices, Which(which.pop("period", OCTOBER), **which), now_us, by)


def costs(engine: Engine) -> list[tuple[str, int | None, int | None]]:
    with engine.connect() as connection:
        query = "SELECT model, cost_picousd, original_cost_picousd FROM v_calls ORDER BY started_at"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def adjustments(engine: Engine) -> list[dict[str, Any]]:
    query = """SELECT n, at, (SELECT name FROM names WHERE id = who) AS who,
        (SELECT name FROM names WHERE id = why) AS why,
        old_cost, new_cost, (SELECT name FROM names WHERE id = old_reason) AS old_reason, old_stated, superseded
        FROM adjustments ORDER BY call_id, n"""
    with engine.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql(query).mappings()]


def rebuilt(engine: Engine) -> bool:
    """Whether cells made anew are the cells that were kept."""
    before = contents(engine)
    cells.rebuild(engine)
    return contents(engine) == before


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return store(tmp_path, calls(TABLE))


def test_a_price_added_later_changes_no_row_by_itself_and_reprice_fills_it_in(engine: Engine) -> None:
    unpriced = [("m", 53_900_000_000, 53_900_000_000), *[("new", None, None)] * 2, ("old", None, None)]
    assert costs(engine)[:4] == unpriced
    report = run(engine, book(*SETS, NEW))
    assert costs(engine) == [
        ("m", 53_900_000_000, 53_900_000_000),
        ("new", 240_000_000, 240_000_000),  # 100 x 2 + 10 x 4 USD per million
        ("new", 480_000_000, 480_000_000),
        ("old", None, None),
        ("new", None, None),  # not in October
    ]
    (key,) = report.changed
    assert key == ("2026-10", "new")
    assert report.changed[key] == module.Changed(calls=2, unpriced=2, old=0, new=720_000_000)
    assert {key: left.calls for key, left in report.left.items()} == {
        ("old", "openai", "no price for old at openai"): 1
    }
    assert (report.looked_at, report.old_spend, report.new_spend) == (4, 53_900_000_000, 54_620_000_000)
    assert check(engine) == []
    assert rebuilt(engine)


def test_an_adjustment_says_who_when_why_and_what_it_was(engine: Engine) -> None:
    run(engine, book(*SETS, NEW))
    assert adjustments(engine) == [
        {
            "n": 1,
            "at": NOW_US,
            "who": "ann",
            "why": "the contract of October",
            "old_cost": None,
            "new_cost": cost,
            "old_reason": "no price for new at openai",
            "old_stated": None,
            "superseded": None,
        }
        for cost in (240_000_000, 480_000_000)
    ]


def test_a_dry_run_says_the_same_and_writes_nothing(engine: Engine) -> None:
    before = contents(engine)
    previewed = run(engine, book(*SETS, NEW), by=None)
    assert contents(engine) == before
    assert adjustments(engine) == []
    assert run(engine, book(*SETS, NEW)) == previewed


def test_twice_is_once(engine: Engine) -> None:
    run(engine, book(*SETS, NEW))
    after = contents(engine), adjustments(engine)
    again = run(engine, book(*SETS, NEW), now_us=NOW_US + 1)
    assert again.changed == {}
    assert again.old_spend == again.new_spend == 54_620_000_000
    assert (contents(engine), adjustments(engine)) == after


def test_a_corrected_price_keeps_the_first_cost_through_every_correction_and_back(engine: Engine) -> None:
    dearer = [PriceSet(model="old", prices={"input": price, "output": 0}, source="test") for price in (5, 7, 5, 9)]
    told = []
    for at, each in enumerate(dearer):
        run(engine, book(*SETS, each), now_us=NOW_US + at)
        told.append(next(row[1:] for row in costs(engine) if row[0] == "old"))
        assert check(engine) == []
    assert told == [(35, 35), (49, 35), (35, 35), (63, 35)]
    assert [(row["n"], row["old_cost"], row["new_cost"]) for row in adjustments(engine)] == [
        (1, None, 35),
        (2, 35, 49),
        (3, 49, 35),
        (4, 35, 63),
    ]


def test_months_and_days_are_those_of_the_zone(engine: Engine) -> None:
    berlin = Period(OCTOBER.start_us, OCTOBER.end_us + 1, "Europe/Berlin")
    report = run(engine, book(*SETS, NEW), by=None, period=berlin)
    assert {key: each.calls for key, each in report.changed.items()} == {("2026-10", "new"): 2, ("2026-11", "new"): 1}


def test_one_model_under_any_name_and_nothing_else(engine: Engine) -> None:
    names = Names(models={"alias": "new"}, aliases={"new": ("alias",)})
    prices = PriceBook(
        [Files("test", [*SETS, NEW, PriceSet(model="old", prices={"input": 1}, source="t")], names)], names
    )
    report = run(engine, prices, model="alias")
    assert {model for _, model in report.changed} == {"new"}
    assert [cost for model, cost, _ in costs(engine) if model == "old"] == [None]


def test_a_cost_whose_price_is_gone_from_the_book_is_kept(engine: Engine) -> None:
    before = contents(engine)
    report = run(engine, book())
    assert (report.kept, report.changed) == (1, {})
    assert contents(engine) == before


def test_a_call_that_came_with_its_cost_is_left_unless_asked_for(tmp_path: Path) -> None:
    told = call("12:00 openai m 1000/500 ok cost=12 original_cost=11")
    engine = store(tmp_path, [told])
    before = contents(engine)
    assert run(engine, BOOK).stated == 1
    assert contents(engine) == before
    report = run(engine, BOOK, stated=True)
    assert report.total() == module.Changed(calls=1, unpriced=0, old=12, new=25_000_000_000)
    assert costs(engine) == [("m", 25_000_000_000, 11)]
    assert [row["old_stated"] for row in adjustments(engine)] == [1]
    assert check(engine) == []
    assert run(engine, BOOK, stated=True).changed == {}


@pytest.mark.parametrize(("stated", "first"), [("cost=12", 12), ("unpriced_reason=nobody", None)])
def test_a_cost_that_one_of_two_records_came_with_does_not_return_with_that_record(
    tmp_path: Path, stated: str, first: int | None
) -> None:
    told = calls(f"""
        12:00 openai m 1000/500 ok origin_id=r1 source=gateway quality=partial
        12:00 openai m 1000/500 ok origin_id=r1 source=csv {stated}
    """)
    engine = store(tmp_path, told)
    assert costs(engine) == [("m", first, first)]
    run(engine, BOOK, stated=True)
    told_why = adjustments(engine)
    assert costs(engine)[0][1] == 25_000_000_000
    store(tmp_path, [*told, call("12:01 openai m - unknown origin_id=r1 source=otlp user=ann")])
    assert costs(engine) == [("m", 25_000_000_000, first or 25_000_000_000)]
    assert adjustments(engine) == told_why
    assert check(engine) == []


def test_the_reason_of_a_call_that_stays_unpriced_is_brought_up_to_date(tmp_path: Path) -> None:
    engine = store(tmp_path, [call("12:00 openai new 5/5 ok audio_in=3")])
    report = run(engine, book(NEW))
    assert (report.reasons, report.changed) == (1, {})
    assert [reason for _, _, reason in report.left] == ["no price per token of audio_in for new"]
    with engine.connect() as connection:
        query = "SELECT unpriced_reason FROM v_calls"
        assert connection.exec_driver_sql(query).scalars().all() == ["no price per token of audio_in for new"]
    assert check(engine) == []
    assert run(engine, book(NEW)).reasons == 0


def test_a_price_per_request_adds_the_request_to_the_call_and_its_cells(tmp_path: Path) -> None:
    engine = store(tmp_path, [call("12:00 openai new 100/10 ok tool_calls=1")])
    per_request = PriceSet(model="new", prices={"input": 1, "output": 1, "requests": 1_000}, source="test")
    assert run(engine, book(per_request)).total().new == 1_110
    assert check(engine) == []
    assert rebuilt(engine)
    assert run(engine, book(per_request)).changed == {}


def test_a_price_too_high_for_the_ledger_is_refused_by_name_and_changes_nothing(engine: Engine) -> None:
    before = contents(engine)
    absurd = PriceSet(model="new", prices={"input": 10**16, "output": 0}, source="typo.toml")
    with pytest.raises(InputError, match=r"would cost 1000000 USD, more than 100000 .* new \(typo.toml\)"):
        run(engine, book(*SETS, absurd))
    assert contents(engine) == before


def test_a_call_that_was_too_dear_to_be_priced_does_not_keep_others_from_it(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("12:00 openai m 1000000000000/0 ok\n12:01 openai new 100/10 ok"))
    report = run(engine, book(*SETS, NEW))
    assert costs(engine) == [("m", None, None), ("new", 240_000_000, 240_000_000)]
    (left,) = report.left
    assert left[2].startswith("more than 100000 USD for one call by the price of m")
    assert check(engine) == []


def test_what_a_crash_leaves_is_consistent_and_the_next_run_finds_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = store(tmp_path, [call(f"12:{at:02} openai new {at}/1 ok") for at in range(10)])
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    pages = 0

    class Died(BaseException):
        pass

    def dies_after_two_pages(*_: int) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise Died

    with pytest.raises(Died):
        reprice(engine, book(NEW), Which(OCTOBER), NOW_US, ANN, dies_after_two_pages)
    assert check(engine) == []
    assert [cost is not None for _, cost, _ in costs(engine)] == [True] * 8 + [False] * 2
    assert run(engine, book(NEW)).total().calls == 2
    assert check(engine) == []


def test_calls_may_be_stored_and_merged_between_two_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge moves a call that was changed already, one is better known now, one comes late, one is still ahead."""
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 2)
    prices, turns = book(NEW), 0
    engine = store(tmp_path, calls("\n".join(f"12:{at:02} openai new {at}/1 ok origin_id=r{at}" for at in range(6))))
    meanwhile = calls("""
        12:00 openai new 0/1  ok source=otlp origin_id=r0 id=01900000000070008000000000000001
        12:01 openai new 50/1 ok source=gateway origin_id=r1 id=00900000000070008000000000000002
        11:00 openai new 9/1  ok
        12:05 openai new 70/1 ok source=gateway origin_id=r5
    """)

    def take_turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 2:
            store(tmp_path, meanwhile, book=prices).dispose()

    report = reprice(engine, prices, Which(OCTOBER), NOW_US, ANN, take_turn=take_turn)
    with engine.connect() as connection:
        query = "SELECT sum(cost_picousd IS NULL), sum(cost_picousd), sum(input_tokens), count(*) FROM v_calls"
        unpriced, cost, tokens, rows = connection.exec_driver_sql(query).one()
    assert (unpriced, cost) == (0, tokens * 2_000_000 + rows * 4_000_000)
    assert (turns, report.total().calls) == (5, 2 + 4)
    assert check(engine) == []
    assert rebuilt(engine)
    assert run(engine, prices).changed == {}


def test_calls_of_one_instant_are_looked_at_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 3)
    engine = store(tmp_path, calls("\n".join(f"12:00 openai new {at}/1 ok" for at in range(10))))
    report = run(engine, book(NEW))
    assert (report.looked_at, report.total().calls) == (10, 10)


def test_adjustments_follow_their_call_to_the_id_that_a_merge_gives_it(tmp_path: Path) -> None:
    prices = book(*SETS, NEW)
    engine = store(tmp_path, [call("12:00 openai new 100/10 ok origin_id=r1 source=csv")])
    run(engine, prices)
    gateway = call("12:00 openai new 100/10 ok origin_id=r1 source=gateway user=ann")
    store(tmp_path, [gateway], book=prices)
    with engine.connect() as connection:
        moved = connection.exec_driver_sql("SELECT lower(hex(call_id)), n, superseded FROM adjustments").all()
    assert moved == [(gateway.id, 1, None)]
    assert costs(engine) == [("new", 240_000_000, 240_000_000)]
    assert check(engine) == []


def test_two_adjusted_calls_that_turn_out_to_be_one_keep_one_chain(tmp_path: Path) -> None:
    prices = book(*SETS, NEW)
    engine = store(tmp_path, calls("""
        12:00 openai new 100/10 ok origin_id=r1 source=csv
        12:00 openai new 100/10 ok source=otlp id=0190000000007000800000000000000b
    """))  # fmt: skip
    run(engine, prices)
    store(
        tmp_path, [call("12:00 openai new 100/10 ok origin_id=r1 source=gateway id=0190000000007000800000000000000b")]
    )
    assert len(costs(engine)) == 1
    assert sorted(row["superseded"] is None for row in adjustments(engine)) == [False, True]
    assert check(engine) == []


def test_a_better_record_of_the_usage_supersedes_the_adjustment_and_keeps_it(tmp_path: Path) -> None:
    prices = book(*SETS, NEW)
    engine = store(tmp_path, [call("12:00 openai new 100/10 ok origin_id=r1 source=csv quality=partial")])
    run(engine, prices)
    store(tmp_path, [call("12:00 openai new 200/20 ok origin_id=r1 source=gateway")], book=prices)
    assert costs(engine) == [("new", 480_000_000, 480_000_000)]
    (adjustment,) = adjustments(engine)
    assert (adjustment["new_cost"], adjustment["superseded"] is not None) == (240_000_000, True)
    assert check(engine) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE adjustments SET new_cost = 1 WHERE n = 1",
            "an adjustment ends at the cost 1, the one after it begins",
        ),
        ("UPDATE adjustments SET new_cost = 1 WHERE n = 2", "its cost is 49, its last adjustment makes it 1"),
        ("UPDATE calls SET original_cost = 34", "its first cost is 34, its adjustments say that it was 35"),
        ("DELETE FROM adjustments", "its cost was 35 and is 49, and no adjustment says why"),
        ("UPDATE adjustments SET call_id = x'01'", "it was adjusted, and there is no such call"),
    ],
)
def test_check_sees_a_chain_that_is_broken(tmp_path: Path, change: str, told: str) -> None:
    engine = store(tmp_path, [call("12:00 openai old 7/7 ok")])
    for at, price in enumerate((5, 7)):
        run(
            engine, book(PriceSet(model="old", prices={"input": price, "output": 0}, source="test")), now_us=NOW_US + at
        )
    assert check(engine) == []
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    assert any(told in sentence for sentence in check(engine))


@st.composite
def some_calls(draw: st.DrawFn) -> list[Call]:
    lines = draw(
        st.lists(
            st.tuples(
                st.integers(0, 45),  # days
                st.sampled_from(["m", "new", "old", "free", "-"]),
                st.sampled_from(["1/2", "1000/500", "-", "0/0"]),
                st.sampled_from(["ok", "provider_fault", "cancelled"]),
                st.sampled_from(["", "images_in=2", "reasoning=9 user=ann", "requests=1", "cost=5", "tool_calls=2"]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    hour = 3_600_000_000
    told = [
        call(f"12:{n:02} openai {m} {tokens} {outcome} {rest}") for n, (_, m, tokens, outcome, rest) in enumerate(lines)
    ]
    return [_moved(each, days * 23 * hour) for each, (days, *_) in zip(told, lines, strict=True)]


def _moved(one: Call, us: int) -> Call:
    return msgspec.structs.replace(one, started_at=one.started_at + us)


BOOKS = st.lists(
    st.builds(
        PriceSet,
        model=st.sampled_from(["m", "new", "old"]),
        prices=st.fixed_dictionaries(
            {"input": st.integers(0, 10**9)},
            optional={name: st.integers(0, 10**9) for name in ("output", "images_in", "requests")},
        ),
        source=st.just("test"),
        images=st.sampled_from(["per image", "in tokens"]),
        minimum=st.sampled_from([None, None, 10**12]),
    ),
    max_size=3,
    unique_by=lambda each: each.model,
).map(lambda sets: book(*sets))


@given(told=some_calls(), books=st.lists(BOOKS, min_size=2, max_size=3), stated=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_rows_cells_and_adjustments_are_one_number_after_any_prices(
    told: list[Call], books: list[PriceBook], stated: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("reprice")
    engine = store(folder, told, book=books[0])
    for later in books[1:]:
        before = contents(engine)
        previewed = run(engine, later, by=None, stated=stated)
        assert contents(engine) == before  # a later price changes no earlier row by itself
        done = run(engine, later, stated=stated)
        assert done == previewed
        assert check(engine) == []
        assert rebuilt(engine)
        again = run(engine, later, stated=stated)
        assert (again.changed, again.reasons, again.new_spend) == ({}, 0, done.new_spend)
        difference = sum(row[1] or 0 for row in costs(engine)) - sum(r["cost_picousd"] or 0 for r in before["v_calls"])
        assert difference == done.total().difference
    engine.dispose()
