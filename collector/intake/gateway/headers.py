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
# How a kind of provider takes its key, where it is not `Authorization: Bearer` (docs.anthropic.com, API overview).
_KEY_HEADER_OF = {"anthropic": "x-api-key"}
KEY_HEADERS = ("Authorization", *_KEY_HEADER_OF.values())
_DEFAULTS = {"anthropic": {"anthropic-version": "2023-06-01"}}

Pairs = Iterable[tuple[bytes, bytes]]


def to_upstream(sent: Pairs, kind: str, key: str | None, stream: bool, as_sent: bool = False) -> dict[str, str]:
    """The headers of a request to a provider of this kind. `key` None: none is sent; `as_sent`: it is the caller's.

    A caller's key that came as a bearer token goes on as one: to Anthropic it is then no key, but a token of OAuth.
    """
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **_DEFAULTS.get(kind, {}),
    }
    bearer = False
    for name, value in sent:
        if name in _TO_ANY or name.startswith(_TO_ANY_PREFIXES) or (kind == "openrouter" and name in _TO_OPENROUTER):
            headers["User-Agent" if name == b"user-agent" else name.decode("latin-1")] = value.decode("latin-1")
        bearer = bearer or (as_sent and name == b"authorization")
    if key and kind in _KEY_HEADER_OF and not bearer:
        headers[_KEY_HEADER_OF[kind]] = key
    elif key:
        headers["Authorization"] = f"Bearer {key}"
    return headers


def to_client(received: Pairs) -> list[tuple[bytes, bytes]]:
    """Those of a provider's headers, with names in lower case, that a client gets."""
    return [pair for pair in received if pair[0] in _TO_CLIENT or pair[0].startswith(_TO_CLIENT_PREFIXES)]
