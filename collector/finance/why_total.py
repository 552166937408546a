"""Why a total is what it is: by price set, meters x unit prices = products, which add up to exactly that total."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from collector.core.meters import METERS
from collector.core.periods import Period
from collector.core.prices import LineItem, PriceSet
from collector.core.prices.notices import image_notice, source_sentence
from collector.core.selection import Selection
from collector.finance.lines import ADJUSTMENT, Line, Sums, lines_of, sums_of
from collector.ledger.engines import sorting_on_disk
from collector.ledger.questions.ask import Question
from collector.ledger.questions.items import sums_by_price
from collector.ledger.questions.prices import bodies_of
from collector.ledger.questions.why import reported_by_price

_METER_OF = {meter.column: name for name, meter in METERS.items()}
_NO_RULE = "no price set: nothing was charged"


class _Reported(NamedTuple):
    calls: int
    cost: int


class Part(msgspec.Struct, frozen=True):
    """What was used under one price set, or under none; money in picodollars.

    The costs of `items` and `beyond` add up to `cost`. Unpriced usage has its quantities in `meters`, and no item.
    """

    price_id: str  # "": none
    price: PriceSet | None
    is_unpriced: bool
    calls: int
    meters: dict[str, int]
    items: tuple[LineItem, ...]
    beyond: int
    cost: int
    reported_calls: int  # for so many of them the provider says what it charged
    reported_cost: int
    source_sentence: str | None
    notice: str | None

    @property
    def list_cost(self) -> int:
        """What the same would cost by the public list that an own price stands in for; without one the cost."""
        if self.price is None or not self.price.list_prices:
            return self.cost
        public = self.price.list_unit_prices
        return self.beyond + sum(item.quantity * public.get(item.meter, item.unit_price) for item in self.items)


class Total(msgspec.Struct, frozen=True):
    """A total and its parts, the dearest first; `cost` is the sum of theirs."""

    calls: int
    unpriced_calls: int
    cost: int
    reported_calls: int
    reported_cost: int
    parts: tuple[Part, ...]


def why_total(engine: Engine, selection: Selection, period: Period, zones: Collection[str], today: date) -> Total:
    """The parts of the spend of a selection in a period, read from the same sums as charts and files.

    `zones` are those that the ledger keeps day cells for. By user outside of them it reads all calls of the period.
    """
    with engine.connect() as connection, sorting_on_disk(connection):
        question = sums_by_price(selection, period, zones, ())
        sums = list(sums_of(connection.execute(question), ()))
        prices = _price_sets(connection, {each.price_id for each in sums if each.price_id})
        reported = _reported(connection, reported_by_price(selection, period, zones))
    told = (_part(each, prices, reported[each.price_id, each.is_unpriced], today) for each in sums)
    parts = sorted(told, key=lambda part: (-part.cost, part.is_unpriced, part.price_id))
    return Total(
        calls=sum(part.calls for part in parts),
        unpriced_calls=sum(part.calls for part in parts if part.is_unpriced),
        cost=sum(part.cost for part in parts),
        reported_calls=sum(part.reported_calls for part in parts),
        reported_cost=sum(part.reported_cost for part in parts),
        parts=tuple(parts),
    )


def _reported(connection: Connection, question: Question) -> dict[tuple[str, bool], _Reported]:
    """For how many calls it is reported, and how much, by price set and whether they are unpriced."""
    sums: dict[tuple[str, bool], _Reported] = defaultdict(lambda: _Reported(0, 0))
    for row in connection.execute(question):
        key = row.price, bool(row.unpriced)
        sums[key] = _Reported(sums[key].calls + row.reported_calls, sums[key].cost + row.reported_cost)
    return sums


def _price_sets(connection: Connection, digests: set[str]) -> dict[str, PriceSet]:
    bodies = bodies_of(connection, digests)
    return {digest: PriceSet.from_plain(msgspec.json.decode(body)) for digest, body in bodies.items()}


def _part(sums: Sums, prices: dict[str, PriceSet], reported: _Reported, today: date) -> Part:
    price = prices.get(sums.price_id)
    found = [] if sums.is_unpriced else list(lines_of(sums, prices.__getitem__))
    return Part(
        price_id=sums.price_id,
        price=price,
        is_unpriced=sums.is_unpriced,
        calls=sums.calls,
        meters=sums.meters,
        items=tuple(_item(line, price) for line in found if line.unit != ADJUSTMENT),
        beyond=sum(line.cost or 0 for line in found if line.unit == ADJUSTMENT),
        cost=sums.cost,
        reported_calls=reported.calls,
        reported_cost=reported.cost,
        source_sentence=source_sentence(price, today) if price else None,
        notice=image_notice(price, price.provider, sums.meters) if price else None,
    )


def _item(line: Line, price: PriceSet | None) -> LineItem:
    meter = _METER_OF[line.unit]
    rule = price.rates[meter].rule if price else _NO_RULE
    return LineItem(meter, METERS[meter].unit, line.quantity, line.unit_price or 0, line.cost or 0, rule)
