"""What a request's body asks for, and the few members of it that the gateway changes.

The body is decoded one level deep; values stay the bytes they are, so that 1.0 stays 1.0 and big numbers survive.
"""

import re
from collections.abc import Container
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Raw

from collector.core.calls import MAX_NAME_CHARS
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.lenient import UNREADABLE, mended
from collector.intake.gateway.operations import Operation
from collector.intake.gateway.routing import Route

T = TypeVar("T")
Members = dict[str, Raw]

# A choice of route, not part of a model's name; other suffixes (`:free`, `:8b`, `ft:...:id`) are.
ROUTING_SUFFIXES = (":nitro", ":floor", ":exacto")
ROUTING_MEMBERS = ("provider", "models", "route")
IMAGE_PARTS = frozenset({"image_url", "input_image", "image", "computer_screenshot"})
_DEEPEST = 3  # a message, its parts, and the parts of a tool's result in it
MAX_MEMBERS = 1_000  # of a body; each is kept for as long as the call runs
MAX_SHOWN_CHARS = 60
_NULL = Raw(b"null")


class Asked(msgspec.Struct, frozen=True):
    """One request, read. `model` is without its routing suffix, which is in `suffix`."""

    body: bytes
    members: Members
    model: str
    suffix: str = ""
    stream: bool = False
    wants_usage: bool = False  # the client itself asked for a stream's usage
    images: int = 0
    user: str | None = None
    session: str | None = None
    query: str = ""  # that goes on


class _Item(msgspec.Struct):
    """A message, a content part, or the result of a tool, which has parts of its own."""

    type: str = ""
    content: Raw = Raw(b"null")
    output: Raw = Raw(b"null")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_decode_members = msgspec.json.Decoder(Members).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decoders: dict[Any, Any] = {t: msgspec.json.Decoder(t).decode for t in (str, bool, list[str], _StreamOptions, Members)}
_TYPE_NAMES = {str: "a string", bool: "true or false", list[str]: "a list of strings", _StreamOptions: "an object"}
_MEMBER = re.compile(rb'[\s{,]*("(?:[^"\\]|\\.)*")\s*:\s*')


def read_asked(body: bytes, operation: Operation, query: bytes = b"") -> Asked:
    """What the body asks for, and what of the query goes on. Raises Refusal (400) that names the member, its value and
    what to do."""
    members = _members(body)
    model, suffix = without_suffix(_model(members))
    options = _member(members, "stream_options", _StreamOptions)
    return Asked(
        body=body,
        members=members,
        model=model,
        suffix=suffix,
        stream=bool(_member(members, "stream", bool)),
        wants_usage=bool(options and options.include_usage),
        images=_images(members, operation),
        user=_user(members, operation),
        session=_member(members, "session_id", str),
        query="&".join(pair for pair in operation.query if pair.encode() in query.split(b"&")) if query else "",
    )


def upstream_body(asked: Asked, route: Route, adds_usage: bool) -> bytes:
    """The body for one upstream: the same bytes where nothing changes, else only the changed members re-emitted.

    The model goes by the name that the upstream has for it. Routing members and the suffix stay for an upstream that
    routes by them; `adds_usage` asks a stream for its usage.
    """
    changes: dict[str, Raw | None] = {}
    keeps_routing = route.kind == "openrouter"
    if not keeps_routing:
        changes.update({name: None for name in ROUTING_MEMBERS if name in asked.members})
    named = (route.upstream_model or route.model) + (route.suffix if keeps_routing else "")
    if "model" not in asked.members or named != _member(asked.members, "model", str):
        changes["model"] = Raw(msgspec.json.encode(named))
    if adds_usage and asked.stream and not asked.wants_usage:
        changes["stream_options"] = _with_usage(asked.members)
    return _changed(asked, changes) if changes else asked.body


def without_models(asked: Asked, kept: Container[str]) -> Asked:
    """The request without those of its `models` that are not kept, which an upstream that routes by them would try."""
    stated = _member(asked.members, "models", list[str]) or []
    names = [name for name in stated if without_suffix(name)[0] in kept]
    if len(names) == len(stated):
        return asked
    body = _changed(asked, {"models": Raw(msgspec.json.encode(names)) if names else None})
    return msgspec.structs.replace(asked, body=body, members=_decode_members(body))


def _changed(asked: Asked, changes: dict[str, Raw | None]) -> bytes:
    members = {**asked.members, **changes}
    return msgspec.json.encode({name: raw for name, raw in members.items() if raw is not None})


def _with_usage(members: Members) -> Raw:
    given = _member(members, "stream_options", Members) or {}
    return Raw(msgspec.json.encode({**given, "include_usage": Raw(b"true")}))


