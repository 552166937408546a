"""Line items: sums of cells, cut into one line per meter, so that price x quantity = cost on every line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from collector.core.meters import METERS
from collector.core.periods import format_day
from collector.core.prices import PriceSet, line_items
from collector.ledger.questions.ask import AnyRow
from collector.ledger.questions.items import OLD

ADJUSTMENT = "adjustment"


class Line(NamedTuple):
    """One line item; money in picodollars. Prices and cost are None where the usage is unpriced."""

    group: tuple[str, ...]
    unit: str
    quantity: int
    unit_price: int | None
    cost: int | None
    price_id: str
    list_price: int | None = None  # what a public list asks for one, where the price is a contract's; else the price


class Sums(NamedTuple):
    """What one group used under one price set ("": none), over all its days."""

    group: tuple[str, ...]
    price_id: str
    is_unpriced: bool
    calls: int
    meters: dict[str, int]  # those above 0
    cost: int


def sums_of(rows: Iterable[AnyRow], by: Sequence[str]) -> Iterator[Sums]:
    """Adds up the days of rows of `questions.items.sums_by_price` that are one group, in whole numbers of any size."""
    for key, same in groupby(rows, key=lambda row: _key(row, by)):
        yield _added(key, list(same))


def lines_of(sums: Sums, price_set_of: Callable[[str], PriceSet]) -> Iterator[Line]:
    """The lines of one group under one price set, in the order of METERS, and what they leave of its cost.

    Calls may come with a cost that is not price x quantity, or with a cost and no price set: the difference is a line
    of its own, one `adjustment` at that price, so that lines always add up to the ledger's cost.
    """
    price_set = None if sums.is_unpriced or not sums.price_id else price_set_of(sums.price_id)
    prices = _unit_prices(sums, price_set) if price_set else {}
    public = price_set.list_unit_prices if price_set else {}
    rest = sums.cost
    for meter, quantity in sums.meters.items():
        price = None if sums.is_unpriced else prices.get(meter, 0)
        cost = None if price is None else quantity * price
        rest -= cost or 0
        list_price = price if price is None else public.get(meter, price)
        yield Line(sums.group, METERS[meter].column, quantity, price, cost, sums.price_id, list_price)
    if rest:
        yield Line(sums.group, ADJUSTMENT, 1, rest, rest, sums.price_id, rest)


def changes_of(rows: Iterable[AnyRow], by: Sequence[str]) -> Iterator[tuple[Sums, Sums]]:
    """What each row of `questions.items.changes_by_price` was and is; `by` begins with the day.

    Within a group a price set that nothing is priced by any more comes first.
    """
    for _, same in groupby(rows, key=lambda row: _key(row, by)[0]):
        changes = [(_added(_key(row, by), [row], OLD), _added(_key(row, by), [row])) for row in same]
        yield from sorted(changes, key=lambda change: change[1].calls > 0)


def correction_lines(old: Sums, new: Sums, price_set_of: Callable[[str], PriceSet]) -> Iterator[Line]:
    """The lines that turn what is booked of a group into what it is now: each old line negated, then the new one.

    A line that did not change is not repeated.
    """
    before = {line.unit: line for line in lines_of(old, price_set_of)}
    now = {line.unit: line for line in lines_of(new, price_set_of)}
    for unit in [*before, *(unit for unit in now if unit not in before)]:
        was, is_now = before.get(unit), now.get(unit)
        if was != is_now:
            if was is not None:
                yield negated(was)
            if is_now is not None:
                yield is_now


def negated(line: Line) -> Line:
    """The line that takes a line back: the same price, the quantity and the cost below 0."""
    return line._replace(quantity=-line.quantity, cost=None if line.cost is None else -line.cost)


def _unit_prices(sums: Sums, price_set: PriceSet) -> dict[str, int]:
    return {item.meter: item.unit_price for item in line_items(sums.meters, price_set)}


def _key(row: AnyRow, by: Sequence[str]) -> tuple[tuple[str, ...], str, bool]:
    group = tuple(format_day(row.day) if name == "day" else getattr(row, name) for name in by)
    return group, row.price, bool(row.unpriced)


def _added(key: tuple[tuple[str, ...], str, bool], days: list[AnyRow], prefix: str = "") -> Sums:
    def total(column: str) -> int:
        return sum(getattr(row, prefix + column) for row in days)

    meters = {name: total(meter.column) for name, meter in METERS.items()}
    return Sums(
        group=key[0],
        price_id=key[1],
        is_unpriced=key[2],
        calls=total("calls"),
        meters={name: quantity for name, quantity in meters.items() if quantity},
        cost=total("cost"),
    )
