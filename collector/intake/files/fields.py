"""Values out of the text of fields: instants, whole numbers, durations, money. Empty text is None: not stated."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

from collector.core.errors import InputError
from collector.core.meters import MAX_COUNT
from collector.core.money import parse_usd
from collector.core.periods import END_US, FIRST_US

_NOT_STATED = frozenset({"", "null", "NULL", "None", "none", "nan", "NaN", "\\N"})
_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_FRACTION = re.compile(r"([.,]\d{6})\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Numbers of seconds, milliseconds, microseconds and nanoseconds since 1970 do not overlap between 1973 and 2200.
_LEAST_EPOCH = 10**8  # 1973; a smaller number is no such count, 20261001 above all
_EPOCH_UNITS = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))


def stated(text: str) -> str | None:
    """The text without blanks around it; None for the words that stand for nothing."""
    text = text.strip()
    return None if text in _NOT_STATED else text


def instant(text: str, zone: str) -> int:
    """Microseconds since 1970 of ISO 8601, or of a number of seconds, ms, us or ns since 1970.

    A time without an offset is in `zone`; what is finer than a microsecond is cut off.
    Raises InputError, naming the text.
    """
    us = _of_number(text) if _NUMBER.fullmatch(text) else _of_iso(text, zone)
    if us is None or not FIRST_US <= us < END_US:
        raise InputError(f"{text[:40]!r} is not a time between 1970 and 2200: write 2026-10-01T12:00:00Z")
    return us


def whole(text: str, name: str, most: int = MAX_COUNT) -> int:
    """A whole number from 0 to `most`; `12.0` is one. Raises InputError naming the column and the text."""
    number = _decimal(text, name)
    if number < 0:
        raise InputError(f"{name} {text[:40]} is negative")
    if number > most:
        raise InputError(f"{name} {text[:40]} is more than {most}")
    if number != number.to_integral_value():
        raise InputError(f"{name} {text[:40]} is not a whole number")
    return int(number)


def duration_ms(text: str, name: str) -> int:
    """Whole milliseconds, a fraction rounded half-even. Raises InputError naming the column and the text."""
    number = _decimal(text, name)
    if not 0 <= number <= MAX_COUNT:
        raise InputError(f"{name} {text[:40]} is not a number of milliseconds from 0 to {MAX_COUNT}")
    return round(number)


def money(text: str, name: str) -> int:
    """Picodollars of an amount in USD. Raises InputError naming the column and the text."""
    try:
        return parse_usd(text)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def flag(text: str, name: str) -> bool:
    """1, true, yes and t, or 0, false, no and f. Raises InputError naming the column and the text."""
    words = {"1": True, "true": True, "yes": True, "t": True, "0": False, "false": False, "no": False, "f": False}
    if (found := words.get(text.lower())) is None:
        raise InputError(f"{name} {text[:40]!r} is neither true nor false")
    return found


def _decimal(text: str, name: str) -> Decimal:
    try:
        if _NUMBER.fullmatch(text):
            return Decimal(text)
    except InvalidOperation:
        pass
    raise InputError(f"{name} {text[:40]!r} is not a number")


def _of_number(text: str) -> int | None:
    number = Decimal(text)
    if number < _LEAST_EPOCH:
        return None
    factor = next((factor for below, factor in _EPOCH_UNITS if number < below), None)
    return int(number * factor) if factor else int(number / 1000)


def _of_iso(text: str, zone: str) -> int | None:
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(zone))
    try:
        return (moment - _EPOCH) // datetime.resolution
    except OverflowError:
        return None


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
