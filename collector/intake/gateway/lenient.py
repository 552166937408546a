"""JSON of others, read as far as it can be: a member that is odd costs that member, and nothing else."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Raw

from collector.core.errors import InputError
from collector.core.usage import decode_answer, find_usage

T = TypeVar("T", bound=msgspec.Struct)
NULL = Raw(b"null")
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
# A pair of surrogates, one without its other half, any other escape.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def members_of(data: bytes | Raw) -> dict[str, Raw] | None:
    """The members of a JSON object; None for what is none."""
    try:
        return _decode_members(data)
    except UNREADABLE:
        pass
    whole = mended(bytes(data))
    try:
        return _decode_members(whole) if whole != data else None
    except UNREADABLE:
        return None


def reader(kind: type[T]) -> Callable[[bytes | Raw], T | None]:
    """Reads objects of one kind, without the members that are of another type; None for what is no object."""
    decode = msgspec.json.Decoder(kind).decode
    of_member = {field.encode_name: _member_reader(field.type) for field in msgspec.structs.fields(kind)}

    def read(data: bytes | Raw) -> T | None:
        try:
            return decode(data)
        except msgspec.ValidationError:
            members = members_of(data)
        except UNREADABLE:
            whole = mended(bytes(data))
            return read(whole) if whole != data else None
        return None if members is None else kind(**_readable(members, of_member))

    return read


def _member_reader(kind: Any) -> Callable[[Raw], Any]:
    inner = [each for each in get_args(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return reader(inner[0]) if inner else msgspec.json.Decoder(kind).decode


def _readable(members: Mapping[str, Raw], of_member: Mapping[str, Callable[[Raw], Any]]) -> dict[str, Any]:
    found = {}
    for name, decode in of_member.items():
        try:
            if name in members:
                found[name] = decode(members[name])
        except UNREADABLE:
            continue
    return found


def mended(data: bytes) -> bytes:
    """JSON in which half a pair of surrogates is the replacement character.

    The grammar allows one (RFC 8259, 8.2), and who cuts text by units of UTF-16 sends one; msgspec refuses it.
    """
    return _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], data) if b"\\u" in data else data


def usage_of(shape: str, stated: Raw) -> Mapping[str, Any] | None:
    """The usage of a `usage` member that is an object, decoded without floats; None where it states none."""
    try:
        return find_usage(shape, {"usage": decode_answer(bytes(stated))}) if len(stated) > 4 else None
    except InputError:
        return None
