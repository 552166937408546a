"""Who a call is attributed to: the app of its headers, its session, and the key it came with, as a digest."""

import contextlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from collector.core.calls import clip
from collector.core.errors import SettingsError

SECRET_FILE = "secret"
KEY_DIGITS = 16
MAX_KNOWN_KEYS = 10_000
_LOCAL = ("localhost", "127.", "::1", "0.0.0.0")
_REFERERS = (b"http-referer", b"referer")
_TITLES = (b"x-openrouter-title", b"x-title")
_APP_HEADERS = (*_TITLES, *_REFERERS)
_REMEMBERED_BYTES = 1024


class App(msgspec.Struct, frozen=True):
    """`identity` is the origin of the referer, or the title where that is local or absent."""

    identity: str | None = None
    title: str | None = None


NO_APP = App()


def app_of(headers: Mapping[bytes, bytes]) -> App:
    """The app that HTTP-Referer and X-OpenRouter-Title or X-Title name."""
    stated = tuple([headers.get(name, b"") for name in _APP_HEADERS])
    return _known_app(stated) if sum(map(len, stated)) <= _REMEMBERED_BYTES else _app(stated)


def _app(stated: tuple[bytes, ...]) -> App:
    title, other_title, referer, other_referer = map(_text, stated)
    title, referer = title or other_title, referer or other_referer
    if title is None and referer is None:
        return NO_APP
    return App(identity=_origin(referer) or title, title=title)


_known_app = lru_cache(maxsize=4096)(_app)  # the same few apps send all the calls


def session_of(headers: Mapping[bytes, bytes], stated: str | None) -> str | None:
    """`session_id` of the body, else the x-session-id header."""
    sent = headers.get(b"x-session-id")
    return clip(stated) or (_text(sent) if sent else None)


def key_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The key of an Authorization header, without the word Bearer, else that of x-api-key; None where there is none."""
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get(b"x-api-key", b"").decode("latin-1").strip() or None


class KeyNames:
    """Names keys by a prefix of their HMAC, so that a record never tells a key."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[str, str] = {}

    def name(self, key: str) -> str:
        """`hmac:` and 16 hex digits: the same for the same key as long as the secret stays."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_KNOWN_KEYS:
                self._known.clear()
            digest = hmac.new(self._secret, key.encode(), sha256).hexdigest()
            known = f"hmac:{digest[:KEY_DIGITS]}"
            if len(key) <= _REMEMBERED_BYTES:
                self._known[key] = known
        return known


def load_secret(data_dir: Path) -> bytes:
    """The secret in DIR/secret, made at the first start with mode 600.

    Raises SettingsError where others may read it or it is empty.
    """
    path = data_dir / SECRET_FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        _make_secret(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SettingsError(f"{path} has mode {mode:o}, so others may read it: run `chmod 600 {path}`")
    secret = path.read_bytes().strip()
    if len(secret) < 16:
        raise SettingsError(f"{path} holds {len(secret)} bytes, fewer than 16: remove it, and a new one is made")
    return secret


def _make_secret(path: Path) -> None:
    """Under a name of its own first, so that no other process ever reads half of it."""
    if path.exists():
        return
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    try:
        os.link(unfinished, path)
    finally:
        os.unlink(unfinished)


def _text(stated: bytes) -> str | None:
    return clip(stated.decode("utf-8", "replace"))


def _origin(referer: str | None) -> str | None:
    """scheme://host[:port] in lower case; None for a local or unreadable address."""
    try:
        parts = urlsplit(referer or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or host.startswith(_LOCAL):
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port and port != default else "")
