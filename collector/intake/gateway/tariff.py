"""What a call cost, told in its answer: the same arithmetic as the ledger's, without the ledger."""

import msgspec

from collector.core.calls import Call
from collector.core.meters import METERS
from collector.core.money import MAX_COST, format_usd
from collector.core.prices import Charge, PriceBook, charge, line_items


class Spent(msgspec.Struct, frozen=True):
    """A cost in picodollars, and its two shares: what the model wrote, and everything else."""

    whole: int
    answer: int

    @property
    def prompt(self) -> int:
        return self.whole - self.answer


class Tariff:
    """Prices calls by the book that was loaded at the start."""

    def __init__(self, book: PriceBook | None) -> None:
        self.book = book

    def cost(self, call: Call) -> int | None:
        """Picodollars; None where the call is unpriced."""
        return cost_of(charge(call, self.book)) if self.book else None

    def spent(self, call: Call) -> Spent | None:
        """The cost with its shares; None where the call is unpriced."""
        charged = charge(call, self.book) if self.book else None
        if charged is None or (cost := cost_of(charged)) is None:
            return None
        items = line_items(charged.meters, charged.price_set) if charged.price_set else []
        return Spent(cost, sum(item.cost for item in items if METERS[item.meter].direction == "out"))

    def cost_header(self, call: Call) -> list[tuple[bytes, bytes]]:
        """X-Callmeter-Cost-Usd as exact decimal text; nothing where the call is unpriced."""
        cost = self.cost(call)
        return [] if cost is None else [(b"x-callmeter-cost-usd", format_usd(cost).encode())]


def cost_of(charged: Charge) -> int | None:
    """What a charge comes to; None for an unpriced one, and for one so absurd that the ledger keeps it as such."""
    return None if charged.cost is None or charged.cost > MAX_COST else charged.cost
