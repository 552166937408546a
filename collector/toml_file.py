"""TOML files read strictly: decimals stay Decimal; an error names the file, the key, the value and what to do."""

import re
import tomllib
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from collector.core.errors import SettingsError

T = TypeVar("T")
_MAX_FILE_BYTES = 4 * 1024 * 1024
_MESSAGE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<at>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<key>[^`]*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, floats as Decimal. Raises SettingsError when it cannot be read."""
    try:
        data = path.read_bytes()
        if len(data) > _MAX_FILE_BYTES:
            raise SettingsError(f"{path}: {len(data)} bytes is more than such a file may have ({_MAX_FILE_BYTES})")
        return tomllib.loads(data.decode("utf-8"), parse_float=lambda text: _decimal(text, path))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error
    except RecursionError:
        raise SettingsError(f"{path}: its lists or tables lie too deep in each other: write them flat") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise SettingsError(f"{path}: holds a number that cannot be read: {error}") from error


def convert(raw: Any, kind: type[T], path: Path, where: str) -> T:
    """One table of a file as a value of `kind`; `where` is what the user calls the table, such as "settings".

    Raises SettingsError naming file, key and value; for an unknown key also the nearest known one.
    """
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {_explain(str(error), raw, kind, where)}") from error


def unknown_key(key: str, known: list[str], where: str) -> str:
    """What is said of a key that nobody knows."""
    near = get_close_matches(key, known, n=1)
    advice = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}"
    return f"unknown key `{key}` in {where}: {advice}"


def _explain(message: str, raw: Any, kind: Any, where: str) -> str:
    match = _MESSAGE.match(message)
    what, at = (match["what"], match["at"] or "") if match else (message, "")
    name, value = where + at, _follow(raw, at)
    if unknown := _UNKNOWN.search(what):
        return unknown_key(unknown["key"], _fields(kind, at), f"[{name}]")
    if missing := _MISSING.search(what):
        return f"[{name}] needs `{missing['key']}`: add it"
    return f"{name} = {_shown(value)}: {what[:1].lower()}{what[1:]}"


def _follow(raw: Any, at: str) -> Any:
    for key, index in _STEP.findall(at):
        raw = raw[key] if key else raw[int(index)]
    return raw


def _fields(kind: Any, at: str) -> list[str]:
    for key, _ in _STEP.findall(at):
        kind = next((f.type for f in msgspec.structs.fields(kind) if f.encode_name == key), kind)
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _decimal(text: str, path: Path) -> Decimal:
    try:
        number = Decimal(text.replace("_", ""))
    except InvalidOperation:  # an exponent beyond all bounds
        number = Decimal("inf")
    if not number.is_finite():
        raise SettingsError(f"{path}: {text[:40]} is not a number that can be set: write a finite one")
    return number
