"""Every way in which a call can end is recorded, once, as what it was."""

import asyncio
from pathlib import Path

import pytest

from collector.core.calls import Call
from collector.core.outcomes import Outcome
from tests.gateway.inside import (
    ANSWER,
    QUESTION,
    STREAM_HEAD,
    STREAMED,
    USAGE,
    USAGE_PART,
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

WITHIN_S = 10.0
DONE = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
EXACT = ({"input": 12, "output": 5}, "exact")


def only(folder: Path) -> Call:
    found = calls(folder)
    assert len(found) == 1
    return found[0]


def event(part: object) -> bytes:
    return stream(part, end=False)[len(STREAM_HEAD) : -len(b"0\r\n\r\n")]


def begins(*parts: object, goes_on: asyncio.Event | None = None, then: bytes = b"") -> Script:
    """A stream that stalls after its first parts, until it is told to go on."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(event, parts)))
        await writer.drain()
        if goes_on is not None:
            await goes_on.wait()
            writer.write(then)
            await writer.drain()

    return script


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A provider that takes the request and never answers."""


async def started(gateway: Inside, client: Asking) -> "asyncio.Task[None]":
    task = asyncio.create_task(gateway.gateway(client.scope, client.receive, client.send))
    while not gateway.providers["one"].requests:
        await asyncio.sleep(0.005)
    return task


def test_a_plain_answer_is_relayed_as_it_came(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, plain(ANSWER)) as gateway:
            answered = await gateway.ask(QUESTION)
            assert answered.status == 200
            assert answered.body == plain(ANSWER).split(b"\r\n\r\n", 1)[1]
            assert answered.headers["x-callmeter-provider"] == "one"
            assert answered.headers["x-callmeter-call-id"] == only(tmp_path).id

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.http_status, call.finish_reason, call.user) == (Outcome.OK, 200, "stop", "u-1")
    assert (call.meters, call.quality) == EXACT
    assert (call.provider, call.served_model, call.origin_id) == ("one", "m-served", "gen-1")
    assert [(a.provider, a.model, a.outcome, a.http_status) for a in call.attempts] == [("one", "m", Outcome.OK, 200)]


def test_a_stream_loses_only_the_usage_that_was_not_asked_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, stream(said(), said(None, "stop"), USAGE_PART)) as gateway:
            answered = await gateway.ask(STREAMED)
            assert answered.events == [said(), said(None, "stop"), "[DONE]"]
            assert gateway.providers["one"].bodies[0]["stream_options"] == {"include_usage": True}

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.streamed, call.finish_reason) == (Outcome.OK, True, "stop")
    assert (call.meters, call.quality) == EXACT
    assert call.first_token_ms is not None


def test_a_stream_and_a_plain_answer_of_the_same_words_have_the_same_usage(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, plain(ANSWER), stream(said(), said(None, "stop"), USAGE_PART)) as gateway:
            await gateway.ask(QUESTION)
            await gateway.ask(STREAMED)

    asyncio.run(run())
    one, other = calls(tmp_path)
    assert (one.meters, one.quality, one.served_model, one.origin_id, one.finish_reason) == (
        (other.meters, other.quality, other.served_model, other.origin_id, other.finish_reason)
    )


@pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "stream"])
def test_a_client_that_is_gone_before_the_first_piece_is_cancelled(tmp_path: Path, body: object) -> None:
    async def run() -> None:
        async with inside(tmp_path, silence) as gateway:
            client = Asking(body)
            task = await started(gateway, client)
            client.leave()
            await asyncio.wait_for(task, WITHIN_S)
            await asyncio.wait_for(gateway.providers["one"].hung_up.wait(), WITHIN_S)
            assert client.messages == []

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.http_status, call.meters, call.quality) == (Outcome.CANCELLED, None, {}, "none")
    assert [a.outcome for a in call.attempts] == [Outcome.CANCELLED]


def test_a_client_that_leaves_during_the_answer_is_cancelled_and_so_is_the_provider(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, begins(said(), said())) as gateway:
            client = Asking(STREAMED)
            task = await started(gateway, client)
            await client.told.wait()
            client.leave()
            await asyncio.wait_for(task, WITHIN_S)
            await asyncio.wait_for(gateway.providers["one"].hung_up.wait(), WITHIN_S)

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.http_status, call.finish_reason) == (Outcome.CANCELLED, 200, None)
    assert call.first_token_ms is not None


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_client_that_cannot_be_sent_to_is_cancelled(tmp_path: Path, pieces: int) -> None:
    async def run() -> None:
        client = Asking(STREAMED)
        client.breaks_after = pieces
        script = begins(said(), goes_on=client.told, then=event(said()) * 3)
        async with inside(tmp_path, script) as gateway:
            await asyncio.wait_for(gateway.gateway(client.scope, client.receive, client.send), WITHIN_S)

    asyncio.run(run())
    assert only(tmp_path).outcome is Outcome.CANCELLED


def test_a_client_that_leaves_after_the_finish_reason_costs_what_the_usage_then_says(tmp_path: Path) -> None:
    async def run() -> None:
        client, goes_on = Asking(STREAMED), asyncio.Event()
        script = begins(said(), said(None, "stop"), goes_on=goes_on, then=event(USAGE_PART) + DONE)
        async with inside(tmp_path, script, limits={"usage_wait_s": WITHIN_S}) as gateway:
            task = await started(gateway, client)
            await client.told.wait()
            client.leave()
            await asyncio.sleep(0.05)
            assert not task.done()
            goes_on.set()
            await asyncio.wait_for(task, WITHIN_S)

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.finish_reason) == (Outcome.OK, "stop")
    assert (call.meters, call.quality) == EXACT


