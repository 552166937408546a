"""Who may look: loopback only, and only pages and programs that ask for it by a loopback name.

An ASGI middleware in front of every route and WebSocket, so that a name that an attacker points at 127.0.0.1 (DNS
rebinding) reaches neither the pages nor the CSV. The policy header forbids the browser every request elsewhere.
"""

import ipaddress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.core.errors import SettingsError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self' ws: wss:",
        "frame-ancestors 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def check_host(host: str) -> str:
    """The address to bind to. Raises SettingsError for one that others on the network could reach."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise SettingsError(
            f"the dashboard would be open to the network at {host!r}: use --host 127.0.0.1,"
            " and a reverse proxy with a login in front of it to show it to others"
        )
    return host


class LoopbackOnly:
    """Answers 421 to a Host header that is not a name of this machine; adds security headers to the rest."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif host_name(scope) not in self._names:
            await _refuse(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))


def host_name(scope: Scope) -> str:
    """The name in the Host header, without port and brackets, "" when there is none or more than one."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return ""
    text: str = hosts[0].decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = b"This dashboard answers only to http://127.0.0.1 and http://localhost.\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})
