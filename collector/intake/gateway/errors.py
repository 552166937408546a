"""Errors as a client reads them: OpenAI's shape under /v1, OpenRouter's under /api/v1, Anthropic's where its dialect is
spoken; never an upstream's own body.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

MAX_MESSAGE_CHARS = 1000
_KEYS = re.compile(r"\b(?:sk|pk|key|gsk|xai)-[A-Za-z0-9_*.\-]{6,}")
_ADDRESSES = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>)]+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b")
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "payment_required",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout",
    413: "payload_too_large",
    429: "rate_limit_error",
    502: "provider_error",
    503: "unavailable",
    504: "timeout",
}


class Problem(msgspec.Struct, frozen=True):
    """What is told to a client instead of an answer. `code` is a stable word, `param` the member that is wrong."""

    status: int
    code: str
    message: str
    param: str | None = None
    type: str | None = None  # None: what fits the status
    retry_after: str | None = None
    previous: tuple[dict[str, Any], ...] = ()  # attempts that failed before: provider, code, status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"retry-after", self.retry_after.encode())] if self.retry_after else []


class Refusal(Exception):
    """The gateway itself turns a request away."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None, retry_after: str | None = None):
        super().__init__(message)
        self.problem = Problem(status, code, message, param, retry_after=retry_after)


def body_of(problem: Problem, shape: str, provider: str | None = None) -> bytes:
    """The JSON body of a problem in one of SHAPES."""
    return msgspec.json.encode(error_of(problem, shape, provider))


def error_of(problem: Problem, shape: str, provider: str | None = None) -> dict[str, Any]:
    """What the body of a problem holds."""
    return SHAPES[shape](problem, provider)


def scrub(message: str, secrets: tuple[str, ...] = ()) -> str:
    """An upstream's words without keys and addresses, at most MAX_MESSAGE_CHARS long."""
    text = message[: 4 * MAX_MESSAGE_CHARS]
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "[hidden]")
    text = _KEYS.sub("[key]", _ADDRESSES.sub("[address]", text))
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_MESSAGE_CHARS].strip()


def _openai(problem: Problem, provider: str | None) -> dict[str, Any]:
    error = {
        "message": problem.message,
        "type": _type_of(problem),
        "param": problem.param,
        "code": problem.code,
    }
    return {"error": {**error, "metadata": {"previous_errors": problem.previous}} if problem.previous else error}


def _openrouter(problem: Problem, provider: str | None) -> dict[str, Any]:
    metadata = {
        "error_type": problem.code
        if problem.code in OPENROUTER_TYPES
        else _OPENROUTER_TYPES.get(problem.status, "server"),
        "reason": problem.code,
        "provider_name": provider,
        "param": problem.param,
        "previous_errors": problem.previous or None,
    }
    error = {
        "code": problem.status,
        "message": problem.message,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }
    return {"error": error}


# OpenRouter's stable words (openrouter.ai/docs, errors), and the one for a status where the problem's own is none of
# them.
_WORDS = """
    context_length_exceeded max_tokens_exceeded token_limit_exceeded string_too_long authentication permission_denied
    payment_required rate_limit_exceeded provider_overloaded provider_unavailable invalid_request invalid_prompt
    not_found precondition_failed payload_too_large unprocessable content_policy_violation refusal invalid_image
    image_too_large image_too_small unsupported_image_format image_not_found image_download_failed server timeout
    unmapped
"""
OPENROUTER_TYPES = frozenset(_WORDS.split())
_OPENROUTER_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    502: "provider_unavailable",
    503: "provider_unavailable",
    504: "timeout",
    524: "timeout",
    529: "provider_overloaded",
}


def _openrouter_type(problem: Problem) -> str:
    return problem.code if problem.code in OPENROUTER_TYPES else _OPENROUTER_TYPES.get(problem.status, "server")


def _anthropic(problem: Problem, provider: str | None) -> dict[str, Any]:
    kind = _ANTHROPIC_TYPES.get(problem.status) or ("api_error" if problem.status >= 500 else _TYPES[400])
    return {"type": "error", "error": {"type": kind, "message": problem.message}, "request_id": None}


def _type_of(problem: Problem) -> str:
    return problem.type or _TYPES.get(problem.status) or ("server_error" if problem.status >= 500 else _TYPES[400])


# docs.anthropic.com, Errors
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
SHAPES: dict[str, Callable[[Problem, str | None], dict[str, Any]]] = {
    "openai": _openai,
    "openrouter": _openrouter,
    "anthropic": _anthropic,
}
