"""What is let in at the door: programs on this machine, not web pages, and bodies of a bounded size."""

import re
from collections.abc import Container, Mapping
from functools import lru_cache

from collector.intake.gateway.errors import Refusal
from collector.settings import Limits

JSON = b"application/json"
_BLANK = b" \t"
_DECISIVE = (b"host", b"origin", b"content-type", b"content-encoding", b"authorization", b"x-api-key")
_LOOPBACK = re.compile(rb"(?:localhost|\[::1\]|127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3}))(?::\d*)?")


def check_source(
    headers: Mapping[bytes, bytes], is_public: bool = False, origins: Container[bytes] = frozenset()
) -> None:
    """Refuse what a web page could send to a loopback address: a foreign Host (DNS rebinding), an Origin not listed.

    A public address has any Host: there every call needs a key. Raises Refusal (403).
    """
    host = headers.get(b"host", b"")
    if not is_public and not is_loopback_host(host):
        name = _shown(host)
        raise Refusal(403, "foreign_host", f"the Host {name} is not this machine: call http://127.0.0.1 or localhost")
    origin = headers.get(b"origin")
    if origin is not None and origin not in origins:
        message = (
            f"the Origin {_shown(origin)} is not listed: web pages may not call the gateway; call it from a program,"
            " or list it in allowed_origins"
        )
        raise Refusal(403, "foreign_origin", message)


def to_page(headers: Mapping[bytes, bytes], is_preflight: bool) -> list[tuple[bytes, bytes]]:
    """What lets a listed page read the answer (fetch.spec.whatwg.org, CORS protocol); nothing for a program."""
    origin = headers.get(b"origin")
    if origin is None:
        return []
    told = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
    if not is_preflight:
        return [*told, (b"access-control-expose-headers", b"*")]
    wanted = headers.get(b"access-control-request-headers", b"")
    return [
        *told,
        (b"access-control-allow-methods", b"GET, HEAD, POST"),
        *([(b"access-control-allow-headers", wanted)] if wanted else []),
        (b"access-control-max-age", b"600"),
    ]


def check_body_kind(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that is not declared as plain JSON (415): a web page can send other kinds unasked."""
    kind = headers.get(b"content-type", b"")
    if kind != JSON and kind.split(b";")[0].strip(_BLANK).lower() != JSON:
        message = f"the Content-Type is {_shown(kind)}: send Content-Type: application/json"
        raise Refusal(415, "unsupported_media_type", message)
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() != b"identity":
        message = f"the Content-Encoding is {_shown(encoding)}: send the body as it is, without compression"
        raise Refusal(415, "unsupported_encoding", message)


def check_length(headers: Mapping[bytes, bytes], limits: Limits) -> None:
    """Refuse a body that is declared larger than max_body_bytes (413), before reading it."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limits.max_body_bytes:
        raise too_large(int(length), limits)


def check_head(sent: list[tuple[bytes, bytes]], limits: Limits) -> None:
    """Refuse headers that are together larger than max_header_bytes (431)."""
    length = sum([len(name) + len(value) for name, value in sent]) + 4 * len(sent)
    if length > limits.max_header_bytes:
        message = f"the headers have {length} bytes, more than max_header_bytes = {limits.max_header_bytes}: send fewer"
        raise Refusal(431, "headers_too_large", message)


def check_once(sent: list[tuple[bytes, bytes]], headers: Mapping[bytes, bytes]) -> None:
    """Refuse a header that decides and stands twice (400): what is before the gateway may have read the other one."""
    if len(sent) == len(headers):
        return
    names = [name for name, _ in sent]
    for name in _DECISIVE:
        if names.count(name) > 1:
            raise Refusal(400, "invalid_request", f"the header {name.decode()} stands twice: send it once")


def too_large(length: int, limits: Limits) -> Refusal:
    """The refusal of a body of `length` bytes or more."""
    message = (
        f"the body has {length} bytes or more, max_body_bytes = {limits.max_body_bytes}: send less, or raise the limit"
    )
    return Refusal(413, "payload_too_large", message)


@lru_cache(maxsize=64)
def is_loopback_host(host: bytes) -> bool:
    """Whether a Host header, with or without a port, names this machine's loopback."""
    found = _LOOPBACK.fullmatch(host.lower())
    return found is not None and all(int(part) < 256 for part in found.groups(b"0"))


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1")) if value else "absent"
