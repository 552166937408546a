"""Numbers, dates and names as a screen shows them, and the escaping that keeps outside text plain text."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from collector.core.money import PICODOLLARS, format_usd

EPOCH_DAY = date(1970, 1, 1)
NO_DATA = "no data"
_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_PLOTLY_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "#": "&#35;"})


def count(number: int, unit: str = "", plural: str = "") -> str:
    """An exact count with its unit: `count(1234, "call")` is "1,234 calls"."""
    name = unit if number == 1 else plural or f"{unit}s"
    return f"{number:,} {name}" if unit else f"{number:,}"


def short_count(number: int) -> str:
    """A count in at most four digits, cut, never rounded up: 12,345,678 is "12.3M"."""
    if abs(number) < 10_000:
        return f"{number:,}"
    sign, rest = ("-", -number) if number < 0 else ("", number)
    size, letter = next(unit for unit in _UNITS if rest >= unit[0])
    decimals = 2 if rest < 10 * size else 1 if rest < 100 * size else 0
    scaled = rest * 10**decimals // size
    whole, fraction = divmod(scaled, 10**decimals)
    return f"{sign}{whole:,}.{fraction:0{decimals}d}{letter}" if decimals else f"{sign}{whole:,}{letter}"


def usd(picousd: int) -> str:
    """An exact amount, with all its digits: "$1,234.567890123"."""
    whole, _, fraction = format_usd(abs(picousd)).partition(".")
    sign = "-" if picousd < 0 else ""
    return f"{sign}${int(whole):,}.{fraction.ljust(2, '0')}"


def amount(dollars: Decimal | None) -> str:
    """An amount in a table, with all its digits; "no price" where there is none."""
    if dollars is None or dollars.is_nan():
        return "no price"
    return usd(int(dollars * PICODOLLARS))


def dollars(picousd: int | None) -> Decimal | None:
    """The exact amount as a number that a table can sort by."""
    return None if picousd is None else Decimal(format_usd(picousd))


def short_usd(picousd: int) -> str:
    """An amount rounded for reading: cents from one dollar on, three significant digits below."""
    size = abs(picousd)
    if size == 0:
        return "$0.00"
    places = 2 if size >= PICODOLLARS else max(2, 15 - len(str(size)))
    return usd(_rounded(picousd, 10 ** max(12 - places, 0)))


def _rounded(number: int, step: int) -> int:
    """The multiple of `step` nearest to `number`, half to even."""
    quotient, rest = divmod(number, step)
    return (quotient + (2 * rest > step or (2 * rest == step and quotient % 2 == 1))) * step


def percent(part: int, whole: int) -> str:
    """A share with two decimals, cut, so that 100% means all: `percent(9999, 10000)` is "99.99%"."""
    if whole == 0:
        return NO_DATA
    hundredths = 10_000 * part // whole
    if hundredths == 10_000:
        return "100%"
    if hundredths == 0 and part:
        return "<0.01%"
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def change(now: int, before: int) -> str | None:
    """The change from one total to the next, "+12%" or "-0.4%"; None where there was nothing before."""
    if before <= 0:
        return None
    tenths = _rounded(1_000 * (now - before), before) // before
    if abs(tenths) >= 100:
        return f"{_rounded(tenths, 10) // 10:+,}%"
    sign = "-" if tenths < 0 else "+"
    return f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}%" if tenths else "0%"


def day_text(day: int) -> str:
    """The day's long name: "Tue 3 Nov 2026"."""
    at = EPOCH_DAY + timedelta(days=day)
    return f"{at:%a} {at.day} {at:%b %Y}"


def short_day(day: int) -> str:
    """The day's short name: "3 Nov"."""
    at = EPOCH_DAY + timedelta(days=day)
    return f"{at.day} {at:%b}"


def instant_text(at_us: int, zone: str) -> str:
    """An instant in a zone, unambiguous in the night when clocks go back: "Tue 3 Nov 2026, 14:10 +01:00"."""
    at = local(at_us, zone)
    offset = f"{at:%z}"
    return f"{at:%a} {at.day} {at:%b %Y}, {at:%H:%M} {offset[:3]}:{offset[3:5]}"


def precise_time(at_us: int, zone: str) -> str:
    """An instant to the millisecond, with the offset: "2026-11-03 14:10:05.123 +01:00"."""
    at = local(at_us, zone)
    offset = f"{at:%z}"
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1_000:03d} {offset[:3]}:{offset[3:5]}"


def clock(at_us: int, zone: str, with_day: bool = False) -> str:
    """The time of day: "14:10", or "Tue 14:10"."""
    at = local(at_us, zone)
    return f"{at:%a} {at:%H:%M}" if with_day else f"{at:%H:%M}"


def local(at_us: int, zone: str) -> datetime:
    """The instant as an aware datetime in the zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).astimezone(ZoneInfo(zone))


def duration(milliseconds: int | None) -> str:
    """A length of time: "840 ms", "12.3 s"; a dash where nobody stated it."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds} ms" if milliseconds < 10_000 else f"{milliseconds // 1000}.{milliseconds % 1000 // 100} s"


def for_plotly(name: str, length: int = 60) -> str:
    """A name from outside as literal text in a figure.

    Plotly reads a small HTML in labels (https://plotly.com/python/v3/font/, "svg_text_utils" in its source), and
    Streamlit replaces hex colours anywhere in a figure, so `&`, `<`, `>` and `#` become entities.
    """
    return clipped(name, length).translate(_PLOTLY_SPECIAL)


def for_markdown(name: str, length: int = 80) -> str:
    """A name from outside as inline code, the one Markdown form in which nothing is interpreted."""
    text = clipped(name, length).replace("\n", " ")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def clipped(name: str, length: int) -> str:
    """The name, or its beginning with an ellipsis."""
    return name if len(name) <= length else f"{name[: length - 1]}…"
