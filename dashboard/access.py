"""Who may look: this machine, or people that sign in or that a trusted proxy names.

ASGI middleware in front of every route and WebSocket. Names of hosts are checked, so that one that an attacker points
at 127.0.0.1 (DNS rebinding) reaches neither the pages nor the CSV. The policy header forbids the browser every request
elsewhere. The script learns who looks from two headers that only this middleware can set.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.core.errors import SettingsError
from collector.settings import Dashboard
from dashboard import signin
from dashboard.sessions import Sessions, Who

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
USER_HEADER, ROLE_HEADER = "x-callmeter-user", "x-callmeter-role"
COOKIE = "callmeter_session"
OPEN_PATHS = ("/healthz",)
_OURS = frozenset({USER_HEADER.encode(), ROLE_HEADER.encode()})
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
    (b"referrer-policy", b"same-origin"),
)


def check_host(host: str, its: Dashboard) -> str:
    """The address to bind to. Raises SettingsError for one that others on the network could reach unasked."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback and not its.is_closed:
        raise SettingsError(
            f"the dashboard would be open to the network at {host!r}: use --host 127.0.0.1, or set a password with"
            " `callmeter password` under [dashboard.users.NAME], or dashboard.user_header behind a proxy with a login"
        )
    return host


def host_names(its: Dashboard) -> tuple[str, ...]:
    """The host names that are answered; () for all of them, which a password makes safe."""
    if its.names or not its.users:
        return (*LOOPBACK_NAMES, *(name.lower() for name in its.names))
    return ()


class Gate:
    """Lets people in and tells the app who they are. Where nobody has to sign in, all are this machine's admin."""

    def __init__(self, app: ASGIApp, its: Dashboard, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._its, self._clock = app, its, clock
        self._names = frozenset(host_names(its))
        self._sessions = Sessions(its.session_hours * 3_600)
        self._desk = signin.Desk(its.users, self._sessions, COOKIE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = single_headers(scope)
        if self._names and host_name(headers) not in self._names:
            names = " and ".join(self._its.names or ("http://127.0.0.1", "http://localhost"))
            await _refuse(scope, receive, send, 421, f"This dashboard answers only to {names}.")
        elif scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, _with_headers(send))
        else:
            await self._admit(scope, receive, _with_headers(send), headers)

    async def _admit(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        peer, now_s = (scope.get("client") or ("",))[0], self._clock()
        is_proxied = peer in self._its.trusted_proxies
        if self._its.users and scope["type"] == "http" and scope["path"] in (signin.IN, signin.OUT):
            address = (headers.get("x-forwarded-for", "").rpartition(",")[2].strip() if is_proxied else "") or peer
            is_secure = "https" in (scope.get("scheme"), headers.get("x-forwarded-proto") if is_proxied else "")
            await self._desk.serve(scope, receive, send, headers, signin.Visitor(address, is_secure, now_s))
            return
        token = cookies(headers).get(COOKIE, "")
        who = self._who(headers, token, is_proxied, now_s)
        if who is None:
            await self._turn_away(scope, receive, send, headers)
            return
        listening = self._while_let_in(receive, headers, token, is_proxied) if scope["type"] == "websocket" else receive
        await self._app(_naming(scope, who), listening, send)

    def _who(self, headers: Mapping[str, str], token: str, is_proxied: bool, now_s: float) -> Who | None:
        if not self._its.is_closed:
            return Who()
        name = headers.get((self._its.user_header or "").lower(), "") if is_proxied else ""
        if self._its.user_header and name:
            return Who(name, "admin" if name in self._its.admins else "viewer")
        return self._sessions.who(token, now_s) if token else None

    def _while_let_in(self, receive: Receive, headers: Mapping[str, str], token: str, is_proxied: bool) -> Receive:
        """Hears from a WebSocket until its visitor is signed out; then it is as if they had gone."""

        async def receiving() -> Message:
            message = await receive()
            if self._who(headers, token, is_proxied, self._clock()) is None:
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        return receiving

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        wants_page = scope["type"] == "http" and "text/html" in headers.get("accept", "")
        if not self._its.users or not wants_page:
            await _refuse(scope, receive, send, 401, "Sign in first.")
            return
        query = scope.get("query_string", b"").decode("latin-1")
        asked = scope["path"] + (f"?{query}" if query else "")
        location = f"{signin.IN}?{urlencode({'next': asked})}" if asked != "/" else signin.IN
        await signin.answer(send, 303, "", [(b"location", location.encode())])


def single_headers(scope: Scope) -> dict[str, str]:
    """The headers by name in lower case; one that came twice counts as not sent, but for cookies."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return {name: "; ".join(values) for name, values in found.items() if len(values) == 1 or name == "cookie"}


def cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """The cookies that were sent, the first of each name."""
    pairs = (part.strip().partition("=") for part in reversed(headers.get("cookie", "").split(";")))
    return {name: value for name, _, value in pairs}


def host_name(headers: Mapping[str, str]) -> str:
    """The name in the Host header, without port and brackets, "" when there is none or more than one."""
    text = headers.get("host", "").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _naming(scope: Scope, who: Who) -> Scope:
    others = [(name, value) for name, value in scope["headers"] if name.lower() not in _OURS]
    named = [(USER_HEADER.encode(), who.name.encode("latin-1", "replace")), (ROLE_HEADER.encode(), who.role.encode())]
    return {**scope, "headers": [*others, *named]}


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await signin.answer(send, status, f"{why}\n", [(b"content-type", b"text/plain; charset=utf-8")])
