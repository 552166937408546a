"""What is learned beside calls: stored once, replaced by later readings, in no usage and no spend."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from collector.core.calls import Attempt
from collector.core.errors import InputError
from collector.core.outcomes import Outcome
from collector.core.periods import Period
from collector.core.told import DECLINED, IN_FORCE, Incident, Probe, ProviderSum, PulledPrice, SumsRead, Told
from collector.ledger.cells import rebuild
from collector.ledger.check import check
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.ledger.questions.ask import rows
from collector.ledger.questions.billed import billed, billed_lines
from collector.ledger.questions.books import account
from collector.ledger.questions.incidents import incidents_in
from collector.settings import Limits
from tests.ledger.contents import contents
from tests.stored import BOOK, NOW_US, ZONES, store
from tests.tables import calls, instant

DAY = 20_727  # 2026-10-01
READ = NOW_US
SUM = ProviderSum(
    "openrouter_activity", DAY, "openrouter", READ, "openai/gpt-4-turbo", "", "Azure", 3,
    {"input": 900, "cache_read": 100, "output": 500}, 53_900_000_000,
)  # fmt: skip
INCIDENT = Incident("https://status.example", "i1", "openai", "slow", instant("12:00"), instant("12:05"), READ)
PRICE = PulledPrice("p1", "openrouter", "m", READ, ({"model": "m", "prices": {"input": 5}, "source": "s"},), ("new",))


def probe(n: int, outcome: Outcome = Outcome.OK, at: str = "12:00") -> Probe:
    return Probe(f"{n:032x}", Attempt("openai", "m", instant(at), outcome, 200, latency_ms=40))


def tell(folder: Path, *told: Told, table: str = "", now_us: int = NOW_US) -> Engine:
    engine = store(folder, calls(table), now_us=now_us)
    writer = Writer(folder / "journal", "collect", fsync="interval")
    for each in told:
        writer.tell(each)
    writer.stop()
    drain(engine, folder / "journal", BOOK, Limits(), now_us, ZONES)
    return engine


def asked(engine: Engine, question: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in row._mapping.items() if v is not None} for row in rows(engine, question)]


def test_a_sum_is_told_as_it_was_read_and_is_in_no_cell(tmp_path: Path) -> None:
    engine = tell(tmp_path, SUM)
    assert asked(engine, billed_lines(DAY, DAY + 1)) == [
        {"source": "openrouter_activity", "day": DAY, "provider": "openrouter", "model": "openai/gpt-4-turbo",
         "key": "", "line": "Azure", "requests": 3, "input_tokens": 900, "cache_read_tokens": 100,
         "output_tokens": 500, "cost": 53_900_000_000, "read_at": READ}
    ]  # fmt: skip
    assert contents(engine)["usage_quarters"] == []
    assert check(engine, tmp_path / "journal") == []


def test_lines_of_a_model_are_added_up_and_what_nobody_states_stays_unknown(tmp_path: Path) -> None:
    engine = tell(tmp_path, SUM, msgspec.structs.replace(SUM, line="OpenAI", meters={"input": 1}, cost=None))
    (row,) = rows(engine, billed(DAY, DAY + 1))
    assert (row.requests, row.input_tokens, row.cost, row.images_in) == (6, 901, 53_900_000_000, None)
    assert rows(engine, billed(DAY + 1, DAY + 2)) == []


def test_a_later_reading_replaces_an_earlier_one_though_the_clock_was_set_back(tmp_path: Path) -> None:
    tell(tmp_path, SUM, msgspec.structs.replace(SUM, line="OpenAI"))
    corrected = msgspec.structs.replace(SUM, requests=2, cost=1, read_at=READ - 1)
    engine = tell(tmp_path, corrected, SumsRead(SUM.source, SUM.provider, DAY, DAY + 1, READ - 1))
    (row,) = rows(engine, billed_lines(DAY, DAY + 1))
    assert (row.line, row.requests, row.cost) == ("Azure", 2, 1)


def test_a_reading_ends_only_what_it_read(tmp_path: Path) -> None:
    others = [
        msgspec.structs.replace(SUM, day=DAY + 1),
        msgspec.structs.replace(SUM, provider="other"),
        msgspec.structs.replace(SUM, source="openai_costs"),
    ]
    engine = tell(tmp_path, SUM, *others, SumsRead(SUM.source, SUM.provider, DAY, DAY + 1, READ + 1))
    assert len(rows(engine, billed_lines(0, 84_000))) == 3


def test_probes_are_attempts_and_health_and_nothing_else(tmp_path: Path) -> None:
    told = [probe(1), probe(2, Outcome.PROVIDER_FAULT), probe(3, Outcome.RATE_LIMITED), probe(1)]
    engine = tell(tmp_path, *told, *told, table="12:00 openai m 10/5 ok 840ms")
    found = contents(engine)
    assert [(row["probe"], row["outcome"], row["provider"]) for row in found["v_attempts"] if row["probe"]] == [
        (1, "ok", "openai"),
        (1, "provider_fault", "openai"),
        (1, "rate_limited", "openai"),
    ]
    assert {(cell["ok"], cell["probe_ok"], cell["probe_fault"]) for cell in found["health"]} == {(1, 1, 1)}
    assert sum(cell["calls"] for cell in found["usage_quarters"]) == 1
    assert check(engine, tmp_path / "journal") == []
    rebuild(engine)
    assert contents(engine) == found


def test_a_probe_of_a_provider_without_models_names_none(tmp_path: Path) -> None:
    whole = Probe("f" * 32, Attempt("openai", "", instant("12:00"), Outcome.OK))
    engine = tell(tmp_path, whole)
    assert [(row["provider"], row["model"]) for row in contents(engine)["v_attempts"]] == [("openai", None)]
    assert check(engine) == []


def test_check_finds_a_probe_that_no_cell_counts(tmp_path: Path) -> None:
    engine = tell(tmp_path, probe(1))
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM attempts")
    assert any("say probe_ok 0, the cell 1" in line for line in check(engine))


def test_an_incident_is_told_as_last_read(tmp_path: Path) -> None:
    over = msgspec.structs.replace(INCIDENT, ended_at=instant("13:00"), status="resolved")
    engine = tell(tmp_path, INCIDENT, over, INCIDENT, over)
    during = Period(instant("12:30"), instant("12:40"), "UTC")
    (row,) = rows(engine, incidents_in(during))
    assert (row.id, row.status, row.ended_at) == ("i1", "resolved", instant("13:00"))
    assert rows(engine, incidents_in(Period(instant("13:00"), instant("14:00"), "UTC"))) == []


def test_a_pulled_price_that_is_known_keeps_what_was_decided_of_it(tmp_path: Path) -> None:
    engine = tell(tmp_path, PRICE)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE pulled_prices SET state = '{DECLINED}'")
    tell(tmp_path, PRICE)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, state FROM pulled_prices").all() == [("p1", DECLINED)]
    assert PRICE.state == IN_FORCE


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (msgspec.structs.replace(SUM, day=-1), "days -1 to 0 are not days"),
        (msgspec.structs.replace(SUM, meters={"tool_calls": 1}), "meter 'tool_calls' is not one that sums are kept of"),
        (msgspec.structs.replace(SUM, cost=2**70), "is beyond what is possible in a day"),
        (SumsRead("s", "p", 5, 5, READ), "days 5 to 5"),
        (msgspec.structs.replace(probe(1), id="X"), "id 'X' of a probe"),
        (Probe("e" * 32, Attempt("p", "m", -1, Outcome.OK)), "started_at -1"),
        (msgspec.structs.replace(PRICE, state="perhaps"), "state 'perhaps'"),
        (msgspec.structs.replace(PRICE, sets=({"model": "m"},)), "missing required field `prices`"),
    ],
)
def test_what_cannot_be_stored_is_listed_alone(bad: Told, reason: str, tmp_path: Path) -> None:
    engine = tell(tmp_path, SUM, bad, INCIDENT, table="12:00 openai m 10/5 ok")
    with engine.connect() as connection:
        (listed,) = connection.exec_driver_sql("SELECT reason FROM rejects").scalars()
    assert reason in listed
    assert len(rows(engine, billed_lines(0, 84_000))) == 1
    assert len(rows(engine, incidents_in(Period(0, NOW_US, "UTC")))) == 1
    assert check(engine, tmp_path / "journal") == []


def test_what_is_told_beside_calls_is_not_counted_as_calls(tmp_path: Path) -> None:
    engine = tell(tmp_path, SUM, probe(1), table="12:00 openai m 10/5 ok")
    writer = Writer(tmp_path / "journal", "collect", fsync="interval")
    writer.tell(SUM)
    assert {each.source: each.accepted for each in account(engine, tmp_path / "journal")} == {"collect": 0, "test": 1}
    writer.stop()


def test_a_record_larger_than_its_bound_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "collect", Limits(max_record_bytes=1000), "interval")
    with pytest.raises(InputError, match="larger than max_record_bytes = 1000"):
        writer.tell(msgspec.structs.replace(SUM, line="x" * 1000))
    writer.stop()
