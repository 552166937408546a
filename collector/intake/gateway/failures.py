"""What a client is told when a provider failed: by status, by failure, and never with a key or an address in it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from collector.core.outcomes import Facts, Outcome
from collector.intake.gateway.answer import Fault
from collector.intake.gateway.errors import Problem, scrub
from collector.intake.gateway.headers import KEY_HEADERS
from collector.intake.gateway.routing import Route

# failure -> status, code, what the provider did
_FAILURES = {
    "timeout": (504, "timeout", "did not answer in time"),
    "connect": (502, "provider_unreachable", "could not be reached"),
    "tls": (502, "provider_unreachable", "could not be reached over TLS"),
    "disconnect": (502, "provider_disconnected", "closed the connection before its answer was complete"),
    "malformed": (502, "malformed_answer", "answered with something that is not a {operation} answer"),
}
_STATUS_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    503: "provider_unavailable",
    504: "timeout",
    529: "provider_overloaded",
}
_KEY_STATUSES = frozenset({401, 402, 403})


def secrets_of(route: Route, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What nobody may be told of a request: the keys among its headers, and the address that it went to."""
    keys = tuple(headers[name].removeprefix("Bearer ") for name in KEY_HEADERS if name in headers)
    address = urlsplit(route.base_url).netloc
    return (*keys, address) if "." in address or ":" in address else keys


def cleaned(fault: Fault, secrets: tuple[str, ...]) -> Fault:
    """What a provider said of its error, without `secrets`, other keys and addresses."""
    said = (fault.type, fault.code, fault.param)
    kind, code, param = (scrub(text, secrets) or None if text is not None else None for text in said)
    return Fault(scrub(fault.message, secrets), kind, code, param, fault.status)


def problem_of(route: Route, facts: Facts, outcome: Outcome, fault: Fault | None, operation: str) -> Problem:
    """The problem to tell of a failed attempt. `fault` is what the provider said, cleaned."""
    if facts.failure is not None:
        return _of_failure(route, facts.failure, operation)
    said = fault or Fault()
    status = _status(facts, said)
    if status in _KEY_STATUSES and outcome is Outcome.PROVIDER_FAULT:
        message = (
            f"the provider {route.provider} refused the gateway's own key (HTTP {status}): its owner must see to it"
        )
        return Problem(502, "provider_refused_key", message)
    message = said.message or f"the provider {route.provider} {_answered(facts.status)}"
    code = _word(said.code) or _word(said.type) or _STATUS_CODES.get(status, "provider_error")
    return Problem(status, code, message, said.param, _word(said.type))


def unterminated(route: Route) -> Problem:
    """The problem of a stream that ended without its terminal event."""
    message = f"the provider {route.provider} ended its stream before the answer was complete"
    return Problem(502, "stream_truncated", message)


def error_type_of(fault: Fault) -> str | None:
    """The word under which a provider's error is recorded: its code, else its type."""
    return _word(fault.code) or _word(fault.type)


def _of_failure(route: Route, failure: str, operation: str) -> Problem:
    status, code, what = _FAILURES[failure]
    return Problem(status, code, f"the provider {route.provider} {what.format(operation=operation)}")


def _answered(status: int | None) -> str:
    is_success = status is not None and 200 <= status < 300
    return "told an error in place of its answer" if is_success else f"answered with HTTP {status}"


def _status(facts: Facts, said: Fault) -> int:
    """That of the answer; inside a 200 the one that the error names; 502 for what is no error status."""
    status = facts.status or 0
    stated = status if status >= 400 else said.status or 502
    return stated if 400 <= stated <= 599 else 502


def _word(text: str | None) -> str | None:
    return None if text is None or text.isdigit() else text[:100]
