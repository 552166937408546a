"""What OpenRouter's schema requires of an answer, and its cost, added where a provider of another kind leaves it out.

Members are added, and those left out that are null where they may not be: an answer that is as it should be goes on as
it came. What is not known is null; a cost that is not known is left out.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from collector.core.money import format_usd
from collector.intake.gateway.lenient import UNREADABLE, members_of
from collector.intake.gateway.sse import data_of
from collector.intake.gateway.tariff import Spent

Members = dict[str, Any]
_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode


class Inside(msgspec.Struct, frozen=True):
    """The members that an object which is a member itself has to have; `each`: every object of a list.

    `unless`: one that has this member is as it should be.
    """

    members: Members
    each: bool = False
    unless: str = ""


class Typed(msgspec.Struct, frozen=True):
    """Likewise of an object whose `type` says which."""

    by_type: dict[str, Members]
    each: bool = False


MAX_PRICED = 128  # events of one stream: for each, all that came before it is read
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
    `tagged` is in every event, `always` in each object of it that has `counted`. `priced_in`: the events whose usage is
    that of the whole answer, and `usage_in` where it stands in them; `shares`: what the costs of prompt and answer are
    called.
    """

    given: tuple[str, ...] = ()
    whole: Members = {}
    in_event: Members = {}
    marks: tuple[bytes, ...] = ()
    tagged: Members = {}
    always: bytes = b""
    counted: bytes = b""
    priced_in: re.Pattern[bytes] = re.compile(b"")
    usage_in: tuple[str, ...] = ("usage",)
    shares: tuple[str, str] = ("upstream_inference_prompt_cost", "upstream_inference_completions_cost")


_USAGE_MARKS = (b'"usage":{', b'"usage": {')
_ENDS_ANSWER = re.compile(rb'"choices"\s*:\s*\[\s*\]|"finish_reason"\s*:\s*"')
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
        in_event={"choices": Inside({"finish_reason": None, "delta": Inside(_SAID)}, each=True)},
        marks=(b'"tool_calls":null', b'"tool_calls": null', *_USAGE_MARKS),
        tagged={"object": "chat.completion.chunk"},
        always=b'"finish_reason"',
        counted=b'"delta"',
        priced_in=_ENDS_ANSWER,
    ),
    "completions": Required(
        given=("provider", "id", "created", "model"),
        whole={"object": "text_completion"},
        marks=_USAGE_MARKS,
        priced_in=_ENDS_ANSWER,
    ),
    "embeddings": Required(("provider", "model"), {"object": "list"}),
    "responses": Required(
        whole=_RESPONSE,
        in_event={"response": Inside(_RESPONSE)},
        marks=(b'"response":',),
        usage_in=("response", "usage"),
        shares=("upstream_inference_input_cost", "upstream_inference_output_cost"),
    ),
    "messages": Required(
        whole=_STARTED,
        in_event={
            "message": Inside(_STARTED),
            "content_block": Typed(_BLOCKS),
            "delta": Inside(_MESSAGE),
            "usage": Inside(_DELTA_USAGE),
        },
        marks=(b'"message_start"', b'"message_delta"', b'"content_block_start"'),
        priced_in=re.compile(rb'"message_delta"'),
    ),
}


class Completing:
    """Completes one answer. `spent`: what it has cost by the usage that it has told up to now."""

    def __init__(self, operation: str, given: Given, spent: Callable[[], Spent | None]) -> None:
        self._required = REQUIRED[operation]
        self._given = {name: getattr(given, name) for name in self._required.given}
        self._spent = spent
        self._may_price = MAX_PRICED
        self.marks = self._required.marks

    def whole(self, body: bytes) -> bytes:
        """A whole answer with what it has to have."""
        return self._priced(_filled(body, {**self._given, **self._required.whole}), ("usage",))

    def tag(self, first: bytes) -> bytes:
        """What is put into the object of every event of a stream whose first event's data is this."""
        members = members_of(first)
        if members is None:
            return b""
        wanted = {**self._given, **self._required.tagged}
        return _text({name: value for name, value in wanted.items() if name not in members})

    def lacks(self, events: bytes) -> bool:
        """Whether an event lacks what each has to have: its provider leaves it out of nearly all of them."""
        always, counted = self._required.always, self._required.counted
        return bool(always) and events.count(always) < events.count(counted)

    def event(self, event: bytes) -> bytes:
        """An event with one of `marks`, or of a stream that `lacks` something, with what its members have to have."""
        data = data_of(event)
        if data is None:
            return event
        filled = _filled(data, self._required.in_event)
        if self._may_price and self._required.priced_in.search(data):
            self._may_price -= 1
            filled = self._priced(filled, self._required.usage_in)
        return event if filled is data else event.replace(data, filled, 1)

    def _priced(self, data: bytes, usage_in: tuple[str, ...]) -> bytes:
        """An answer whose usage tells its cost, where it is known and the provider does not tell one."""
        if not any(mark in data for mark in _USAGE_MARKS) or (spent := self._spent()) is None:
            return data
        members: Members = {"usage": Inside(_told(spent, self._required.shares), unless="cost")}
        for name in reversed(usage_in[:-1]):
            members = {name: Inside(members)}
        return _filled(data, members)


def _told(spent: Spent, shares: tuple[str, str]) -> Members:
    """A cost as OpenRouter's usage tells it: exact numbers, of which the shares add up to the whole."""
    prompt, answer = shares
    details = {"upstream_inference_cost": None, prompt: _usd(spent.prompt), answer: _usd(spent.answer)}
    return {"cost": _usd(spent.whole), "cost_details": details, "is_byok": False}


def _usd(picousd: int) -> Raw:
    return Raw(format_usd(picousd).encode())


def _filled(data: bytes, required: Members) -> bytes:
    """An object with what it has to have: the same bytes where it has it all."""
    try:
        members = _decode(data)
    except UNREADABLE:
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
    except UNREADABLE:
        return data
    filled = [_filled_as(item, wanted) for item in items]
    return data if filled == items else b"[" + b",".join(filled) + b"]"


def _filled_as(data: bytes, wanted: Inside | Typed) -> bytes:
    if isinstance(wanted, Inside):
        is_well = wanted.unless and wanted.unless in (members_of(data) or ())
        return data if is_well else _filled(data, wanted.members)
    try:
        return _filled(data, wanted.by_type.get(_decode_type(data).type, {}))
    except UNREADABLE:
        return data


def _text(members: Members) -> bytes:
    """The members as they stand in an object, with a comma after each."""
    return msgspec.json.encode(members)[1:-1] + b"," if members else b""
