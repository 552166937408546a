"""However a stream is cut on its way, the same bytes go on and the same is read in it."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.gateway import answer
from collector.intake.gateway.answer import Seen
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.gateway.sse import Cutter, Run, data_of
from collector.intake.gateway.stream import Passage
from collector.settings import Limits
from tests.gateway.heard import data_in, heard

CHAT = next(operation for operation in OPERATIONS if operation.name == "chat")
MESSAGES = next(operation for operation in OPERATIONS if operation.name == "messages")
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def part(delta: object, finish: str | None = None, **more: object) -> dict[str, object]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-2026", "choices": choices, **more}


def call(index: int, name: str) -> dict[str, object]:
    return {"tool_calls": [{"index": index, "function": {"name": name, "arguments": "{}"}}]}


WORDS = [
    part({"content": word}) for word in ("Ein", " Wörterbuch", ' with "quotes"', " \\ and\nlines", "字", "[DONE]", "[]")
]
HEAD = part({"role": "assistant", "content": ""})
END = part({}, "stop")
BARE_USAGE = {"id": "chatcmpl-1", "model": "m-2026", "choices": [], "usage": USAGE}
STREAMS = {
    "text": [HEAD, *WORDS, END, BARE_USAGE],
    "no usage": [HEAD, *WORDS, END],
    "usage null on the way": [*(part({"content": "w"}, usage=None) for _ in range(9)), END, BARE_USAGE],
    "usage beside a choice": [HEAD, *WORDS, part({}, "stop", usage=USAGE)],
    "groq": [HEAD, *WORDS, part({}, "stop", x_groq={"usage": USAGE})],
    "tools": [HEAD, part(call(0, "a")), part(call(0, "")), part(call(1, "b")), part({}, "tool_calls"), BARE_USAGE],
    "two choices": [
        {"id": "x", "model": "m", "choices": [{"index": n % 2, "delta": {"content": "w"}}]} for n in range(6)
    ],
    "another model": [HEAD, *WORDS, {**WORDS[0], "model": "m-2"}, {**WORDS[0], "service_tier": "flex"}, END],
    "an error": [HEAD, *WORDS, {"error": {"message": "overloaded", "code": 503}}],
    "an error in a choice": [HEAD, {**part({}), "choices": [{"index": 0, "delta": {}, "error": {"code": 502}}]}],
}


def stream(parts: list[dict[str, object]], newline: str = "\n", comments: bool = False, done: bool = True) -> bytes:
    events = [f"data: {json.dumps(each, ensure_ascii=False)}" for each in parts]
    if comments:
        events = [piece for event in events for piece in (": OPENROUTER PROCESSING", f"id: 1{newline}{event}")]
    if done:
        events.append("data: [DONE]")
    return "".join(event + newline * 2 for event in events).encode()


def carried(sent: bytes, cuts: list[int], drops_usage: bool) -> tuple[bytes, bytes, bool, Seen]:
    passage = Passage(CHAT, "openai.chat", Limits(), drops_usage, None)
    out, before = b"", 0
    for cut in [*sorted(cuts), len(sent)]:
        if not passage.ended:
            out += passage.feed(sent[before:cut])
            before = cut
    return out, passage.terminal, passage.faulty, passage.seen


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_same_goes_on_and_is_read_wherever_it_is_cut(name: str, newline: str, data: st.DataObject) -> None:
    sent = stream(STREAMS[name], newline, data.draw(st.booleans()))
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=12))
    drops_usage = data.draw(st.booleans())
    out, terminal, faulty, seen = carried(sent, cuts, drops_usage)
    whole_out, whole_terminal, whole_faulty, whole_seen = carried(sent, [], drops_usage)
    assert (out, terminal, faulty) == (whole_out, whole_terminal, whole_faulty)
    assert faulty or seen == whole_seen


@settings(max_examples=200, deadline=None)
@given(st.text("a\r\n", max_size=40).map(str.encode), st.lists(st.integers(0, 40), max_size=12))
def test_events_are_cut_the_same_however_they_come(sent: bytes, cuts: list[int]) -> None:
    whole, cutter = Cutter(), Cutter()
    at, out = 0, b""
    for cut in [*sorted(cuts), len(sent)]:
        out += cutter.feed(sent[at:cut]) if cut > at else b""
        at = max(at, cut)
    whole_out = whole.feed(sent)
    assert data_in(out) == data_in(whole_out)  # which side of a cut an empty line falls on is all the same
    assert out + cutter.take_rest() == whole_out + whole.take_rest() == sent
    assert cutter.held_bytes == 0


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_events_are_found_in_their_run(newline: str) -> None:
    sent = stream(STREAMS["text"], newline, comments=newline != "\n")
    run = Run(sent)
    found = [sent[start:end] for start, end in map(run.span, range(len(run.data)))]
    assert [data_of(event) for event in found] == run.data == data_in(sent)
    assert newline != "\n" or b"".join(found) == sent


def test_an_error_among_odd_events_is_held_back_all_the_same() -> None:
    word = json.dumps(WORDS[0]).encode()
    passage = Passage(CHAT, "openai.chat", Limits(), False, None)
    passage.feed(b"data: " + word + b"\n\n")
    odd = (
        b'data:\n\ndata: {"error":{"message":"key sk-secret"}}\n\ndata: ' + word + word + b"\n\ndata: " + word + b"\n\n"
    )
    assert b"sk-secret" not in passage.feed(odd)
    assert passage.faulty


def test_usage_in_pieces_is_bounded_however_many_come() -> None:
    passage = Passage(MESSAGES, MESSAGES.usage_shape, Limits(), False, None)
    for n in range(2_000):
        passage.feed(b'data: {"type":"message_delta","usage":{"output_tokens":%d,"k%d":1}}\n\n' % (n, n))
    assert passage.seen.usage is not None
    assert passage.seen.usage["output_tokens"] == 1_999
    assert len(passage.seen.usage) < 1_000


def test_an_event_as_large_as_a_picture_goes_on_and_costs_no_more_than_its_bytes() -> None:
    event = b'data: {"choices":[{"delta":{"images":[{"image_url":{"url":"' + b"A" * 8_000_000 + b'"}}]}}]}\n\n'
    passage = Passage(CHAT, "openai.chat", Limits(), False, None)
    out = b"".join(passage.feed(event[at : at + 4096]) for at in range(0, len(event), 4096))
    assert out == event
    assert (passage.broken, passage.seen.images_out) == (None, 1)


@pytest.mark.parametrize("name", STREAMS)
def test_parts_that_are_passed_over_would_have_said_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = heard(CHAT.dialect, stream(STREAMS[name]), "openai.chat")
    monkeypatch.setattr(answer, "_says_nothing_new", lambda seen, part: False)
    assert heard(CHAT.dialect, stream(STREAMS[name]), "openai.chat") == quick


def test_only_the_usage_chunk_that_nobody_asked_for_and_the_end_are_held_back() -> None:
    sent = stream(STREAMS["text"])
    out, terminal, faulty, seen = carried(sent, [], drops_usage=True)
    assert out == stream([HEAD, *WORDS, END], done=False)
    assert carried(sent, [], drops_usage=False)[0] == stream(STREAMS["text"], done=False)
    assert terminal == b"data: [DONE]\n\n"
    assert not faulty
    assert (seen.usage, seen.finish_reason, seen.served_model) == (USAGE, "stop", "m-2026")
    assert (seen.parts, seen.terminal, seen.malformed) == (10, True, False)


def test_an_error_is_held_back_and_what_came_before_it_goes_on() -> None:
    out, _, faulty, seen = carried(stream(STREAMS["an error"]), [], drops_usage=True)
    assert out == stream([HEAD, *WORDS], done=False)
    assert faulty
    assert msgspec.structs.asdict(seen.fault or answer.Fault())["status"] == 503


def test_a_part_that_is_no_json_is_noticed_among_plain_ones() -> None:
    sent = stream([HEAD, *WORDS], done=False) + b'data: {"id": "chatcmpl-1", "choices": [\n\n' + stream([END])
    assert carried(sent, [], drops_usage=True)[3].malformed


def test_what_a_long_stream_began_with_is_read_although_comments_came_before_it() -> None:
    passage = Passage(MESSAGES, MESSAGES.usage_shape, Limits(), False, None)
    begin = {"id": "msg-1", "model": "m-2026", "usage": {"input_tokens": 9, "output_tokens": 1}}
    word = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word"}}
    finish = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}
    passage.feed(b": OPENROUTER PROCESSING\n\n")
    for each in ({"type": "message_start", "message": begin}, *[word] * 100, finish, {"type": "message_stop"}):
        passage.feed(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode())
    seen = passage.seen
    assert (seen.origin_id, seen.served_model, seen.finish_reason) == ("msg-1", "m-2026", "end_turn")
    assert seen.usage == {"input_tokens": 9, "output_tokens": 4}
