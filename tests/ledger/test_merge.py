"""Which records are one call, and what it is: the rules one by one, and that no order of arrival changes anything."""

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.core.calls import Call, call_id_at
from collector.core.outcomes import Outcome
from collector.ledger.check import check
from collector.ledger.merge import combine, group
from tests.ledger.contents import contents
from tests.stored import store
from tests.tables import call, calls, instant


def merged(table: str) -> list[Call]:
    """The calls that the records of a table are."""
    return [combine(records) for records in group(calls(table))]


def test_the_same_id_is_the_same_call() -> None:
    one = call("12:00 openai m 1000/200 ok")
    assert group([one, one]) == [(one,)]


def test_provider_and_origin_id_are_the_same_call_across_sources_within_ten_minutes() -> None:
    assert len(merged("""
        12:00 openai m 1000/200 ok origin_id=r1
        12:10 OpenAI m 1000/200 ok origin_id=r1 source=otlp
    """)) == 1  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        "12:11 openai m 1000/200 ok origin_id=r1 source=otlp",
        "12:01 azure m 1000/200 ok origin_id=r1 source=otlp",
        "12:01 openai m 1000/200 ok origin_id=r2 source=otlp",
        "12:01 openai m 1000/200 ok source=otlp",
        "12:01 openai m 1000/200 ok origin_id=r1",  # one source never tells of a call twice
    ],
)
def test_anything_else_is_another_call(other: str) -> None:
    assert len(merged(f"12:00 openai m 1000/200 ok origin_id=r1\n{other}")) == 2


def test_the_gateway_names_the_call_and_the_others_fill_what_it_does_not_state() -> None:
    (found,) = merged("""
        12:00 openai m 1000/200 ok origin_id=r1 source=csv user=ann app=elsewhere reported_cost=0
        12:00 openai m 1000/200 ok origin_id=r1 source=gateway app=shop id=0190000000007000800000000000000a
        12:00 openai m 1000/200 ok origin_id=r1 source=otlp user=bob latency_ms=7 reported_cost=9
    """)
    assert (found.id, found.source) == ("0190000000007000800000000000000a", "gateway")
    assert (found.app, found.user, found.latency_ms, found.reported_cost) == ("shop", "bob", 7, 9)


def test_zero_is_a_statement() -> None:
    (found,) = merged("""
        12:00 openai m - ok origin_id=r1 source=gateway latency_ms=0
        12:00 openai m - ok origin_id=r1 source=otlp latency_ms=7
    """)
    assert found.latency_ms == 0


def test_usage_is_taken_from_who_knows_it_best_and_then_by_source() -> None:
    (found,) = merged("""
        12:00 openai m 1/1 ok origin_id=r1 source=gateway quality=partial
        12:00 openai m 5/5 ok origin_id=r1 source=csv
        12:00 openai m 4/4 ok origin_id=r1 source=otlp
    """)
    assert found.meters == {"input": 4, "output": 4}
    assert found.quality == "exact"


def test_who_states_no_status_does_not_decide_the_outcome() -> None:
    (found,) = merged("""
        12:00 openai m 1/1 unknown origin_id=r1 source=gateway
        12:00 openai m 1/1 provider_fault origin_id=r1 source=otlp http_status=503
    """)
    assert (found.outcome, found.http_status) == (Outcome.PROVIDER_FAULT, 503)


def test_a_record_joins_the_nearest_call_that_its_source_has_not_told_of() -> None:
    found = group(
        calls("""
        12:00 openai m 1/1 ok origin_id=r1 source=gateway
        12:08 openai m 2/2 ok origin_id=r1 source=gateway
        12:07 openai m 3/3 ok origin_id=r1 source=otlp
        12:06 openai m 4/4 ok origin_id=r1 source=otlp
    """)
    )
    told = sorted([record.meters["input"] for record in records] for records in found)
    assert told == [[1, 3], [2, 4]] or told == [[1, 4], [2, 3]]
    assert all(len(records) == 2 for records in found)


SOURCES = ("gateway", "transport", "lookup", "otlp", "csv", "azure")
IDS = [call_id_at(instant("12:00") + n, bytes([n] * 8)) for n in range(5)]


