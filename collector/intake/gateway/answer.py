"""What a provider's answer says of a call: read once, from the copied bytes, plain answers and streams alike.

Text that the model wrote is skipped, not decoded.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from collector.core.errors import InputError
from collector.core.usage import decode_answer, find_usage, merge_stream_usage
from collector.intake.gateway.lenient import NULL, UNREADABLE, members_of, reader, usage_of
from collector.intake.gateway.sse import DONE

MAX_TOOL_CALLS = 10_000  # told apart in one answer
_STATES_USAGE = re.compile(rb'"usage"\s*:\s*\{')


class Fault(msgspec.Struct, frozen=True):
    """An error that a provider tells, in its own words. `status` is its `code` where that is an HTTP status."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None


class Seen(msgspec.Struct):
    """What an answer said. `usage` is the provider's own object, decoded without floats."""

    parts: int = 0  # JSON values: 1 for a plain answer, the data events of a stream
    origin_id: str | None = None
    served_model: str | None = None
    provider: str | None = None  # as an upstream gateway names it
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    service_tier: str | None = None
    usage: Mapping[str, Any] | None = None
    fault: Fault | None = None
    tool_calls: int = 0
    images_out: int = 0
    web_searches: int = 0  # those that the answer lists; a usage object may state them itself
    server_tool_calls: int = 0
    terminal: bool = False
    malformed: bool = False  # a part of it could not be read


class _Said(msgspec.Struct, gc=False):
    tool_calls: list[Raw] | None = None
    images: list[Raw] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    error: Raw = NULL


class _Part(msgspec.Struct, gc=False):
    """A whole answer, or the data of one event."""

    id: str | None = None
    model: str | None = None
    provider: str | None = None
    service_tier: str | None = None
    choices: list[_Choice] | None = None
    error: Raw = NULL
    usage: Raw = NULL
    x_groq: Raw = NULL  # Groq's place for a stream's usage


class _Index(msgspec.Struct, gc=False):
    index: int = 0


_part_decoder = msgspec.json.Decoder(_Part)
_read_part = reader(_Part)
_read_index = reader(_Index)


def read_plain(body: bytes, shape: str) -> Seen:
    """What a whole answer says; `malformed` where it is not a JSON object."""
    follower, part = Follower(shape), _read_part(body)
    if part is None:
        return Seen(parts=1, malformed=True)
    follower.add(part, body)
    follower.seen.parts, follower.seen.terminal = 1, True
    return follower.seen


def read_fault(body: bytes) -> Fault | None:
    """The error that a body or an event's data tells; None where it tells none or is no JSON object.

    Understands `{"error": {...}}`, `{"error": "text"}` and the bare `{"message", "type", "code"}` or `{"detail"}`
    that some servers send with an error status.
    """
    members = members_of(body)
    if members is None:
        return None
    told = members.get("error")
    if told is not None and bytes(told) != b"null":
        return fault_of(told)
    return fault_of(Raw(body)) if "message" in members or "detail" in members else None


def tells_error(data: bytes) -> bool:
    """Whether an event's data is an error in place of a part of the answer."""
    members = members_of(data)
    return members is not None and is_error(members.get("error", NULL))


def is_json_object(data: bytes) -> bool:
    """Whether an event's data can be a part of an answer."""
    return members_of(data) is not None


def is_bare_usage(data: bytes) -> bool:
    """Whether an event's data is the chunk that `include_usage` adds: no choice, and a usage object."""
    if not _STATES_USAGE.search(data):
        return False
    members = members_of(data)
    return members is not None and bytes(members.get("choices", NULL)).strip(b"[ ]") == b""


class Follower:
    """Reads a chat's stream as it passes, up to its end; `seen` is what it has said up to now."""

    __slots__ = ("_calls", "_shape", "_text", "seen")

    def __init__(self, shape: str) -> None:
        self.seen = Seen()
        self._shape = shape
        self._calls: set[tuple[int, int]] = set()
        self._text: _Part | None = None  # one that held text alone, as nearly all do

    def follow(self, data: list[bytes]) -> list[int]:
        """Read the data of the next events. Gives the places of those that are, or may be, more than text."""
        seen, notable = self.seen, []
        end = data.index(DONE) if DONE in data else len(data)
        for n, part in enumerate(_read_parts(data[:end])):
            if part is None:
                seen.malformed = True
            elif part == self._text:
                continue
            elif _says_nothing_new(seen, part):
                self._text = part
                continue
            else:
                self.add(part, data[n])
            notable.append(n)
        seen.parts += end
        if end < len(data):
            seen.terminal = True
            notable.append(end)
        return notable

    def add(self, part: _Part, data: bytes) -> None:
        """Read one part, whose text is `data`."""
        seen, self._text = self.seen, None
        _add(seen, part, self._calls)
        if len(part.usage) > 4 or part.x_groq is not NULL:
            _add_usage(seen, part, data, self._shape)
        seen.tool_calls = len(self._calls)


