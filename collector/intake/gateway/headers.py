"""Which headers pass: only those named here, so that no cookie, key, address or connection detail leaks either way."""

from collections.abc import Iterable

_TO_ANY = frozenset({b"user-agent", b"idempotency-key", b"x-client-request-id", b"x-request-id"})
_TO_OPENROUTER = frozenset(
    {b"http-referer", b"referer", b"x-title", b"x-openrouter-title", b"x-openrouter-categories", b"x-session-id"}
    | {b"x-openrouter-metadata"}
)
_TO_ANY_PREFIXES = (b"openai-", b"anthropic-", b"x-stainless-")
_TO_CLIENT = frozenset({b"content-type", b"retry-after", b"x-request-id", b"request-id", b"x-generation-id"})
_TO_CLIENT_PREFIXES = (b"x-ratelimit-", b"openai-", b"anthropic-", b"x-openrouter-")
USER_AGENT = "callmeter"

Pairs = Iterable[tuple[bytes, bytes]]


def to_upstream(sent: Pairs, kind: str, authorization: str | None, stream: bool) -> dict[str, str]:
    """The headers of a request to a provider of this kind. `authorization` is the key's header, None to send none."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
    }
    for name, value in sent:
        if name in _TO_ANY or name.startswith(_TO_ANY_PREFIXES) or (kind == "openrouter" and name in _TO_OPENROUTER):
            headers["User-Agent" if name == b"user-agent" else name.decode("latin-1")] = value.decode("latin-1")
    if authorization:
        headers["Authorization"] = authorization
    return headers


def to_client(received: Pairs) -> list[tuple[bytes, bytes]]:
    """Those of a provider's headers that a client gets, names in lower case."""
    lowered = ((name.lower(), value) for name, value in received)
    return [(name, value) for name, value in lowered if name in _TO_CLIENT or name.startswith(_TO_CLIENT_PREFIXES)]
