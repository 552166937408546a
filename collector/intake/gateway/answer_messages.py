"""What an answer of Anthropic's Messages says of a call; usage comes in pieces, at the start and before the end.

docs.anthropic.com, Messages and Streaming Messages.
"""

import msgspec
from msgspec import Raw

from collector.core.usage import merge_stream_usage
from collector.intake.gateway.answer import Seen, fault_of, is_error
from collector.intake.gateway.following import EventFollower
from collector.intake.gateway.lenient import NULL, reader, usage_of

END_TYPE = b"message_stop"


class _Block(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    """A whole answer, the message that a stream starts with, or the `delta` before its end."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    content: list[_Block] | None = None
    usage: Raw = NULL


class _Event(_Message):
    """The data of one event, or a whole answer."""

    type: str = ""
    message: _Message | None = None
    delta: _Message | None = None
    content_block: _Block | None = None
    error: Raw = NULL


_event = reader(_Event)
_typed = reader(_Block)
_STATES_USAGE = frozenset({"message_start", "message_delta"})
_TEXT_TYPES = frozenset({"content_block_delta", "content_block_stop"})


def is_end(data: bytes) -> bool:
    """Whether this is the last event's data."""
    typed = _typed(data) if END_TYPE in data else None
    return typed is not None and typed.type == END_TYPE.decode()


def read_plain(body: bytes, shape: str) -> Seen:
    """What a whole answer says; `malformed` where it is not such an object."""
    seen = Seen(parts=1)
    event = _read(body, seen)
    if event is not None:
        _add_message(seen, event)
        _add_usage(seen, event, shape)
    seen.terminal = not seen.malformed
    return seen


class Follower(EventFollower):
    """Reads a stream as it passes."""

    __slots__ = ()

    def is_text(self, data: bytes) -> bool:
        seen, event = self.seen, _read(data, self.seen)
        seen.parts += 1
        if event is None:
            return False
        for message in (event.message, event.delta):
            if message is not None:
                _add_message(seen, message)
        seen.tool_calls += event.content_block is not None and event.content_block.type == "tool_use"
        seen.terminal = seen.terminal or event.type == END_TYPE.decode()
        if event.type in _STATES_USAGE:
            for message in (event.message, event):
                if message is not None:
                    _add_usage(seen, message, self._shape)
        return event.type in _TEXT_TYPES and event.error is NULL


def _read(data: bytes, seen: Seen) -> _Event | None:
    event = _event(data)
    if event is None:
        seen.malformed = True
        return None
    if is_error(event.error):
        seen.fault = fault_of(event.error)
    return event


def _add_message(seen: Seen, message: _Message) -> None:
    seen.origin_id = seen.origin_id or message.id
    seen.served_model = message.model or seen.served_model
    seen.finish_reason = message.stop_reason or seen.finish_reason
    seen.tool_calls += sum(block.type == "tool_use" for block in message.content or ())


def _add_usage(seen: Seen, message: _Message, shape: str) -> None:
    if found := usage_of(shape, message.usage):
        seen.usage = merge_stream_usage(shape, seen.usage, found)