def _members(body: bytes) -> Members:
    try:
        members = _decode_members(body)
    except msgspec.ValidationError:
        _refuse(f"the body is {_shown(body)}, not a JSON object: send an object such as {{...}}")
    except UNREADABLE as error:
        if (whole := mended(body)) != body:
            return _members(whole)
        what = "nested too deep" if isinstance(error, RecursionError) else str(error)
        _refuse(f"the body is not valid JSON ({what}): send one JSON object in UTF-8")
    if len(members) > MAX_MEMBERS:
        _refuse(f"the body has {len(members)} members, more than {MAX_MEMBERS}: send fewer")
    if len(body) != _plain_length(members):
        _refuse_duplicates(body, members)
    return members


def _plain_length(members: Members) -> int:
    """The length of these members without white space and escapes; a body that has it cannot hold a key twice."""
    return 1 + sum(map(len, members)) + sum(map(len, members.values())) + 4 * len(members) + (not members)


def _refuse_duplicates(body: bytes, members: Members) -> None:
    """Walk the body along its decoded members: a key that stands twice leaves something over, or another value."""
    at = 0
    for name, raw in members.items():
        found = _MEMBER.match(body, at)
        at = found.end() + len(raw) if found else at
        if not found or body[found.end() : at] != bytes(raw):
            _refuse_duplicate(name)
    if left := body[at:].strip(b" \t\r\n{}"):
        key = _MEMBER.match(left)
        _refuse_duplicate((key[1] if key else left).decode("utf-8", "replace").strip('"'))


def _refuse_duplicate(name: str) -> NoReturn:
    _refuse(f"the member {name[:MAX_SHOWN_CHARS]!r} stands twice: send every member once", name[:MAX_SHOWN_CHARS])


def _model(members: Members) -> str:
    """`model`, or the first of OpenRouter's `models` where it is absent."""
    model = _member(members, "model", str)
    if model is None:
        models = _member(members, "models", list[str])
        model = models[0] if models else None
    if not model or not model.strip():
        _refuse('`model` is missing: name one, such as "model": "openai/gpt-4-turbo"', "model")
    check_name(model, "model")
    return model


def check_name(model: str, member: str) -> None:
    """Refuse a model's name that is too long to be recorded, and to be remembered (400)."""
    if len(model) > MAX_NAME_CHARS:
        message = f"`{member}` names a model with {len(model)} characters, more than {MAX_NAME_CHARS}: shorten it"
        _refuse(message, member)


def without_suffix(model: str) -> tuple[str, str]:
    """The name of a model, and the routing suffix that it was asked with, "" for none."""
    for suffix in ROUTING_SUFFIXES:
        if model.endswith(suffix) and len(model) > len(suffix):
            return model.removesuffix(suffix), suffix
    return model, ""


def _user(members: Members, operation: Operation) -> str | None:
    user = _member(members, "user", str)
    if user is not None or operation.user_in is None:
        return user
    around, name = operation.user_in
    return _member(_member(members, around, Members) or {}, name, str)


def _images(members: Members, operation: Operation) -> int:
    """Input images among the content parts of all messages, by URL or inline, those in results of tools too."""
    name = operation.parts_in
    raw = members.get(name, _NULL) if name else _NULL
    if _is_null(raw):
        return 0
    try:
        items = _decode_items(raw)
    except UNREADABLE:
        if operation.is_list:
            _refuse(f"`{name}` is {_shown(bytes(raw))}, not a list of messages: send [{{...}}, ...]", name)
        return 0
    return _images_among(items, 1) if _may_hold_images(raw) else 0


def _may_hold_images(raw: Raw) -> bool:
    """Whether a word of IMAGE_PARTS may stand in it, be it written with escapes."""
    text = bytes(raw)
    return b"image" in text or b"screenshot" in text or b"\\u" in text


def _images_among(items: list[_Item], depth: int) -> int:
    return sum(
        (item.type in IMAGE_PARTS) + _images_in(item.content, depth) + _images_in(item.output, depth) for item in items
    )


def _images_in(content: Raw, depth: int) -> int:
    first = memoryview(content)[0]
    if depth == _DEEPEST or first not in b"[{":
        return 0
    try:
        parts = _decode_items(content) if first == ord("[") else [_decode_item(content)]
    except UNREADABLE:
        return 0  # parts of another kind: the upstream judges them
    return _images_among(parts, depth + 1)


def _member(members: Members, name: str, kind: type[T]) -> T | None:
    """One member, None where it is absent or null. Raises Refusal where it is of another type."""
    raw = members.get(name)
    if raw is None or _is_null(raw):
        return None
    try:
        value: T = _decoders[kind](raw)
    except UNREADABLE:
        what = _TYPE_NAMES.get(kind, "an object")
        _refuse(f"`{name}` is {_shown(bytes(raw))}, not {what}: correct it or leave it out", name)
    return value


def _is_null(raw: Raw) -> bool:
    return len(raw) == 4 and bytes(raw) == b"null"


def _shown(raw: bytes) -> str:
    text = raw.strip()[: 2 * MAX_SHOWN_CHARS].decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else " " for c in text)
    return (shown[:MAX_SHOWN_CHARS] + "...") if len(shown) > MAX_SHOWN_CHARS else shown or "empty"


def _refuse(message: str, param: str | None = None) -> NoReturn:
    raise Refusal(400, "invalid_request", message, param)
