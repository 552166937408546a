"""Bounds: of what is taken in, of what runs at once, of the journal's room; and what is served besides calls."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from collector.core.errors import JournalFailed
from collector.core.outcomes import Outcome
from collector.ledger import journal
from collector.ledger.journal import Uncounted, Writer
from collector.settings import Limits
from tests.gateway import live
from tests.gateway.inside import ANSWER, QUESTION, STREAMED, Answered, Asking, calls, inside, plain, said, stream
from tests.gateway.test_upstream import Provider

BIG = {"model": "m", "messages": [{"role": "user", "content": "x" * 5000}]}


def outcomes(folder: Path) -> list[tuple[str, int | None, str | None, int]]:
    return [(str(c.outcome), c.http_status, c.error_type, len(c.attempts)) for c in calls(folder)]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_its_limit_is_refused_and_recorded(tmp_path: Path, declared: bool) -> None:
    async def run() -> None:
        async with inside(tmp_path, limits={"max_body_bytes": 4000}) as gateway:
            more = {"content_length": "5100"} if declared else {}
            answered = await gateway.ask(BIG, **more)
            assert (answered.status, answered.error["code"]) == (413, "payload_too_large")
            assert "max_body_bytes = 4000" in answered.error["message"]
            assert answered.headers["connection"] == "close"

    asyncio.run(run())
    assert outcomes(tmp_path) == [("refused", 413, "payload_too_large", 0)]


@pytest.mark.parametrize("declared", [True, False])
def test_a_client_that_sends_far_more_than_its_limit_is_told_so(tmp_path: Path, declared: bool) -> None:
    """It reads no answer before it has sent everything, as most clients do."""
    piece = b"x" * 1_000_000

    async def main() -> None:
        async with live.gateway(tmp_path, Provider(plain(ANSWER)), limits=Limits(max_body_bytes=4000)) as gateway:
            framing = b"Content-Length: 40000000" if declared else b"Transfer-Encoding: chunked"
            lines = [b"POST /v1/chat/completions HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/json"]
            reader, writer = await gateway.connect(b"\r\n".join([*lines, framing, b"", b""]))
            for _ in range(40):
                writer.write(piece if declared else live.chunk(piece))
                await writer.drain()
            writer.write(b"" if declared else live.LAST_CHUNK)
            reply = live.reply_of(await asyncio.wait_for(reader.read(-1), live.WITHIN_S))
            writer.close()
            assert (reply.status, reply.error["code"]) == (413, "payload_too_large")
            assert (await gateway.only()).error_type == "payload_too_large"

    live.run(main)


def test_clients_that_go_on_sending_what_was_refused_hold_no_room_of_others(tmp_path: Path) -> None:
    limits = Limits(max_body_bytes=4000, max_concurrent_calls=5)

    async def main() -> None:
        async with live.gateway(tmp_path, Provider(plain(ANSWER)), limits=limits) as gateway:
            lines = [b"POST /v1/chat/completions HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/json"]
            head = b"\r\n".join([*lines, b"Content-Length: 40000000", b"", b"x"])
            refused = [await gateway.connect(head) for _ in range(5)]
            for reader, _ in refused:
                assert b" 413 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), live.WITHIN_S)
            for _, writer in refused:
                writer.write(b"x")
            assert (await gateway.ask(live.chat())).status == 200
            for _, writer in refused:
                writer.close()

    live.run(main)


def test_headers_over_their_limit_are_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, limits={"max_header_bytes": 300}) as gateway:
            answered = await gateway.ask(QUESTION, x_much="y" * 300)
            assert (answered.status, answered.error["code"]) == (431, "headers_too_large")
            assert gateway.gateway.refusals == {"headers_too_large": 1}

    asyncio.run(run())
    assert calls(tmp_path) == []


@pytest.mark.parametrize("begun", [[b'{"model"'], []], ids=["a part", "nothing"])
def test_a_body_that_never_comes_to_its_end_is_given_up(begun: list[bytes], tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, total_timeout_s=0.05) as gateway:
            client = Asking(QUESTION)
            parts = [{"type": "http.request", "body": body, "more_body": True} for body in begun]

            async def receive() -> Any:
                return parts.pop() if parts else await client._left.wait()

            await asyncio.wait_for(gateway.gateway(client.scope, receive, client.send), 10)
            assert Answered(client.messages).status == 408

    asyncio.run(run())
    assert outcomes(tmp_path) == [("refused", 408, "timeout", 0)]


def test_a_client_that_leaves_before_its_body_is_whole_has_asked_for_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path) as gateway:
            client = Asking(QUESTION)
            parts = [{"type": "http.disconnect"}, {"type": "http.request", "body": b'{"model"', "more_body": True}]

            async def receive() -> Any:
                return parts.pop()

            await asyncio.wait_for(gateway.gateway(client.scope, receive, client.send), 10)
            assert client.messages == []

    asyncio.run(run())
    assert calls(tmp_path) == []


def test_more_calls_at_once_than_the_limit_are_refused_and_may_come_again(tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await goes_on.wait()
        writer.write(plain(ANSWER))

    async def run() -> None:
        async with inside(tmp_path, slow, plain(ANSWER), limits={"max_concurrent_calls": 1}) as gateway:
            first = asyncio.create_task(gateway.ask(QUESTION))
            while not gateway.providers["one"].requests:
                await asyncio.sleep(0.005)
            second = await gateway.ask(QUESTION)
            assert (second.status, second.error["code"], second.headers["retry-after"]) == (503, "too_many_calls", "1")
            goes_on.set()
            assert (await first).status == 200
            assert (await gateway.ask(QUESTION)).status == 200

    asyncio.run(run())
    assert sorted(outcome for outcome, *_ in outcomes(tmp_path)) == ["ok", "ok", "refused"]


def test_a_full_journal_turns_calls_away_before_the_provider_hears_of_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, plain(ANSWER), limits={"journal_bytes": 1000}) as gateway:
            answered = await gateway.ask(QUESTION)
            assert (answered.status, answered.error["code"]) == (503, "journal_full")
            assert answered.headers["retry-after"] == "5"
            assert gateway.providers["one"].requests == []

    asyncio.run(run())
    assert calls(tmp_path) == []


@pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "stream"])
def test_under_serve_calls_pass_uncounted_and_that_is_recorded_when_there_is_room(
    tmp_path: Path, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = stream(said(), said(None, "stop")) if body is STREAMED else plain(ANSWER)

    async def run() -> None:
        async with inside(tmp_path, answer, answer, answer, on_journal_failure="serve") as gateway:
            with monkeypatch.context() as patch:
                patch.setattr(Writer, "_make_room", _no_room)
                assert [(await gateway.ask(body)).status for _ in range(2)] == [200, 200]
                assert (await page(gateway.gateway, "/readyz")).json["uncounted_calls"] == 2
            assert (await gateway.ask(body)).status == 200
            assert (await page(gateway.gateway, "/readyz")).json["uncounted_calls"] == 0

    asyncio.run(run())
    records = [
        record
        for path in journal.segments(tmp_path / "journal")
        for _, record in journal.read(path, 0, 1 << 20).records
    ]
    assert [record.count for record in records if isinstance(record, Uncounted)] == [2]
    assert len({record.call.id for record in records if hasattr(record, "call")}) == 1


def _no_room(self: Writer, *_: object) -> None:
    raise journal.writer.JournalFull("no room")


def test_an_answer_already_paid_for_is_delivered_whatever_the_disk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Writer, *_: object) -> None:
        raise JournalFailed("input/output error")

    async def run() -> None:
        async with inside(tmp_path, plain(ANSWER)) as gateway:
            monkeypatch.setattr(Writer, "close", fails)
            assert (await gateway.ask(QUESTION)).status == 200
            assert (await page(gateway.gateway, "/readyz")).json["journal_failures"] == 1

    asyncio.run(run())
    assert [call.outcome for call in calls(tmp_path)] == [Outcome.INTERRUPTED]


async def page(gateway: Any, path: str, method: str = "GET", **headers: str) -> Answered:
    client = Asking(b"", path, method, **headers)
    await gateway(client.scope, client.receive, client.send)
    return Answered(client.messages)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/healthz", 200, None),
        ("GET", "/readyz", 200, None),
        ("GET", "/v1/models", 200, None),
        ("GET", "/api/v1/models", 200, None),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/chat/completions/", 404, "unknown_path"),
        ("GET", "/", 404, "unknown_path"),
        ("GET", "/v1/../healthz", 404, "unknown_path"),
    ],
)
def test_what_else_is_served(tmp_path: Path, method: str, path: str, status: int, code: str | None) -> None:
    async def run() -> None:
        async with inside(tmp_path, b"", then=(b"",)) as gateway:
            answered = await page(gateway.gateway, path, method)
            assert answered.status == status
            assert code is None or answered.error["code"] == code
            if path.endswith("/models") and status == 200:
                assert [model["id"] for model in answered.json["data"]] == ["m"]

    asyncio.run(run())
    assert calls(tmp_path) == []


def test_openrouters_errors_have_openrouters_shape(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path) as gateway:
            answered = await gateway.ask(b"{", "/api/v1/chat/completions")
            assert answered.status == 400
            assert json.loads(answered.body)["error"].keys() == {"code", "message", "metadata"}
            assert answered.error["code"] == 400

    asyncio.run(run())
    assert outcomes(tmp_path) == [("refused", 400, "invalid_request", 0)]