def test_usage_that_does_not_come_is_not_waited_for_longer_than_the_limit(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, begins(said(), said(None, "stop")), limits={"usage_wait_s": 0.05}) as gateway:
            client = Asking(STREAMED)
            task = await started(gateway, client)
            await client.told.wait()
            client.leave()
            await asyncio.wait_for(task, WITHIN_S)

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.meters, call.quality) == (Outcome.OK, {}, "none")


@pytest.mark.parametrize(
    ("choices", "error_type"),
    [({"first_byte_timeout_s": 0.05}, "first_byte_timeout"), ({"total_timeout_s": 0.05}, "total_timeout")],
)
@pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "stream"])
def test_a_provider_that_does_not_answer_in_time_is_at_fault(
    tmp_path: Path, body: object, choices: dict[str, float], error_type: str
) -> None:
    async def run() -> None:
        async with inside(tmp_path, silence, **choices) as gateway:
            answered = await asyncio.wait_for(gateway.ask(body), WITHIN_S)
            assert (answered.status, answered.error["code"]) == (504, "timeout")

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.http_status, call.error_type) == (Outcome.PROVIDER_FAULT, 504, error_type)


def test_a_stream_that_takes_too_long_ends_in_one_error_event(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, begins(said()), total_timeout_s=0.1) as gateway:
            answered = await asyncio.wait_for(gateway.ask(STREAMED), WITHIN_S)
            assert answered.events[0] == said()
            assert answered.events[1]["error"]["code"] == "timeout"
            assert answered.events[1]["choices"][0]["finish_reason"] == "error"
            assert len(answered.events) == 2
            assert answered.complete

    asyncio.run(run())
    assert only(tmp_path).outcome is Outcome.PROVIDER_FAULT


@pytest.mark.parametrize(("cut", "error_type"), [(True, "disconnected"), (False, "stream_truncated")])
def test_a_stream_that_breaks_off_ends_in_one_error_event(tmp_path: Path, cut: bool, error_type: str) -> None:
    async def run() -> None:
        async with inside(tmp_path, stream(said(), said(usage=USAGE), cut=cut, end=False)) as gateway:
            answered = await asyncio.wait_for(gateway.ask(STREAMED), WITHIN_S)
            assert answered.events[:2] == [said(), said(usage=USAGE)]
            assert answered.events[2]["error"]["message"].startswith("the provider one ")
            assert len(answered.events) == 3

    asyncio.run(run())
    call = only(tmp_path)
    assert (call.outcome, call.http_status, call.error_type) == (Outcome.PROVIDER_FAULT, 200, error_type)
    assert (call.meters, call.quality) == ({"input": 12, "output": 5}, "partial")


def test_a_gateway_that_is_stopped_says_so_to_the_calls_that_still_run(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, begins(said()), silence) as gateway:
            streaming, waiting = Asking(STREAMED), Asking(QUESTION)
            first = await started(gateway, streaming)
            await streaming.told.wait()
            second = asyncio.create_task(gateway.gateway(waiting.scope, waiting.receive, waiting.send))
            while len(gateway.providers["one"].requests) < 2:
                await asyncio.sleep(0.005)
            for task in (first, second):
                task.cancel()  # as the server does when limits.drain_s has passed
            await asyncio.wait([first, second], timeout=WITHIN_S)
            assert b"gateway_stopping" in streaming.messages[-1]["body"]
            assert waiting.messages[0]["status"] == 503

    asyncio.run(run())
    assert [(c.outcome, c.error_type) for c in calls(tmp_path)] == [(Outcome.INTERRUPTED, "gateway_stopped")] * 2


def test_the_record_is_written_before_the_terminal_event_is_sent(tmp_path: Path) -> None:
    async def run() -> None:
        for body, script in ((QUESTION, plain(ANSWER)), (STREAMED, stream(said(), said(None, "stop"), USAGE_PART))):
            async with inside(tmp_path, script) as gateway:
                client = Asking(body)
                written: list[int] = []
                send = client.send

                async def watching(message: object, send: object = send, written: list[int] = written) -> None:
                    written.append(sum(call.outcome is Outcome.OK for call in calls(tmp_path)))
                    await send(message)  # type: ignore[operator]

                await gateway.gateway(client.scope, client.receive, watching)
                before = 0 if body is QUESTION else 1
                assert written[-1] == before + 1
                assert written[0] == before + (body is QUESTION)  # a plain answer is held whole

    asyncio.run(run())


def test_a_call_is_in_the_journal_before_the_provider_hears_of_it(tmp_path: Path) -> None:
    async def run() -> None:
        opened: list[int] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.append(len(calls(tmp_path)))
            writer.write(plain(ANSWER))

        async with inside(tmp_path, script) as gateway:
            await gateway.ask(QUESTION)
        assert opened == [1]

    asyncio.run(run())


def test_chunks_go_on_when_they_come(tmp_path: Path) -> None:
    """The first piece reaches the client while the provider has not gone on."""

    async def run() -> None:
        goes_on = asyncio.Event()
        script = begins(said("early"), goes_on=goes_on, then=event(said(None, "stop")) + DONE)
        async with inside(tmp_path, script) as gateway:
            client = Asking(STREAMED)
            task = await started(gateway, client)
            await asyncio.wait_for(client.told.wait(), WITHIN_S)
            assert b"early" in client.messages[-1]["body"]
            goes_on.set()
            await asyncio.wait_for(task, WITHIN_S)
            assert client.messages[-1] == {
                "type": "http.response.body",
                "body": b"data: [DONE]\n\n",
                "more_body": False,
            }

    asyncio.run(run())
    assert only(tmp_path).outcome is Outcome.OK
