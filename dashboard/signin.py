"""The sign-in page, and what becomes of what is sent with it."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.types import Receive, Scope, Send

from collector.core.passwords import hash_password, is_password
from collector.settings import User
from dashboard.sessions import Attempts, Sessions, Who

IN, OUT = "/sign-in", "/sign-out"
PER_ADDRESS, IN_ALL = 5, 60  # failed attempts in WINDOW_S
MOST_BODY_BYTES = 4_096
_NOBODY = hash_password("nobody has this password", b"\0" * 16)  # checked where there is no such user, to take as long
Headers = Sequence[tuple[bytes, bytes]]


class Visitor(NamedTuple):
    """Who asks: from where, over which connection, when."""

    address: str
    is_secure: bool  # the browser came by https
    now_s: float


class Desk:
    """Signs people in and out. Failed attempts are limited by address and in all; one hash is checked at a time."""

    def __init__(self, users: Mapping[str, User], sessions: Sessions, cookie: str) -> None:
        self._users, self._sessions, self._cookie = users, sessions, cookie
        self._attempts = Attempts(PER_ADDRESS, IN_ALL)
        self._one_at_a_time = asyncio.Lock()

    async def serve(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str], at: Visitor) -> None:
        """Answers a request for IN or OUT."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        target = safe_target(query.get("next", ["/"])[0])
        if scope["path"] == OUT:
            await self._sign_out(send, headers, at)
        elif scope["method"] in ("GET", "HEAD"):
            await _show(send, 200, page(target))
        elif scope["method"] == "POST" and is_same_origin(headers):
            await self._sign_in(await _form(receive), target, send, at)
        else:
            await _show(send, 403, page(target, "That did not come from this page. Try again here."))

    async def _sign_in(self, form: Mapping[str, str], target: str, send: Send, at: Visitor) -> None:
        async with self._one_at_a_time:
            if wait_s := self._attempts.wait_s(at.address, at.now_s):
                retry = (b"retry-after", str(math.ceil(wait_s)).encode())
                said = f"Too many attempts. Wait {math.ceil(wait_s)} seconds."
                await _show(send, 429, page(target, said), [retry])
                return
            name = form.get("user", "")
            user = self._users.get(name)
            kept = user.password_hash if user else _NOBODY
            is_right = await asyncio.to_thread(is_password, form.get("password", ""), kept)
            if user is None or not is_right:
                self._attempts.failed(at.address, at.now_s)
                await _show(send, 401, page(target, "This name and password do not go together."))
                return
        token = self._sessions.begin(Who(name, user.role), at.now_s)
        await answer(send, 303, "", [(b"location", target.encode()), self._set_cookie(token, at.is_secure)])

    async def _sign_out(self, send: Send, headers: Mapping[str, str], at: Visitor) -> None:
        for part in headers.get("cookie", "").split(";"):
            name, _, token = part.strip().partition("=")
            if name == self._cookie:
                self._sessions.end(token)
        await answer(send, 303, "", [(b"location", IN.encode()), self._set_cookie("", at.is_secure)])

    def _set_cookie(self, token: str, is_secure: bool) -> tuple[bytes, bytes]:
        ends = "" if token else "; Max-Age=0"
        secure = "; Secure" if is_secure else ""
        return b"set-cookie", f"{self._cookie}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}".encode()


def safe_target(text: str) -> str:
    """A path of this server to go on to; "/" for anything that could lead elsewhere."""
    is_path = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii() and text.isprintable()
    return text if is_path and not text.startswith((IN, OUT)) else "/"


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a form was sent from a page of this server; browsers always say where it came from."""
    return urlsplit(headers.get("origin", "")).netloc.lower() == headers.get("host", "").lower() != ""


async def _form(receive: Receive) -> dict[str, str]:
    body = bytearray()
    while len(body) <= MOST_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
            return {name: values[0] for name, values in fields.items()}
    return {}


async def _show(send: Send, status: int, html: str, headers: Headers = ()) -> None:
    await answer(send, status, html, [(b"content-type", b"text/html; charset=utf-8"), *headers])


async def answer(send: Send, status: int, text: str, headers: Headers = ()) -> None:
    """One whole answer that nobody may keep."""
    body = text.encode()
    common = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *common]})
    await send({"type": "http.response.body", "body": body})


def page(target: str, said: str = "") -> str:
    """The sign-in page, which goes on to `target`; `said` is why it is shown again."""
    action = escape(f"{IN}?next={_quoted(target)}")
    note = f'<p role="alert">{escape(said)}</p>' if said else ""
    return _PAGE.replace("{action}", action).replace("{note}", note)


def _quoted(target: str) -> str:
    return "".join(c if c.isalnum() or c in "/-_.~" else f"%{ord(c):02X}" for c in target)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in to callmeter</title><link rel="icon" href="data:,"><style>
:root { color-scheme: light dark; --back: #fff; --card: #f5f7fa; --line: #c9d1dc; --text: #1c2430; --accent: #2f5fd0;
  --on-accent: #fff; --bad: #b03a26 }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --card: #1a2029; --line: #3c4757; --text: #e6eaf0;
  --accent: #7aa2ff; --on-accent: #12161c; --bad: #f0785f } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif }
main { box-sizing: border-box; width: min(24rem, 100vw - 2rem); padding: 1.75rem; background: var(--card);
  border: 1px solid var(--line);
  border-radius: .6rem }
h1 { margin: 0 0 1rem; font-size: 1.35rem }
label { display: block; margin: .9rem 0 .3rem; font-size: .9rem }
input, button { box-sizing: border-box; width: 100%; padding: .6rem .7rem; border-radius: .5rem; font: inherit;
  border: 1px solid var(--line); background: var(--back); color: var(--text) }
button { margin-top: 1.4rem; border: 0; background: var(--accent); color: var(--on-accent); font-weight: 600;
  cursor: pointer }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
p { margin: 0; color: var(--bad) }
</style></head><body><main><h1>Sign in to callmeter</h1>{note}
<form method="post" action="{action}">
<label for="user">Name</label><input id="user" name="user" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button></form></main></body></html>
"""
