"""Every operation on both surfaces, plain and streamed, over real sockets: each ending is recorded as chat's is."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.core.calls import Call, Quality
from collector.core.outcomes import Outcome
from collector.intake.gateway.operations import OPERATIONS
from collector.settings import Endpoint, Limits
from collector.settings import Provider as ProviderSettings
from tests.gateway.inside import Answered, Asking, calls, inside
from tests.gateway.live import (
    LAST_CHUNK,
    STREAM_HEAD,
    WITHIN_S,
    Live,
    Reply,
    Staged,
    chunk,
    gateway,
    plain,
    reply_of,
    request_of,
    run,
    stalled,
)
from tests.gateway.spoken import ALL, EMBEDDINGS, MESSAGES, RESPONSES, STREAMED, Spoken
from tests.gateway.test_upstream import Provider, running

NAMES = ("first", "second")
OURS = "sk-ours-123456"
SURFACES = ("/v1", "/api/v1")


def settings_for(spoken: Spoken, *providers: Provider, **choices: Any) -> dict[str, Any]:
    """Settings in which each provider serves this operation alone."""
    named = dict(zip(NAMES, providers, strict=False))
    urls = {name: each.url.removesuffix("/chat/completions") for name, each in named.items()}
    return {
        "providers": {name: ProviderSettings(url, spoken.kind, api_key_env="K") for name, url in urls.items()},  # type: ignore[arg-type]
        "endpoints": tuple(Endpoint("m", name, operations=(spoken.name,)) for name in named),  # type: ignore[arg-type]
        **choices,
    }


def asked(
    folder: Path, spoken: Spoken, answer: bytes, *, surface: str = "/v1", then: bytes = b"", **more: Any
) -> tuple[Answered, Call, bytes]:
    """One request: what the client got, the only record, and what the provider got."""
    found: list[tuple[Answered, bytes]] = []
    scripts = {"then": (then,)} if then else {}

    async def main() -> None:
        provider = {"kind": spoken.kind, "api_key_env": "K"}
        async with inside(folder, answer, provider=provider, operations=(spoken.name,), **scripts) as live:
            reply = await live.ask({**spoken.asked, **more}, surface + spoken.path)
            found.append((reply, b"".join(live.providers["one"].requests)))

    run(main)
    (call,) = calls(folder)
    return found[0][0], call, found[0][1]


class serving:
    """A gateway whose providers run and speak this operation."""

    def __init__(self, folder: Path, spoken: Spoken, *providers: Provider) -> None:
        self._folder, self._spoken, self._providers = folder, spoken, providers

    async def __aenter__(self) -> Live:
        self._running = [running(provider) for provider in self._providers]
        for each in self._running:
            await each.__aenter__()
        self._gateway = gateway(
            self._folder, limits=Limits(usage_wait_s=0.1), **settings_for(self._spoken, *self._providers)
        )
        return await self._gateway.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        await self._gateway.__aexit__(*error)
        for each in self._running:
            await each.__aexit__(*error)


def test_each_operation_has_its_case() -> None:
    assert [each.name for each in OPERATIONS] == [spoken.name for spoken in ALL]


def holds(more: object, less: object) -> bool:
    """Whether everything of an answer is in another one, which may have more members."""
    if isinstance(more, dict) and isinstance(less, dict):
        return all(name in more and holds(more[name], value) for name, value in less.items())
    if isinstance(more, list) and isinstance(less, list):
        return len(more) == len(less) and all(map(holds, more, less))
    return more == less


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("spoken", ALL, ids=lambda each: each.name)
def test_a_plain_answer(spoken: Spoken, surface: str, tmp_path: Path) -> None:
    reply, call, sent = asked(tmp_path, spoken, plain(msgspec.json.encode(spoken.answer)), surface=surface)
    assert (reply.status, holds(json.loads(reply.body), spoken.answer)) == (200, True)
    assert reply.body == msgspec.json.encode(spoken.answer) or surface == "/api/v1"
    assert (call.outcome, call.operation, call.quality) == (Outcome.OK, spoken.name, Quality.EXACT)
    counted = {"tool_calls": 1} if spoken is MESSAGES else {}
    assert (call.meters, call.usage_problem) == ({**spoken.meters, **counted}, None)
    assert (call.finish_reason, call.native_finish_reason) == (spoken.finish_reason, spoken.native)
    assert (call.served_model, call.origin_id) == ("m-2026", spoken.answer.get("id"))
    assert json.loads(sent.split(b"\r\n\r\n", 1)[1]) == spoken.asked
    assert sent.startswith(b"POST /v1" + spoken.path.encode() + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("spoken", STREAMED, ids=lambda each: each.name)
def test_a_stream(spoken: Spoken, surface: str, tmp_path: Path) -> None:
    reply, call, _ = asked(tmp_path, spoken, spoken.streamed(), surface=surface, stream=True)
    assert (reply.status, reply.complete) == (200, True)
    assert reply.body == spoken.begin + spoken.finish + spoken.end or surface == "/api/v1"
    assert (call.outcome, call.operation, call.quality) == (Outcome.OK, spoken.name, Quality.EXACT)
    counted = {"tool_calls": 1} if spoken is MESSAGES else {}
    assert (call.meters, call.usage_problem) == ({**spoken.meters, **counted}, None)
    assert (call.finish_reason, call.native_finish_reason) == (spoken.finish_reason, spoken.native)
    assert (call.served_model, call.origin_id) == ("m-2026", "gen-1")
    assert call.first_token_ms is not None


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("spoken", STREAMED, ids=lambda each: each.name)
@pytest.mark.parametrize("how", ["truncated", "dropped", "an error"])
def test_a_stream_that_fails_ends_in_one_error_event(spoken: Spoken, how: str, surface: str, tmp_path: Path) -> None:
    rest = {"truncated": LAST_CHUNK, "dropped": b"", "an error": chunk(spoken.error) + LAST_CHUNK}[how]
    reply, call = broken_off(tmp_path, spoken, rest, surface)
    told = last_event(reply)
    error = told["error"]
    assert (reply.body.count(b'"error":{'), reply.is_whole, reply.body.endswith(spoken.end)) == (1, True, False)
    assert ("overloaded" in error["message"]) == (how == "an error")
    if spoken is MESSAGES:
        assert (told["type"], error.keys()) == ("error", {"type", "message"})
    elif spoken is RESPONSES:
        assert (told["type"], told["message"], told["sequence_number"]) == (
            "error",
            error["message"],
            len_events(reply),
        )
    else:
        assert (told["choices"][0]["finish_reason"], told["id"], told["model"]) == ("error", "gen-1", "m-2026")
    assert (call.outcome, call.http_status, len(call.attempts)) == (Outcome.PROVIDER_FAULT, 200, 1)
    assert call.meters == spoken.meters_begun
    assert call.quality == (Quality.PARTIAL if spoken.meters_begun else Quality.NONE)


def broken_off(folder: Path, spoken: Spoken, rest: bytes, surface: str) -> tuple[Reply, Call]:
    """A stream whose `rest` comes when the client has seen its beginning; there is a second provider that would do."""
    found: list[tuple[Reply, Call]] = []

    async def main() -> None:
        script, spare = Staged(STREAM_HEAD + chunk(spoken.begin), rest), Provider(spoken.streamed())
        async with serving(folder, spoken, Provider(script), spare) as live:
            body = {**spoken.asked, "stream": True}
            reader, writer = await live.connect(request_of(body, surface + spoken.path))
            begun = await reader.readuntil(b"data: ")
            script.go_on.set()
            found.append((reply_of(begun + await reader.read(-1)), await live.only()))
            writer.close()
        assert not spare.requests

    run(main)
    return found[0]


def last_event(reply: Reply) -> dict[str, Any]:
    event = reply.body.rstrip(b"\n").rpartition(b"\n\n")[2]
    found = json.loads(event.partition(b"data: ")[2])
    assert isinstance(found, dict)
    return found


def len_events(reply: Reply) -> int:
    """The upstream's events: all but the gateway's own, and one more where the upstream told the error itself."""
    own = reply.body.count(b"\n\n") - 1
    return own + (b"overloaded" in reply.body)


@pytest.mark.parametrize("spoken", STREAMED, ids=lambda each: each.name)
def test_a_client_that_hangs_up_cancels_the_upstream(spoken: Spoken, tmp_path: Path) -> None:
    async def main() -> None:
        script = stalled(STREAM_HEAD + chunk(spoken.begin))
        async with serving(tmp_path, spoken, Provider(script)) as live:
            reader, writer = await live.connect(request_of({**spoken.asked, "stream": True}, "/v1" + spoken.path))
            await reader.readuntil(b"data: ")
            writer.close()
            await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)
            call = await live.only()
        assert (call.outcome, call.meters, call.operation) == (Outcome.CANCELLED, spoken.meters_begun, spoken.name)

    run(main)


@pytest.mark.parametrize("spoken", [each for each in STREAMED if each.finish], ids=lambda each: each.name)
def test_a_client_that_hangs_up_after_the_finish_was_served(spoken: Spoken, tmp_path: Path) -> None:
    async def main() -> None:
        script = stalled(STREAM_HEAD + chunk(spoken.begin + spoken.finish))
        async with serving(tmp_path, spoken, Provider(script)) as live:
            body = {**spoken.asked, "stream": True, "stream_options": {"include_usage": True}}
            reader, writer = await live.connect(request_of(body, "/v1" + spoken.path))
            await reader.readuntil(spoken.finish[-20:])
            writer.close()
            call = await live.only()
        assert (call.outcome, call.quality) == (Outcome.OK, Quality.EXACT)

    run(main)


FAILING = {
    "503": plain(b'{"type": "error", "error": {"type": "overloaded_error", "message": "later"}}', 503),
    "an error inside a 200": plain(b'{"type": "error", "error": {"type": "api_error", "message": "broken"}}'),
    "garbage": plain(b"<html>"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("spoken", ALL, ids=lambda each: each.name)
@pytest.mark.parametrize("how", FAILING)
def test_a_failed_attempt_falls_back(spoken: Spoken, how: str, streamed: bool, tmp_path: Path) -> None:
    good = spoken.streamed() if streamed and spoken.streams else plain(msgspec.json.encode(spoken.answer))
    reply, call, _ = asked(tmp_path, spoken, FAILING[how], then=good, stream=streamed)
    assert (reply.status, reply.headers["x-callmeter-provider"]) == (200, "two")
    assert [each.outcome for each in call.attempts] == [Outcome.PROVIDER_FAULT, Outcome.OK]


@pytest.mark.parametrize("spoken", STREAMED, ids=lambda each: each.name)
def test_an_error_as_the_first_event_falls_back(spoken: Spoken, tmp_path: Path) -> None:
    reply, call, _ = asked(tmp_path, spoken, spoken.stream(spoken.error), then=spoken.streamed(), stream=True)
    assert (reply.status, reply.headers["x-callmeter-provider"]) == (200, "two")
    assert [each.outcome for each in call.attempts] == [Outcome.PROVIDER_FAULT, Outcome.OK]


@pytest.mark.parametrize("surface", SURFACES)
def test_errors_of_messages_are_told_as_anthropic_does(surface: str, tmp_path: Path) -> None:
    reply, call, _ = asked(tmp_path, MESSAGES, plain(), surface=surface, then=plain(), model="gpt-99")
    told = json.loads(reply.body)
    assert (reply.status, told["type"], told["error"]["type"]) == (404, "error", "not_found_error")
    assert ("'gpt-99'" in told["error"]["message"], call.outcome) == (True, Outcome.REFUSED)


UNDOCUMENTED = (("messages", 422), ("messages", 413), ("embeddings", 422))


@pytest.mark.parametrize("spoken", ALL, ids=lambda each: each.name)
@pytest.mark.parametrize("status", [413, 422])
def test_openrouters_surface_tells_the_statuses_that_openrouter_documents(
    spoken: Spoken, status: int, tmp_path: Path
) -> None:
    body = msgspec.json.encode({"error": {"message": "no"}})
    reply, call, _ = asked(tmp_path, spoken, plain(body, status), surface="/api/v1")
    expected = 400 if (spoken.name, status) in UNDOCUMENTED else status
    assert (reply.status, call.http_status, call.attempts[0].http_status) == (expected, expected, status)


@pytest.mark.parametrize("status", [400, 401, 413, 429, 500, 529])
def test_errors_of_an_anthropic_provider_keep_their_status(status: int, tmp_path: Path) -> None:
    body = {"type": "error", "error": {"type": "x", "message": "no"}, "request_id": "req_1"}
    reply, call, _ = asked(tmp_path, MESSAGES, plain(msgspec.json.encode(body), status))
    expected = 502 if status == 401 else status  # the gateway's own key was refused
    assert (reply.status, json.loads(reply.body)["type"], call.http_status) == (expected, "error", expected)


def head_sent(folder: Path, spoken: Spoken, **headers: str) -> dict[str, str]:
    """The headers that the provider got, names in lower case."""
    found: list[bytes] = []

    async def main() -> None:
        answer, provider = plain(msgspec.json.encode(spoken.answer)), {"kind": spoken.kind, "api_key_env": "K"}
        async with inside(folder, answer, provider=provider) as live:
            assert (await live.ask(spoken.asked, "/v1" + spoken.path, **headers)).status == 200
            found.extend(live.providers["one"].requests)

    run(main)
    lines = found[0].split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def test_an_anthropic_provider_gets_its_key_and_version_in_its_own_headers(tmp_path: Path) -> None:
    sent = head_sent(tmp_path, MESSAGES, x_api_key="sk-callers-own", anthropic_beta="context-1m")
    assert (sent["x-api-key"], sent["anthropic-version"], sent["anthropic-beta"]) == (OURS, "2023-06-01", "context-1m")
    assert "authorization" not in sent


def test_a_version_that_the_client_names_goes_on(tmp_path: Path) -> None:
    assert head_sent(tmp_path, MESSAGES, anthropic_version="2024-01-01")["anthropic-version"] == "2024-01-01"


def test_a_key_in_anthropics_header_goes_to_no_other_kind_of_provider(tmp_path: Path) -> None:
    sent = head_sent(tmp_path, EMBEDDINGS, x_api_key="sk-callers-own")
    assert (sent["authorization"], "x-api-key" in sent) == (f"Bearer {OURS}", False)


def test_nothing_is_translated_between_dialects(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, MESSAGES, Provider(plain())) as live:
            reply = await live.ask({"model": "m", "messages": []})
            assert (reply.status, reply.error["code"]) == (404, "no_endpoint")
            assert "operations" in reply.error["message"]

    run(main)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", ""),
        ("beta=true", "?beta=true"),
        ("beta=false", ""),
        ("key=sk-1&beta=true&x=y", "?beta=true"),
        ("%0d%0a", ""),
    ],
)
def test_of_a_query_only_what_anthropics_client_sends_goes_on(query: str, sent: str, tmp_path: Path) -> None:
    found: list[bytes] = []

    async def main() -> None:
        answer = plain(msgspec.json.encode(MESSAGES.answer))
        async with inside(tmp_path, answer, provider={"kind": "anthropic"}) as live:
            client = Asking(MESSAGES.asked, "/v1/messages")
            client.scope["query_string"] = query.encode()
            await live.gateway(client.scope, client.receive, client.send)
            found.extend(live.providers["one"].requests)

    run(main)
    assert found[0].startswith(f"POST /v1/messages{sent} HTTP/1.1\r\n".encode())
