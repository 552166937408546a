"""GET generation?id=: out of the journal until the call is in the ledger, and the same out of the ledger afterwards."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.core.calls import Call
from collector.core.outcomes import Outcome
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.operations import SURFACES
from collector.intake.gateway.pages.generation import one
from collector.intake.gateway.pages.served import Asked, Sources
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.settings import Limits, Settings
from tests.gateway.published import faults
from tests.stored import BOOK, NOW_US
from tests.tables import call, instant

ANSWERED = call(
    "12:00 openai m 1000/500 ok 840ms origin_id=gen-1 app=https://app.example user=ann session=s-1 images_in=2"
    " reasoning=7 cache_read=24 first_token_ms=120 streamed=1 finish_reason=stop served_model=m http_status=200"
)
RESCUED = call(
    "12:01 openai m 10/5 ok 90ms origin_id=gen-2 attempts=dear:rate_limited,openai:ok reported_cost=9 own_key_cost=8"
)
CANCELLED = call("12:02 openai m - cancelled 50ms origin_id=gen-3 http_status=200")
UNPRICED = call("12:03 openai nobody-knows 10/5 ok 50ms origin_id=gen-4")
REFUSED = call("12:04 - nobody-knows - refused 1ms error_type=model_not_found http_status=404")
ALL = (ANSWERED, RESCUED, CANCELLED, UNPRICED, REFUSED)


def settings(folder: Path, **limits: Any) -> Settings:
    url = f"sqlite:///{folder / 'callmeter.db'}"
    return Settings(data_dir=folder, ledger_url=url, limits=Limits(**limits))


def told(sources: Sources, name: str) -> dict[str, Any]:
    reply = one(sources, Asked(SURFACES[1], {}, f"id={name}".encode(), NOW_US))
    found = json.loads(reply.body)
    assert faults("/generation", "get", 200, found) == []
    assert isinstance(found["data"], dict)
    return found["data"]


def journal(folder: Path, *calls: Call) -> None:
    """Each is opened and closed, one of them twice: a retry of the client has an id of its own."""
    writer = Writer(folder / "journal", "gateway", Limits(), "interval")
    for each in calls:
        begun = msgspec.structs.replace(each, outcome=Outcome.INTERRUPTED, attempts=(), origin_id=None, meters={})
        writer.close(writer.open(begun), each)
    writer.stop()


def test_a_generation_is_the_same_before_and_after_it_is_stored(tmp_path: Path) -> None:
    journal(tmp_path, *ALL)
    sources = Sources(settings(tmp_path), BOOK)
    before = {each.id: told(sources, each.id) for each in ALL}
    engine = open_ledger(sources.settings.ledger_url, create=True)
    assert {each.id: told(Sources(sources.settings, BOOK), each.id) for each in ALL} == before  # not drained yet
    drain(engine, tmp_path / "journal", BOOK, Limits(), NOW_US)
    engine.dispose()
    after = {each.id: told(Sources(sources.settings, BOOK), each.id) for each in ALL}
    assert after == before


def test_what_it_tells(tmp_path: Path) -> None:
    journal(tmp_path, *ALL)
    sources = Sources(settings(tmp_path), BOOK)
    answered = told(sources, "gen-1")
    assert (answered["is_byok"], told(sources, "gen-2")["is_byok"]) == (False, True)
    assert (answered["id"], answered["upstream_id"], answered["request_id"]) == ("gen-1", "gen-1", ANSWERED.id)
    assert (answered["tokens_prompt"], answered["tokens_completion"]) == (1024, 507)
    assert (answered["native_tokens_cached"], answered["native_tokens_reasoning"]) == (24, 7)
    assert (answered["num_media_prompt"], answered["streamed"], answered["cancelled"]) == (2, True, False)
    assert (answered["external_user"], answered["session_id"]) == ("ann", "s-1")
    assert (answered["latency"], answered["created_at"]) == (840, "2026-10-01T12:00:00.000000+00:00")
    assert answered["total_cost"] == 0.05435  # 1,024 x $10/M + 507 x $30/M + 2 x $14.45/K
    assert answered["callmeter"]["cost_usd"] == "0.05435"
    assert [each["status"] for each in answered["provider_responses"]] == [200]


def test_attempts_cancellations_and_refusals_are_told(tmp_path: Path) -> None:
    journal(tmp_path, *ALL)
    sources = Sources(settings(tmp_path), BOOK)
    rescued = told(sources, "gen-2")
    assert [each.get("provider_name") for each in rescued["provider_responses"]] == [None, "OpenAI"]
    assert [(each["provider"], each["outcome"]) for each in rescued["callmeter"]["attempts"]] == [
        ("dear", "rate_limited"),
        ("openai", "ok"),
    ]
    assert told(sources, "gen-3")["cancelled"] is True
    refused = told(sources, REFUSED.id)
    assert (refused["provider_responses"], refused["provider_name"], refused["total_cost"]) == ([], None, 0)


def test_a_call_without_a_price_says_so(tmp_path: Path) -> None:
    journal(tmp_path, *ALL)
    unpriced = told(Sources(settings(tmp_path), BOOK), "gen-4")
    assert unpriced["total_cost"] == 0  # which OpenRouter's schema does not let be null
    assert (unpriced["callmeter"]["cost_usd"], unpriced["callmeter"]["unpriced_reason"]) == (
        None,
        "no price for nobody-knows at openai",
    )


@pytest.mark.parametrize("name", ["gen-9", "0" * 32, "%00", "%27 OR 1=1", "x" * 500, "gen-1%20"])
def test_an_unknown_id_is_not_found(name: str, tmp_path: Path) -> None:
    journal(tmp_path, RESCUED)
    with pytest.raises(Refusal, match="no generation with the id") as refusal:
        told(Sources(settings(tmp_path), BOOK), name.replace(" ", "%20"))
    assert refusal.value.problem.status == 404


@pytest.mark.parametrize("query", ["", "id=", "id=%20"])
def test_a_missing_id_is_said(query: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="`id` is missing"):  # as 404: OpenRouter documents no 400
        one(Sources(settings(tmp_path), BOOK), Asked(SURFACES[1], {}, query.encode(), NOW_US))


def test_a_running_call_is_not_told_of_yet(tmp_path: Path) -> None:
    running = call("12:00 - m - interrupted")
    writer = Writer(tmp_path / "journal", "gateway", Limits(), "interval")
    writer.open(running)
    with pytest.raises(Refusal, match="still running"):
        told(Sources(settings(tmp_path), BOOK), running.id)
    writer.stop()


def test_the_journal_is_read_up_to_a_bound(tmp_path: Path) -> None:
    journal(tmp_path, ANSWERED, *(call(f"12:0{n % 10} openai m 1/1 ok user=u{n}") for n in range(2000)), UNPRICED)
    with pytest.raises(Refusal, match="no generation"):
        told(Sources(settings(tmp_path, search_bytes=1000), BOOK), "gen-4")
    assert told(Sources(settings(tmp_path), BOOK), "gen-4")["id"] == "gen-4"


def test_of_two_calls_with_one_id_the_newer_is_told(tmp_path: Path) -> None:
    again = msgspec.structs.replace(ANSWERED, id="f" * 32, started_at=instant("13:00"))
    journal(tmp_path, ANSWERED, again)
    sources = Sources(settings(tmp_path), BOOK)
    engine = open_ledger(sources.settings.ledger_url, create=True)
    drain(engine, tmp_path / "journal", BOOK, Limits(), NOW_US)
    engine.dispose()
    assert told(sources, "gen-1")["request_id"] == again.id
