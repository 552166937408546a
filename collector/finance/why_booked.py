"""Why a month books what it books: its own usage, and for each closed month that it corrects what changed, and by whom.

Lines are net: what is taken back and what is booked in its place, added up over days, apps and keys.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import msgspec
from sqlalchemy import Connection, Engine

from collector.core.meters import METERS
from collector.finance.columns import BOOKED_BY
from collector.finance.lines import ADJUSTMENT, Line
from collector.finance.months import Month, month_named
from collector.finance.sources import booked_lines
from collector.finance.tally import Tally
from collector.ledger.engines import sorting_on_disk
from collector.ledger.questions.ask import AnyRow, total
from collector.ledger.questions.booked import Books, books_of
from collector.ledger.questions.why import priced_anew

_MODEL, _PROVIDER, _CORRECTS = (BOOKED_BY.index(name) for name in ("model", "provider", "corrects"))
_UNITS = (*(meter.column for meter in METERS.values()), ADJUSTMENT)


class Net(msgspec.Struct, frozen=True):
    """Lines of one model, provider, price set and meter: quantity x unit_price = cost; both are None where unpriced."""

    model: str
    provider: str
    unit: str
    quantity: int
    unit_price: int | None
    cost: int | None
    price_id: str


class PricedAnew(msgspec.Struct, frozen=True):
    """A re-pricing since the close before: by whom, why, of how many calls, and what it added."""

    who: str
    why: str
    calls: int
    cost: int


class Section(msgspec.Struct, frozen=True):
    """What a month books of one month: of itself where `corrects` is empty. Money in picodollars.

    What `priced_anew` does not add comes from calls that arrived, or were told of better, after the close.
    """

    corrects: str
    lines: tuple[Net, ...]
    cost: int
    priced_anew: tuple[PricedAnew, ...] = ()

    @property
    def arrived(self) -> int:
        """What calls that arrived or were told of better have added."""
        return self.cost - sum(each.cost for each in self.priced_anew)


class Booking(msgspec.Struct, frozen=True):
    """A month as it is booked; `cost` is that of its file, and of its sections together."""

    month: str
    zone: str
    closed_at: int | None
    cost: int
    sections: tuple[Section, ...]


def why_booked(engine: Engine, zones: Collection[str], month: Month) -> Booking:
    """What a month books and why, from one state of the ledger."""
    with engine.connect() as connection, sorting_on_disk(connection):
        books = books_of(connection)
        lines = booked_lines(connection, zones, books, month, BOOKED_BY, Tally())
        by_month = _net(lines)
        sections = tuple(_section(connection, books, month, name, by_month[name]) for name in sorted(by_month))
        close = books.close_of(month.name)
    cost = sum(section.cost for section in sections)
    return Booking(month.name, month.period.zone, close.closed_at if close else None, cost, sections)


def _net(lines: Iterable[Line]) -> dict[str, list[Net]]:
    """The lines that a month books of each month ("": of itself), added up; what comes to nothing is left out."""
    quantities: Counter[tuple[str, Net]] = Counter()
    for line in lines:
        model, provider, corrects = (line.group[at] for at in (_MODEL, _PROVIDER, _CORRECTS))
        quantities[corrects, Net(model, provider, line.unit, 0, line.unit_price, None, line.price_id)] += line.quantity
    found: dict[str, list[Net]] = {}
    for (corrects, net), quantity in quantities.items():
        if quantity:
            cost = None if net.unit_price is None else quantity * net.unit_price
            found.setdefault(corrects, []).append(msgspec.structs.replace(net, quantity=quantity, cost=cost))
    return {corrects: sorted(nets, key=_order) for corrects, nets in found.items()}


def _order(net: Net) -> tuple[str, str, int, int]:
    return net.model, net.provider, _UNITS.index(net.unit), net.quantity


def _section(connection: Connection, books: Books, month: Month, corrects: str, lines: list[Net]) -> Section:
    cost = sum(line.cost or 0 for line in lines)
    if not corrects:
        return Section(corrects, tuple(lines), cost)
    return Section(corrects, tuple(lines), cost, tuple(_priced_anew(connection, books, month, corrects)))


def _priced_anew(connection: Connection, books: Books, month: Month, corrects: str) -> Iterator[PricedAnew]:
    """The re-pricings of a corrected month's calls after the close before this month's, and up to its own."""
    closes = [close.closed_at for close in books.closed if close.first_day < month.first_day]
    close, period = books.close_of(month.name), month_named(corrects, month.period.zone).period
    days: dict[tuple[str, str], list[AnyRow]] = {}
    for row in connection.execute(priced_anew(period, closes[-1], close.closed_at if close else None)):
        days.setdefault((row.who, row.why), []).append(row)
    for (who, why), its in days.items():
        yield PricedAnew(who, why, total(its, "calls"), total(its, "cost"))
