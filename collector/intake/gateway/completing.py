"""What OpenRouter's schema requires of an answer, added where a provider of another kind leaves it out.

Members are added, and those left out that are null where they may not be: an answer that is as it should be goes on as
it came. What is not known is null.
"""

from typing import Any

import msgspec
from msgspec import Raw

from collector.intake.gateway.sse import data_of

Members = dict[str, Any]
_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Inside(msgspec.Struct, frozen=True):
    """The members that an object which is a member itself has to have; `each`: every object of a list."""

    members: Members
    each: bool = False


class Typed(msgspec.Struct, frozen=True):
    """Likewise of an object whose `type` says which."""

    by_type: dict[str, Members]
    each: bool = False


NOT_NULL = object()  # in place of a value: a member that may be absent, and not null


class _OfType(msgspec.Struct):
    type: str = ""


_decode_type = msgspec.json.Decoder(_OfType).decode


class Given(msgspec.Struct, frozen=True):
    """What is known of an answer whatever it says itself. `created` is seconds since 1970."""

    id: str
    created: int
    model: str
    provider: str


class Required(msgspec.Struct, frozen=True):
    """What one operation's answers have to have, whole ones and the events of a stream.

    `given` are members that the gateway itself can tell, of both. `marks`: what an event contains that has `in_event`.
    """

    given: tuple[str, ...] = ()
    whole: Members = {}
    in_event: Members = {}
    marks: tuple[bytes, ...] = ()


_SAID: Members = dict.fromkeys(("tool_calls", "images", "audio", "reasoning_details", "annotations"), NOT_NULL)
_RESPONSE: Members = {
    "completed_at": None,
    "error": None,
    "frequency_penalty": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": None,
    "parallel_tool_calls": True,
    "presence_penalty": None,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}
_MESSAGE_USAGE: Members = {
    "cache_creation": None,
    "cache_creation_input_tokens": None,
    "cache_read_input_tokens": None,
    "inference_geo": None,
    "output_tokens_details": None,
    "server_tool_use": None,
    "service_tier": None,
}
_DELTA_USAGE: Members = {
    "cache_creation_input_tokens": None,
    "cache_read_input_tokens": None,
    "input_tokens": None,
    "output_tokens_details": None,
    "server_tool_use": None,
}
_BLOCKS: dict[str, Members] = {"text": {"citations": None}, "tool_use": {"caller": {"type": "direct"}}}
_MESSAGE: Members = {"container": None, "stop_details": None, "stop_reason": None, "stop_sequence": None}
_STARTED: Members = {**_MESSAGE, "content": Typed(_BLOCKS, each=True), "usage": Inside(_MESSAGE_USAGE)}

# By operation; OpenRouter's OpenAPI document, ChatResult, ChatStreamChunk, OpenResponsesResult and MessagesResult.
REQUIRED: dict[str, Required] = {
    "chat": Required(
        given=("provider", "id", "created", "model"),
        whole={
            "object": "chat.completion",
            "system_fingerprint": None,
            "choices": Inside({"finish_reason": None, "message": Inside(_SAID)}, each=True),
        },
    ),
    "completions": Required(("provider", "id", "created", "model"), {"object": "text_completion"}),
    "embeddings": Required(("provider", "model"), {"object": "list"}),
    "responses": Required((), _RESPONSE, {"response": Inside(_RESPONSE)}, (b'"response":',)),
    "messages": Required(
        whole=_STARTED,
        in_event={
            "message": Inside(_STARTED),
            "content_block": Typed(_BLOCKS),
            "delta": Inside(_MESSAGE),
            "usage": Inside(_DELTA_USAGE),
        },
        marks=(b'"message_start"', b'"message_delta"', b'"content_block_start"'),
    ),
}


class Completing:
    """Completes one answer."""

    def __init__(self, operation: str, given: Given) -> None:
        self._required = REQUIRED[operation]
        self._given = {name: getattr(given, name) for name in self._required.given}
        self.marks = self._required.marks

    def whole(self, body: bytes) -> bytes:
        """A whole answer with what it has to have."""
        return _filled(body, {**self._given, **self._required.whole})

    def tag(self, first: bytes) -> bytes:
        """What is put into the object of every event of a stream whose first event's data is this."""
        try:
            members = _decode(first)
        except _UNREADABLE:
            return b""
        return _text({name: value for name, value in self._given.items() if name not in members})

    def event(self, event: bytes) -> bytes:
        """An event with one of `marks`, with what its members have to have."""
        data = data_of(event)
        if data is None:
            return event
        filled = _filled(data, self._required.in_event)
        return event if filled is data else event.replace(data, filled, 1)


def _filled(data: bytes, required: Members) -> bytes:
    """An object with what it has to have: the same bytes where it has it all."""
    try:
        members = _decode(data)
    except _UNREADABLE:
        return data
    changed: Members = {}
    for name, wanted in required.items():
        stands = members.get(name)
        if wanted is NOT_NULL:
            changed |= {name: None} if stands is not None and bytes(stands) == b"null" else {}
        elif (better := _better(stands, wanted)) is not None:
            changed[name] = better
    if not changed:
        return data
    if changed.keys().isdisjoint(members):
        rest = data.lstrip()[1:]
        tail = b"" if rest.lstrip().startswith(b"}") else b","
        return b"{" + _text(changed).removesuffix(b",") + tail + rest
    return msgspec.json.encode({name: raw for name, raw in {**members, **changed}.items() if raw is not None})


def _better(stands: Raw | None, wanted: Any) -> Raw | None:
    """What is to stand in place of a member; None where what stands there is well."""
    if not isinstance(wanted, Inside | Typed):
        return None if stands is not None else Raw(msgspec.json.encode(wanted))
    inside = bytes(stands or b"")
    filled = _all_filled(inside, wanted) if wanted.each else _filled_as(inside, wanted)
    return None if filled is inside else Raw(filled)


def _all_filled(data: bytes, wanted: Inside | Typed) -> bytes:
    try:
        items = [bytes(item) for item in _decode_list(data)]
    except _UNREADABLE:
        return data
    filled = [_filled_as(item, wanted) for item in items]
    return data if filled == items else b"[" + b",".join(filled) + b"]"


def _filled_as(data: bytes, wanted: Inside | Typed) -> bytes:
    if isinstance(wanted, Inside):
        return _filled(data, wanted.members)
    try:
        return _filled(data, wanted.by_type.get(_decode_type(data).type, {}))
    except _UNREADABLE:
        return data


def _text(members: Members) -> bytes:
    """The members as they stand in an object, with a comma after each."""
    return msgspec.json.encode(members)[1:-1] + b"," if members else b""
