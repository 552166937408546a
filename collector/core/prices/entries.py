"""One [[prices]] table of a file, read into a price set. FIELDS says which key prices which meter."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from collector.core.calls import MAX_NAME_CHARS, clip
from collector.core.errors import InputError, PriceError
from collector.core.meters import MAX_COUNT
from collector.core.money import MAX_COST, PICODOLLARS, format_usd, parse_unit_price
from collector.core.prices.names import normal_tier
from collector.core.prices.sets import IN_TOKENS, PER_IMAGE, PriceSet


class Field(NamedTuple):
    """A key of a [[prices]] table: USD for `per` units of a meter."""

    meter: str
    per: int


_MILLION, _THOUSAND = 1_000_000, 1_000
FIELDS: dict[str, Field] = {
    "input_usd_per_m": Field("input", _MILLION),
    "cache_read_usd_per_m": Field("cache_read", _MILLION),
    "cache_write_5m_usd_per_m": Field("cache_write_5m", _MILLION),
    "cache_write_1h_usd_per_m": Field("cache_write_1h", _MILLION),
    "output_usd_per_m": Field("output", _MILLION),
    "reasoning_usd_per_m": Field("reasoning", _MILLION),
    "audio_in_usd_per_m": Field("audio_in", _MILLION),
    "audio_out_usd_per_m": Field("audio_out", _MILLION),
    "cache_read_audio_usd_per_m": Field("cache_read_audio", _MILLION),
    "image_in_tokens_usd_per_m": Field("image_in_tokens", _MILLION),
    "image_out_tokens_usd_per_m": Field("image_out_tokens", _MILLION),
    "cache_read_image_usd_per_m": Field("cache_read_image", _MILLION),
    "video_in_usd_per_m": Field("video_in", _MILLION),
    "cache_read_video_usd_per_m": Field("cache_read_video", _MILLION),
    "image_usd_per_k": Field("images_in", _THOUSAND),
    "image_out_usd_per_k": Field("images_out", _THOUSAND),
    "web_search_usd_per_k": Field("web_searches", _THOUSAND),
    "server_tool_call_usd_per_k": Field("server_tool_calls", _THOUSAND),
    "request_usd_per_k": Field("requests", _THOUSAND),
}
_CONDITIONS = ("provider", "key", "tier", "above_tokens", "hours", "days", "from", "until")
_OTHERS = ("model", "images", "minimum_usd", "source", "checked")
_KNOWN = frozenset((*FIELDS, *_CONDITIONS, *_OTHERS))
_HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$")
_DAY_MINUTES = 24 * 60
_MOST_DIGITS = 30
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_entry(entry: Mapping[str, Any], source: str, where: str | None = None) -> PriceSet:
    """The price set of one [[prices]] table, decimals given as Decimal, int or text.

    `source` stands where the entry names none. Raises PriceError naming `where` it stands (absent: `source`), the
    model, the key and the value.
    """
    where = where or source
    model = entry.get("model") if isinstance(entry, Mapping) else None
    if not isinstance(model, str) or not model.strip():
        raise PriceError(f'{where}: a [[prices]] entry names no model: write model = "openai/gpt-4-turbo"')
    try:
        return _read(entry, _name("model", model), source)
    except InputError as error:
        raise PriceError(f"{where}: the price of {(clip(model) or '')[:60]}: {error}") from None


def _read(entry: Mapping[str, Any], model: str, source: str) -> PriceSet:
    if unknown := sorted(entry.keys() - _KNOWN):
        raise PriceError(
            f"{unknown[0][:60]!r} is not a key of [[prices]], where every price is in USD: use one of"
            f" {', '.join(sorted(_KNOWN))}"
        )
    stated = {FIELDS[key].meter: read_price(key, entry[key], FIELDS[key].per) for key in FIELDS if key in entry}
    if not stated:
        raise PriceError("no price of a unit is stated: add for example input_usd_per_m = 10")
    prices = {meter: price for meter, (price, _) in stated.items()}
    return PriceSet(
        model=model,
        prices=prices,
        source=_text(entry, "source") or source,
        provider=_text(entry, "provider"),
        images=_images(entry, prices),
        key=_text(entry, "key"),
        tier=normal_tier(_text(entry, "tier")),
        above_tokens=_above(entry),
        hours=_hours(entry.get("hours", ())),
        days=_days(entry.get("days", ())),
        starts=instant_of(entry.get("from"), "from"),
        until=instant_of(entry.get("until"), "until"),
        minimum=_minimum(entry),
        listed={meter: text for meter, (_, text) in stated.items()},
        checked=_checked(entry.get("checked")),
    )


def read_price(key: str, value: Any, per: int) -> tuple[int, str]:
    """Picodollars per unit of a price in USD for `per` units, and the price as it is listed.

    Raises PriceError, naming key and value, for what is no price, and for one too high or too low to be held.
    """
    number = _decimal(key, value)
    price = parse_unit_price(f"{number:f}", per)
    if price > MAX_COST:
        raise PriceError(f"{key} = {number} is refused: a unit costs {format_usd(MAX_COST)} USD at most")
    if number and not price:
        raise PriceError(f"{key} = {number} is refused: a unit costs a picodollar or more; write 0 where it is free")
    return price, listed_text(f"{number:f}", per)


def listed_text(usd: str, per: int) -> str:
    """How a listed price reads: `10 USD per 1,000,000`; one that is not whole picodollars says what it is taken for."""
    taken = parse_unit_price(usd, per)
    rounded = "" if Fraction(usd) * PICODOLLARS == taken * per else f", rounded to {format_usd(taken)} USD"
    return f"{usd} USD per {per:,}{rounded}"


def _decimal(key: str, value: Any) -> Decimal:
    """A number that is 0 or more, of a size and with as many digits as a price can have."""
    if isinstance(value, (float, bool)) or not isinstance(value, (Decimal, int, str)):
        raise PriceError(f"{key} = {value!r} is not a decimal number")
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise PriceError(f"{key} = {str(value)[:60]!r} is not a decimal number") from None
    if not number.is_finite() or number.is_signed():
        raise PriceError(f"{key} = {number} is refused: a price is 0 (free) or more; leave it out where none is known")
    if len(number.as_tuple().digits) > _MOST_DIGITS or abs(number.adjusted()) > _MOST_DIGITS:
        raise PriceError(f"{key} = {str(number)[:60]} is refused: no price has {_MOST_DIGITS} digits")
    return number


def _minimum(entry: Mapping[str, Any]) -> int | None:
    if "minimum_usd" not in entry:
        return None
    return read_price("minimum_usd", entry["minimum_usd"], 1)[0]


def _checked(value: Any) -> str | None:
    """The date on which somebody read the source."""
    if value is None:
        return None
    text = str(value)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise PriceError(f"checked = {text[:60]!r} is not a date: write checked = 2026-10-01") from None


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return None if value is None else _name(key, value)


def _name(key: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text or clip(text) != text:
        shown = repr(value[:60] if isinstance(value, str) else value)
        raise PriceError(f"{key} = {shown} is not text of one line and 1 to {MAX_NAME_CHARS} characters")
    return text


def _images(entry: Mapping[str, Any], prices: Mapping[str, int]) -> Any:
    rule = entry.get("images", PER_IMAGE if "images_in" in prices else IN_TOKENS)
    if rule not in (PER_IMAGE, IN_TOKENS):
        raise PriceError(f'images = {rule!r} is not a rule: write "{PER_IMAGE}" or "{IN_TOKENS}"')
    if rule == PER_IMAGE and "images_in" not in prices:
        raise PriceError(f'images = "{PER_IMAGE}" needs image_usd_per_k')
    return rule


def _above(entry: Mapping[str, Any]) -> int:
    value = entry.get("above_tokens", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
        raise PriceError(f"above_tokens = {value!r} is not a number of tokens")
    return value


def _hours(windows: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(windows, (list, tuple)):
        raise PriceError(f'hours = {windows!r} is not a list of UTC windows: write hours = ["16:30-00:30"]')
    return tuple(sorted(_window(window) for window in windows))


def _window(text: Any) -> tuple[int, int]:
    match = _HOURS.match(text) if isinstance(text, str) else None
    if not match:
        raise PriceError(f'{text!r} is not a window of UTC hours: write "16:30-00:30"')
    start, end = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
    if start == end or end > _DAY_MINUTES:
        raise PriceError(f"{text!r} is not a window of UTC hours: it is empty or ends after 24:00")
    return start, end


def _days(names: Any) -> tuple[int, ...]:
    """Days of the week, UTC: `["sat", "sun"]` is (5, 6)."""
    if not isinstance(names, (list, tuple)) or any(name not in WEEKDAYS for name in names):
        raise PriceError(f'days = {names!r} is not a list of days: write days = ["sat", "sun"]')
    return tuple(sorted({WEEKDAYS.index(name) for name in names}))


def instant_of(value: Any, key: str = "from") -> int | None:
    """Microseconds of a date (its UTC midnight) or of a moment with an offset; None of None. Raises PriceError."""
    if value is None:
        return None
    if isinstance(value, str):
        value = _parse_date(key, value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise PriceError(f"{key} = {value} has no offset: add Z for UTC")
        moment = _utc(key, value)
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        raise PriceError(f"{key} = {value!r} is not a date: write {key} = 2026-10-01")
    return (int(moment.timestamp()) * 1_000_000) + moment.microsecond


def _utc(key: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PriceError(f"{key} = {moment} is outside of the calendar: leave it out, or write another date") from None


def _parse_date(key: str, text: str) -> date:
    try:
        return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    except ValueError:
        raise PriceError(f"{key} = {text!r} is not a date: write {key} = 2026-10-01") from None
