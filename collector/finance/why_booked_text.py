"""Why a month books what it books, to be read: its own usage, then each month that it corrects."""

from collections.abc import Iterator

from collector.core.money import format_usd
from collector.finance.aligned import aligned
from collector.finance.records import instant
from collector.finance.why_booked import Booking, Net, Section

_HEADINGS = ("MODEL", "PROVIDER", "METER", "QUANTITY", "UNIT PRICE USD", "COST USD", "PRICE")
_LEFT = frozenset({0, 1, 2, 6})


def lines(told: Booking) -> Iterator[str]:
    """The text of `callmeter explain --booked`."""
    state = f"closed {instant(told.closed_at)}" if told.closed_at is not None else "not closed"
    yield f"{told.month} as it is booked in {told.zone}, {state}"
    for section in told.sections:
        yield ""
        yield f"corrects {section.corrects}" if section.corrects else "its own usage"
        yield from (f"  {line}".rstrip() for line in _section(section))
    yield ""
    yield f"booked in all: {format_usd(told.cost)} USD"


def _section(section: Section) -> Iterator[str]:
    rows = [_HEADINGS, *map(_row, section.lines), ("total", "", "", "", "", format_usd(section.cost), "")]
    yield from aligned(rows, _LEFT)
    if not section.corrects:
        return
    for each in section.priced_anew:
        calls = "1 call" if each.calls == 1 else f"{each.calls:,} calls"
        yield f"{format_usd(each.cost)} USD: {calls} priced anew by {each.who}, because: {each.why}"
    if section.arrived or not section.priced_anew:
        yield f"{format_usd(section.arrived)} USD: calls that arrived or were told of better after the close"


def _row(net: Net) -> tuple[str, ...]:
    money = ["" if amount is None else format_usd(amount) for amount in (net.unit_price, net.cost)]
    return net.model or "-", net.provider or "-", net.unit, f"{net.quantity:,}", *money, net.price_id or "-"