@st.composite
def records(draw: st.DrawFn) -> Call:
    """A record of one of few calls, from few ids and origins, so that they meet in every way."""
    tokens = draw(st.sampled_from([None, 0, 3, 500]))
    stated = {"cost": 7, "original_cost": draw(st.sampled_from([None, 5]))} if draw(st.integers(0, 5)) == 0 else {}
    return Call(
        id=draw(st.sampled_from(IDS)),
        source=draw(st.sampled_from(SOURCES)),
        started_at=instant("12:00") + draw(st.integers(0, 8)) * 240_000_000,
        outcome=draw(st.sampled_from([Outcome.OK, Outcome.PROVIDER_FAULT, Outcome.INTERRUPTED, Outcome.UNKNOWN])),
        model=draw(st.sampled_from([None, "m", "free"])),
        provider=draw(st.sampled_from(["openai", "OpenAI", None])),
        origin_id=draw(st.sampled_from(["r1", "r1", "r2", None])),
        app=draw(st.sampled_from([None, "shop"])),
        app_title=draw(st.sampled_from([None, "The Shop"])),
        latency_ms=draw(st.sampled_from([None, 0, 840])),
        meters={} if tokens is None else {"input": tokens, "output": 2},
        quality="none" if tokens is None else draw(st.sampled_from(["exact", "partial", "estimated"])),
        **stated,
    )


@given(st.lists(records(), max_size=7), st.randoms())
def test_any_order_of_records_is_the_same_calls(some: list[Call], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(group(some), key=repr) == sorted(group(shuffled), key=repr)


@given(some=st.lists(records(), min_size=1, max_size=5), random=st.randoms())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_arrival_is_the_same_rows_and_cells(
    some: list[Call], random: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    together = store(folder / "together", some)
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for each in shuffled:
        apart = store(folder / "apart", [each])
    assert contents(together) == contents(apart)
    assert check(together) == check(apart) == []
    together.dispose()
    apart.dispose()


def test_the_origin_that_one_record_of_an_id_states_and_the_start_that_another_does_are_looked_for_together(
    tmp_path: Path,
) -> None:
    """The lookup began twelve minutes late: only with its gateway's record is it within ten of the transport's."""
    one = "id=019a0000000070008000000000000001"
    told = calls(f"""
        12:00 openai m 1/1 ok source=gateway {one}
        12:12 openai m -   ok source=lookup origin_id=r2 {one}
        12:00 openai m 1/1 ok source=transport origin_id=r2
    """)
    for number, order in enumerate(itertools.permutations(told)):
        for each in order:
            engine = store(tmp_path / str(number), [each])
        assert [row["id"] for row in contents(engine)["v_calls"]] == ["019a0000000070008000000000000001"]
        assert check(engine) == []
        engine.dispose()


def test_images_that_one_record_only_counted_are_priced_when_another_knows_that_they_are_the_usage(
    tmp_path: Path,
) -> None:
    """Of the same meters one says that no usage was reported, the other that this is all of it."""
    told = calls("""
        12:00 openai m - ok origin_id=r1 source=gateway images_in=1 quality=none
        12:00 openai m - ok origin_id=r1 source=csv images_in=1 quality=exact
    """)
    for number, order in enumerate(itertools.permutations(told)):
        for each in order:
            engine = store(tmp_path / str(number), [each])
        assert [row["cost_picousd"] for row in contents(engine)["v_calls"]] == [14_450_000_000]
        assert check(engine) == []
        engine.dispose()


def test_three_sources_in_all_orders_are_one_row(tmp_path: Path) -> None:
    told = calls("""
        12:00 openai m 1/1 ok origin_id=r1 source=gateway quality=partial attempts=azure:provider_fault,openai:ok
        12:01 openai m 1000/200 ok origin_id=r1 source=otlp user=ann
        12:02 openai m - unknown origin_id=r1 source=csv reported_cost=5
    """)
    found = []
    for number, order in enumerate(itertools.permutations(told)):
        for each in order:
            engine = store(tmp_path / str(number), [each])
        found.append(contents(engine))
        assert check(engine) == []
        engine.dispose()
    assert all(each == found[0] for each in found)
    assert len(found[0]["v_calls"]) == 1
    (row,) = found[0]["v_calls"]
    assert (row["input_tokens"], row["user"], row["reported_cost_picousd"]) == (1000, "ann", 5)
    assert row["cost_picousd"] == 1000 * 10_000_000 + 200 * 30_000_000
    assert len(found[0]["v_attempts"]) == 2
