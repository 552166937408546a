"""Query parameters, read by a table: each has a kind and bounds, and an error names the parameter and its value."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from collector.intake.gateway.errors import Refusal

MAX_QUERY_BYTES = 8_192
MAX_TEXT_CHARS = 512


class Param(NamedTuple):
    """`kind` is "text", "names" (comma-separated), "whole" or "number"; `choices` where only some texts are known.

    `nullable`: `null` and nothing stand for a parameter that was not sent.
    """

    kind: str = "text"
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    nullable: bool = False


def read_query(query: bytes, known: Mapping[str, Param]) -> dict[str, Any]:
    """The known parameters that were sent, by name; others are left alone. Raises Refusal (400, 414)."""
    if len(query) > MAX_QUERY_BYTES:
        raise Refusal(414, "query_too_long", f"the query has {len(query)} bytes, {MAX_QUERY_BYTES} at most: send less")
    try:
        sent = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise Refusal(400, "invalid_request", "the query cannot be read: percent-encode it") from None
    found: dict[str, Any] = {}
    for name, text in sent:
        if name not in known or (known[name].nullable and text in ("", "null")):
            continue
        if name in found:
            raise _refuse(name, text, "stands twice: send it once")
        found[name] = _value(name, text, known[name])
    return found


def _value(name: str, text: str, param: Param) -> Any:
    if len(text) > MAX_TEXT_CHARS:
        raise _refuse(name, text, f"is longer than {MAX_TEXT_CHARS} characters")
    if param.kind in ("whole", "number"):
        return _number(name, text, param)
    if param.choices and text not in param.choices:
        raise _refuse(name, text, f"is not one of {', '.join(param.choices)}")
    return tuple(filter(None, text.split(","))) if param.kind == "names" else text


def _number(name: str, text: str, param: Param) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or not text.isascii() or (param.kind == "whole" and not text.lstrip("+-").isdigit()):
        raise _refuse(name, text, f"is not a {param.kind} number")
    if (param.least is not None and number < param.least) or (param.most is not None and number > param.most):
        bounds = f"between {param.least} and {param.most}" if param.most is not None else f"at least {param.least}"
        raise _refuse(name, text, f"is not {bounds}")
    return number


def _refuse(name: str, text: str, what: str) -> Refusal:
    return Refusal(400, "invalid_request", f"{name}={text[:60]!r} {what}", name)
