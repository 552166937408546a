"""Gateway keys. A key is 256 random bits, shown once; what is kept is its SHA-256, which cannot be guessed from."""

import secrets
import sqlite3
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from collector.core.budgets import Budget, Every
from collector.core.calls import clip
from collector.core.errors import UsageError
from collector.core.selection import MAX_VALUES
from collector.intake.gateway.shared.state import State

PREFIX = "sk-cm-"  # nothing that begins so is ever sent to a provider
MAX_RPM = 1_000_000
_FIELDS = ("id", "digest", "app", "created_us", "expires_us", "disabled_us", "models", "rpm", "limit", "period")
_COLUMNS = "id, digest, app, created_us, expires_us, disabled_us, models, rpm, limit_picousd, period"
_INSERT = f"INSERT INTO keys ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"


class Key(msgspec.Struct, frozen=True):
    """One key, without what it takes to use it. `models` None: any; `limit` in picodollars per `period`."""

    id: str
    digest: bytes
    app: str
    created_us: int
    expires_us: int | None = None
    disabled_us: int | None = None
    models: tuple[str, ...] | None = None
    rpm: int | None = None
    limit: int | None = None
    period: Every | None = None

    @property
    def budget(self) -> Budget | None:
        """What may be spent with this key."""
        return None if self.limit is None else Budget(f"key:{self.id}", self.period or "month", self.limit)

    def state(self, now_us: int) -> str:
        """active, expired or disabled."""
        if self.disabled_us is not None:
            return "disabled"
        return "expired" if self.expires_us is not None and self.expires_us <= now_us else "active"

    def allows(self, model: str) -> bool:
        """Whether this model may be asked for with it."""
        return self.models is None or model.lower() in self.models


def digest_of(key: str) -> bytes:
    """What is kept of a key. Its 256 random bits need neither salt nor stretching."""
    return sha256(key.encode()).digest()


def create(
    state: State,
    app: str,
    now_us: int,
    *,
    expires_us: int | None = None,
    models: tuple[str, ...] | None = None,
    rpm: int | None = None,
    limit: int | None = None,
    period: Every | None = None,
) -> tuple[Key, str]:
    """A new key and its text, which is nowhere kept. Raises UsageError for a value that cannot be."""
    if clip(app) != app:
        raise UsageError(f"{app[:60]!r} is not the name of an app: write 1 to 256 printable characters")
    if models is not None and (not models or len(models) > MAX_VALUES or any(clip(name) != name for name in models)):
        raise UsageError(f"{','.join(models)[:80]!r} is not a list of models: write names, separated by commas")
    if expires_us is not None and expires_us <= now_us:
        raise UsageError("the key would have expired already: name a later day")
    text = PREFIX + secrets.token_urlsafe(32)
    names = None if models is None else tuple(name.lower() for name in models)
    key = Key(f"k-{secrets.token_hex(6)}", digest_of(text), app, now_us, expires_us, None, names, rpm, limit, period)
    with state.once() as connection:
        connection.execute(_INSERT, _row(key))
    return key, text


def restore(connection: sqlite3.Connection, known: Iterable[Key]) -> None:
    """Put keys that are known into a file that has lost them."""
    connection.executemany(_INSERT, [_row(key) for key in known])


def disable(state: State, key_id: str, now_us: int) -> Key:
    """The key, which no call is let in with any more. Raises UsageError where there is none of that id."""
    with state.once() as connection:
        connection.execute("UPDATE keys SET disabled_us = coalesce(disabled_us, ?) WHERE id = ?", (now_us, key_id))
        found = [key for key in all_keys(connection) if key.id == key_id]
    if not found:
        raise UsageError(f"there is no key {key_id[:60]!r}: `callmeter keys list` shows their ids")
    return found[0]


def all_keys(connection: sqlite3.Connection) -> list[Key]:
    """Every key, the oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_us, id").fetchall()
    return [_key(row) for row in rows]


def _row(key: Key) -> tuple[object, ...]:
    models = None if key.models is None else msgspec.json.encode(key.models).decode()
    return (*msgspec.structs.astuple(key)[:6], models, key.rpm, key.limit, key.period)


def _key(row: tuple[object, ...]) -> Key:
    named = dict(zip(_FIELDS, row, strict=True))
    if named["models"] is not None:
        named["models"] = msgspec.json.decode(str(named["models"]))
    return msgspec.convert(named, Key)