def _says_nothing_new(seen: Seen, part: _Part) -> bool:
    """Whether a part of a stream holds text alone, as nearly all do."""
    choices = part.choices
    if choices is None or len(choices) != 1 or part.x_groq is not NULL or len(part.usage) > 4:
        return False
    choice = choices[0]
    said = choice.delta
    return (
        choice.finish_reason is None
        and said is not None
        and said.tool_calls is None
        and said.images is None
        and choice.message is None
        and part.error is NULL
        and choice.error is NULL
        and part.model == seen.served_model
        and part.service_tier == seen.service_tier
        and part.provider == seen.provider
        and seen.origin_id is not None
    )


def _read_parts(data: Sequence[bytes]) -> Sequence[_Part | None]:
    """All at once where each is one line of the usual types, else one by one."""
    try:
        parts = _part_decoder.decode_lines(b"\n".join(data)) if all(map(bytes.strip, data)) else []
    except UNREADABLE:
        parts = []
    return parts if len(parts) == len(data) else [_read_part(each) for each in data]


def _add(seen: Seen, part: _Part, calls: set[tuple[int, int]]) -> None:
    if part.id is not None and seen.origin_id is None:
        seen.origin_id = part.id or None
    if part.model:
        seen.served_model = part.model
    if part.provider:
        seen.provider = part.provider
    if part.service_tier:
        seen.service_tier = part.service_tier
    if part.error is not NULL and is_error(part.error):
        seen.fault = fault_of(part.error)
    for choice in part.choices or ():
        _add_choice(seen, choice, calls)


def _add_choice(seen: Seen, choice: _Choice, calls: set[tuple[int, int]]) -> None:
    if choice.finish_reason:
        seen.finish_reason = choice.finish_reason
        seen.native_finish_reason = choice.native_finish_reason or seen.native_finish_reason
    if choice.error is not NULL and is_error(choice.error):
        seen.fault = fault_of(choice.error)
    said = choice.message or choice.delta
    if said is None:
        return
    if said.images:
        seen.images_out += len(said.images)
    if said.tool_calls:
        for n, raw in enumerate(said.tool_calls):
            if len(calls) < MAX_TOOL_CALLS:
                calls.add((choice.index, n if choice.message else _index(raw)))


def _index(raw: Raw) -> int:
    found = _read_index(raw)
    return found.index if found else 0


def _add_usage(seen: Seen, part: _Part, data: bytes, shape: str) -> None:
    """Where the usage stands in its usual place, the rest of the answer is not decoded for it."""
    try:
        found = usage_of(shape, part.usage) or find_usage(shape, decode_answer(data))
    except InputError:
        return
    if found is not None:
        seen.usage = merge_stream_usage(shape, seen.usage, found)


def is_error(raw: Raw) -> bool:
    """Whether the value of an `error` member tells of one."""
    return bytes(raw) not in (b"null", b'""', b"{}", b"false")


def fault_of(raw: Raw) -> Fault:
    """The error that such a value tells of."""
    told = _plain(raw)
    if not isinstance(told, Mapping):
        return Fault(message=str(told))
    code = told.get("code")
    metadata = told.get("metadata")
    stated_type = metadata.get("error_type") if isinstance(metadata, Mapping) else None  # OpenRouter's
    message = told.get("message") or told.get("detail") or told.get("error")
    return Fault(
        message=message if isinstance(message, str) else "",
        type=_text(told.get("type") or stated_type),
        code=_text(code),
        param=_text(told.get("param")),
        status=_status(code),
    )


def _plain(raw: Raw) -> Any:
    try:
        return decode_answer(bytes(raw))
    except InputError:
        return ""


def _text(value: object) -> str | None:
    return str(value)[:256] if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _status(code: object) -> int | None:
    digits = str(code)
    return int(digits) if digits.isascii() and digits.isdigit() and 400 <= int(digits[:6]) <= 599 else None
