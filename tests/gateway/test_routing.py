"""Plans at work in the gateway: what is tried after what, what is remembered, what is told and recorded."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.outcomes import Outcome
from collector.intake.gateway.asked import read_asked
from collector.intake.gateway.operations import OPERATIONS, SURFACES
from collector.intake.gateway.router import router_of
from collector.intake.gateway.shared import sessions
from collector.intake.gateway.shared.fared import Ended, Fared, Slot
from collector.intake.gateway.shared.sessions import Sessions
from collector.intake.gateway.shared.state import _SESSIONS
from collector.intake.gateway.trial import wait_of
from collector.settings import Endpoint, Provider, Settings
from tests.gateway.inside import (
    ANSWER,
    QUESTION,
    STREAMED,
    Answered,
    Asking,
    Inside,
    Script,
    calls,
    chunk,
    inside,
    plain,
    said,
    stream,
)

FAULT, LIMITED, CALLER, OK = Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED, Outcome.CALLER_FAULT, Outcome.OK
NOW_US = 1_790_000_000_000_000
S = 1_000_000


def failed(status: int = 503, code: str = "no", more: str = "") -> bytes:
    return plain({"error": {"message": "no", "code": code}}, status, more=more)


def asked(folder: Path, what: Callable[[Inside], Awaitable[None]], *scripts: bytes | Script, **options: Any) -> None:
    async def run() -> None:
        async with inside(folder, *scripts, **options) as gateway:
            await asyncio.wait_for(what(gateway), 20)

    asyncio.run(run())


def tried(folder: Path) -> list[list[tuple[str, str, Outcome]]]:
    """Provider, model and outcome of every attempt of every call."""
    return [[(each.provider, each.model, each.outcome) for each in call.attempts] for call in calls(folder)]


TWO_MODELS = (Endpoint("m", "one"), Endpoint("n", "two"))
BOTH = {**QUESTION, "models": ["m", "n"]}


def test_with_several_models_any_error_tries_the_next_model(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        answered = await gateway.ask(BOTH)
        assert (answered.status, answered.headers["x-callmeter-provider"]) == (200, "two")
        assert gateway.providers["two"].bodies == [{**QUESTION, "model": "n"}]

    asked(tmp_path, what, failed(400, "context_length_exceeded"), then=(plain(ANSWER),), endpoints=TWO_MODELS)
    (call,) = calls(tmp_path)
    assert tried(tmp_path) == [[("one", "m", CALLER), ("two", "n", OK)]]
    assert (call.model, call.outcome) == ("n", OK)  # what was bought


def test_an_error_in_what_was_asked_skips_the_other_endpoints_of_its_model(tmp_path: Path) -> None:
    endpoints = (Endpoint("m", "one"), Endpoint("m", "two"), Endpoint("n", "two"))

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(BOTH)).status == 200

    asked(tmp_path, what, failed(400), then=(plain(ANSWER),), endpoints=endpoints)
    assert tried(tmp_path) == [[("one", "m", CALLER), ("two", "n", OK)]]


@pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "stream"])
def test_when_all_fail_the_last_error_lists_those_before_it(tmp_path: Path, body: dict[str, object]) -> None:
    found: list[Answered] = []

    async def what(gateway: Inside) -> None:
        found.append(await gateway.ask(body))
        found.append(await gateway.ask(body, "/api/v1/chat/completions"))

    asked(tmp_path, what, failed(500, "boom"), failed(500, "boom"), then=(failed(429, "slow"), failed(429, "slow")))
    first = [{"provider": "one", "code": "boom", "status": 500}]
    assert (found[0].status, found[0].error["code"]) == (429, "slow")
    assert found[0].error["metadata"] == {"previous_errors": first}
    second = found[1].error
    assert (second["code"], second["metadata"]["previous_errors"]) == (429, first)
    assert [outcome for _, _, outcome in tried(tmp_path)[0]] == [FAULT, LIMITED]


def test_without_fallbacks_the_first_error_is_the_answer(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        answered = await gateway.ask({**QUESTION, "provider": {"allow_fallbacks": False}})
        assert (answered.status, "metadata" in answered.error) == (503, False)

    asked(tmp_path, what, failed(), then=(plain(ANSWER),))
    assert tried(tmp_path) == [[("one", "m", FAULT)]]


def test_who_asked_to_wait_is_not_asked_before(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        for _ in range(2):
            assert (await gateway.ask(QUESTION)).headers["x-callmeter-provider"] == "two"
        refused = await gateway.ask({**QUESTION, "provider": {"only": ["one"]}})
        assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
        assert 0 < int(refused.headers["retry-after"]) <= 30
        assert len(gateway.providers["one"].requests) == 1

    asked(tmp_path, what, failed(429, more="Retry-After: 30\r\n"), then=(plain(ANSWER), plain(ANSWER)))
    assert tried(tmp_path) == [[("one", "m", LIMITED), ("two", "m", OK)], [("two", "m", OK)], []]
    assert [call.outcome for call in calls(tmp_path)] == [OK, OK, Outcome.REFUSED]


def test_what_just_failed_is_tried_last(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        for _ in range(2):
            assert (await gateway.ask(QUESTION)).status == 200

    asked(tmp_path, what, failed(), then=(plain(ANSWER), plain(ANSWER)))
    assert tried(tmp_path) == [[("one", "m", FAULT), ("two", "m", OK)], [("two", "m", OK)]]
    assert [json.loads(call.plan or "")["endpoints"] for call in calls(tmp_path)] == [
        [["one", "first"], ["two", "kept"]],
        [["two", "first"], ["one", "last: failing"]],
    ]


def test_a_session_stays_where_its_cache_is(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        def served(answered: Answered) -> str:
            return answered.headers["x-callmeter-provider"]

        prefer = {"provider": {"order": ["two"]}}
        assert served(await gateway.ask({**QUESTION, **prefer, "session_id": "s"})) == "two"
        assert served(await gateway.ask({**QUESTION, "session_id": "s"})) == "two"
        assert served(await gateway.ask(QUESTION, x_session_id="s")) == "two"
        assert served(await gateway.ask({**QUESTION, "prompt_cache_key": "other"})) == "one"

    asked(tmp_path, what, plain(ANSWER), then=(plain(ANSWER), plain(ANSWER), plain(ANSWER)))


def test_a_session_stays_there_for_every_worker_and_after_a_restart(tmp_path: Path) -> None:
    prefer = {"provider": {"order": ["two"]}, "session_id": "a private name"}

    async def first(gateway: Inside) -> None:
        assert (await gateway.ask({**QUESTION, **prefer})).headers["x-callmeter-provider"] == "two"
        await gateway.gateway._shared._save()

    async def second(gateway: Inside) -> None:
        named = {**QUESTION, "session_id": "a private name"}
        assert (await gateway.ask(named)).headers["x-callmeter-provider"] == "two"

    asked(tmp_path, first, plain(ANSWER), then=(plain(ANSWER),))
    assert b"a private name" not in (tmp_path / "state.db").read_bytes()
    asked(tmp_path, second, plain(ANSWER), then=(plain(ANSWER),))


@pytest.mark.parametrize(
    ("answer", "endpoints"),
    [
        (failed(503), [["two", "first"], ["one", "last: failing"]]),
        (failed(429, more="Retry-After: 60\r\n"), [["two", "first"], ["one", "dropped: asked to wait"]]),
    ],
    ids=["failed", "asked to wait"],
)
def test_how_endpoints_fared_is_known_to_every_worker_and_after_a_restart(
    tmp_path: Path, answer: bytes, endpoints: list[list[str]]
) -> None:
    async def first(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).headers["x-callmeter-provider"] == "two"
        await gateway.gateway._shared._save()

    async def second(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).headers["x-callmeter-provider"] == "two"
        assert gateway.providers["one"].requests == []

    asked(tmp_path, first, answer, then=(plain(ANSWER),))
    asked(tmp_path, second, plain(ANSWER), then=(plain(ANSWER),))
    assert json.loads(calls(tmp_path)[-1].plan or "")["endpoints"] == endpoints


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("xyz"), st.sampled_from("ab")), max_size=30))
def test_workers_that_share_sessions_know_who_answered_last(answers: list[tuple[int, str, str]]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SESSIONS)
    workers, alone = [Sessions() for _ in range(3)], Sessions()
    for n, (worker, session, endpoint) in enumerate(answers):
        for each in (workers[worker], alone):
            each.put(session, "m", endpoint, NOW_US + n)
    for worker in [*workers, *workers]:  # the last one saves what the first one reads a second later
        sessions.save(connection, worker.take(), NOW_US + 99)
        worker.learn(sessions.load(connection, NOW_US))
    for name in "xyz":
        assert {each.endpoint(name, "m", NOW_US + 99) for each in workers} == {alone.endpoint(name, "m", NOW_US + 99)}
    sessions.save(connection, {}, NOW_US + sessions.IDLE_US + 100)
    assert sessions.load(connection, 0) == []
    connection.close()


def test_of_too_many_sessions_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SESSIONS)
    known = Sessions()
    for n in range(6):
        known.put(str(n), "m", "one", NOW_US + n)
    assert [known.endpoint(str(n), "m", NOW_US) for n in range(6)] == [None] * 3 + ["one"] * 3
    sessions.save(connection, known.take(), NOW_US)
    assert [at_us - NOW_US for _, _, at_us in sessions.load(connection, 0)] == [3, 4, 5]
    connection.close()


def test_a_session_that_was_idle_for_ten_minutes_is_anybodys(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        ledger_url="sqlite://",
        config_path=tmp_path,
        providers={name: Provider("http://127.0.0.1:9/v1") for name in ("one", "two")},
        endpoints=(Endpoint("m", "one"), Endpoint("m", "two")),
    )
    router, asked = router_of(settings, None), read_asked(json.dumps(QUESTION).encode(), OPERATIONS[0])

    def first(at_s: int, session: str = "s") -> str:
        return router.plan(asked, SURFACES[0], OPERATIONS[0], session, NOW_US + at_s * S, 9).plan.routes[0].provider

    two = router.catalog.endpoints("m", "", (), NOW_US)[1]
    router.served("s", "m", two, NOW_US)
    assert [first(0), first(600), first(601), first(0, "other")] == ["two", "two", "one", "one"]


def test_a_refused_call_keeps_its_plan(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        answered = await gateway.ask({**QUESTION, "provider": {"ignore": ["one", "two"]}})
        assert (answered.status, answered.error["code"]) == (404, "no_endpoint")
        assert "one is to be ignored, two is to be ignored" in answered.error["message"]

    asked(tmp_path, what, b"", then=(b"",))
    (call,) = calls(tmp_path)
    assert (call.outcome, call.attempts) == (Outcome.REFUSED, ())
    assert json.loads(call.plan or "") == {
        "by": "order of the settings",
        "endpoints": [["one", "dropped: is to be ignored"], ["two", "dropped: is to be ignored"]],
    }


def test_after_the_first_event_nothing_else_is_tried(tmp_path: Path) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stream(said(), end=False)[: -len(b"0\r\n\r\n")])
        await asyncio.sleep(0.1)
        writer.write(chunk(b'data: {"error": {"message": "overloaded", "code": 529}}\n\n'))

    async def what(gateway: Inside) -> None:
        events = (await gateway.ask({**STREAMED, "models": ["m", "n"]})).events
        assert events[0] == said()
        assert [each["error"]["message"] for each in events[1:]] == ["overloaded"]

    asked(tmp_path, what, broken, then=(plain(ANSWER),), endpoints=TWO_MODELS)
    assert tried(tmp_path) == [[("one", "m", FAULT)]]


def test_a_wrong_wish_is_a_refused_call(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        answered = await gateway.ask({**QUESTION, "provider": {"sort": "speed"}})
        assert (answered.status, answered.error["param"]) == (400, "provider.sort")

    asked(tmp_path, what, b"")
    assert [call.outcome for call in calls(tmp_path)] == [Outcome.REFUSED]


def test_a_listed_page_may_call_and_read_the_answer_and_no_other_may(tmp_path: Path) -> None:
    page, other = "https://app.example", "https://app.example.evil"

    async def what(gateway: Inside) -> None:
        client = Asking(b"", method="OPTIONS", origin=page, access_control_request_headers="authorization,content-type")
        await gateway.gateway(client.scope, client.receive, client.send)
        told = Answered(client.messages)
        assert told.status == 204
        assert told.headers["access-control-allow-origin"] == page
        assert told.headers["access-control-allow-headers"] == "authorization,content-type"
        for body in (QUESTION, STREAMED):
            answered = await gateway.ask(body, origin=page)
            assert (answered.status, answered.headers["access-control-allow-origin"]) == (200, page)
        refused = await gateway.ask(QUESTION, origin=other)
        assert (refused.status, refused.error["code"]) == (403, "foreign_origin")
        assert "access-control-allow-origin" not in refused.headers

    asked(tmp_path, what, plain(ANSWER), stream(said(), said(None, "stop")), allowed_origins=(page,))


def ended(outcome: Outcome, at_s: float, **more: Any) -> Ended:
    return Ended("p m", outcome, NOW_US + round(at_s * S), **more)


def states(fared: Fared, *at_s: float) -> list[str]:
    found = [fared.of(["p m"], NOW_US + round(at * S)) for at in at_s]
    return [health["p m"].state for health in found]


def test_a_failure_counts_for_thirty_seconds_and_an_uptime_for_five_minutes() -> None:
    fared = Fared()
    assert fared.of(["p m"], NOW_US) == {}
    fared.add(ended(FAULT, 0))
    assert states(fared, 0, 29.9, 40) == ["failing", "failing", ""]
    for n in range(9):
        fared.add(ended(OK, n))
    assert states(fared, 10, 60, 310) == ["failing", "degraded", ""]
    for _ in range(2):
        fared.add(ended(FAULT, 10))
    assert states(fared, 60) == ["down"]


def test_what_says_nothing_of_the_endpoint_does_not_count() -> None:
    fared = Fared()
    for outcome in (CALLER, Outcome.CANCELLED, Outcome.INTERRUPTED):
        fared.add(ended(outcome, 0))
    fared.add(ended(LIMITED, 0, is_callers_key=True, wait_until_us=NOW_US + S))
    assert fared.of(["p m"], NOW_US) == {}


def test_times_are_percentiles_of_streams_first_tokens_else_of_whole_answers() -> None:
    fared = Fared()
    for ms in (100, 200, 400):
        fared.add(ended(OK, 0, latency_ms=ms, generation_ms=1000, tokens_out=ms // 10))
    health = fared.of(["p m"], NOW_US, with_times=True)["p m"]
    assert round(health.latency_s["p50"], 2) == 0.2
    assert (round(health.throughput["p50"]), round(health.throughput["p99"])) == (20, 10)
    fared.add(ended(OK, 0, latency_ms=50, streamed=True))
    assert round(fared.of(["p m"], NOW_US, with_times=True)["p m"].latency_s["p50"], 2) == 0.05


def test_workers_that_share_what_they_saw_know_what_one_would() -> None:
    one, other, alone = Fared(), Fared(), Fared()
    for n in range(40):
        each = ended(FAULT if n % 7 == 0 else OK, n, latency_ms=n, wait_until_us=0 if n else NOW_US + 90 * S)
        (one if n % 2 else other).add(each)
        alone.add(each)
    saved: dict[tuple[str, int], Slot] = {}
    for fared in (one, other):
        for place, slot in fared.take().items():
            saved.setdefault(place, Slot()).merge(slot)
    one.learn(saved, other.waits(NOW_US))
    at = NOW_US + 41 * S
    assert one.of(["p m"], at, with_times=True) == alone.of(["p m"], at, with_times=True)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        (None, 0),
        ("7", 7),
        ("0", 0),
        ("99999", 3600),
        ("-1", 0),
        ("soon", 0),
        ("Mon, 21 Sep 2026 14:13:30 GMT", 10),
        ("Mon, 21 Sep 2026 14:13:00 GMT", 0),
        ("Mon, 21 Sep 2027 14:13:30 GMT", 3600),
        ("Mon, 99 Sep 2026 14:13:30 GMT", 0),
        ("Mon, 21 Sep 2026 14:13:30 +9999999999999999", 0),
        ("Mon, 21 Sep 99999999999999999999 14:13:30 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 -0000", 3600),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(stated: str | None, seconds: int) -> None:
    assert wait_of(stated, NOW_US) == seconds
