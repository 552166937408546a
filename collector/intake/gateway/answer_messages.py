"""What an answer of Anthropic's Messages says of a call; usage comes in pieces, at the start and before the end.

docs.anthropic.com, Messages and Streaming Messages.
"""

import msgspec
from msgspec import Raw

from collector.core.errors import InputError
from collector.core.usage import decode_answer, find_usage, merge_stream_usage
from collector.intake.gateway.answer import Seen, fault_of, is_error
from collector.intake.gateway.sse import all_data

END_TYPE = b"message_stop"
_NULL = Raw(b"null")
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class _Block(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    """A whole answer, the message that a stream starts with, or the `delta` before its end."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    content: list[_Block] | None = None


class _Event(_Message):
    """The data of one event, or a whole answer."""

    type: str = ""
    message: _Message | None = None
    delta: _Message | None = None
    content_block: _Block | None = None
    usage: Raw = _NULL
    error: Raw = _NULL


_decode = msgspec.json.Decoder(_Event).decode
_decode_type = msgspec.json.Decoder(_Block).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_STATES_USAGE = frozenset({"message_start", "message_delta"})


def is_end(data: bytes) -> bool:
    """Whether this is the last event's data."""
    return END_TYPE in data and _type(data) == END_TYPE.decode()


def read_plain(body: bytes, shape: str) -> Seen:
    """What a whole answer says; `malformed` where it is not such an object."""
    seen = Seen(parts=1)
    event = _read(body, seen)
    if event is not None:
        _add_message(seen, event)
        _add_usage(seen, b'{"usage":%b}' % bytes(event.usage), shape)
    seen.terminal = not seen.malformed
    return seen


def read_stream(events: bytes, shape: str) -> Seen:
    """What a run of events says."""
    data = [each for each in all_data(events) if each != b"[DONE]"]  # which OpenRouter sends after the last event
    seen = Seen(parts=len(data))
    for each in data:
        event = _read(each, seen)
        if event is None:
            continue
        for message in (event.message, event.delta):
            if message is not None:
                _add_message(seen, message)
        seen.tool_calls += event.content_block is not None and event.content_block.type == "tool_use"
        seen.terminal = seen.terminal or event.type == END_TYPE.decode()
        if event.type in _STATES_USAGE:
            _add_usage(seen, each, shape)
    return seen


def _read(data: bytes, seen: Seen) -> _Event | None:
    event = _event(data)
    if event is None:
        seen.malformed = True
        return None
    if is_error(event.error):
        seen.fault = fault_of(event.error)
    return event


def _event(data: bytes) -> _Event | None:
    """An event; where a member is of another type than Anthropic's, what matters: its usage and its error."""
    try:
        return _decode(data)
    except msgspec.ValidationError:
        pass
    except _UNREADABLE:
        return None
    try:
        members = _decode_members(data)
    except _UNREADABLE:
        return None
    return _Event(type=_type(data), usage=members.get("usage", _NULL), error=members.get("error", _NULL))


def _type(data: bytes) -> str:
    try:
        return _decode_type(data).type
    except _UNREADABLE:
        return ""


def _add_message(seen: Seen, message: _Message) -> None:
    seen.origin_id = seen.origin_id or message.id
    seen.served_model = message.model or seen.served_model
    seen.finish_reason = message.stop_reason or seen.finish_reason
    seen.tool_calls += sum(block.type == "tool_use" for block in message.content or ())


def _add_usage(seen: Seen, data: bytes, shape: str) -> None:
    try:
        found = find_usage(shape, decode_answer(data))
    except InputError:
        return
    if found is not None:
        seen.usage = merge_stream_usage(shape, seen.usage, found)
