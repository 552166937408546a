"""What a call cost, told in a header: the same arithmetic as the ledger's, without the ledger."""

from collector.core.calls import Call
from collector.core.money import format_usd
from collector.core.prices import PriceBook, charge


class Tariff:
    """Prices closed calls by the book that was loaded at the start."""

    def __init__(self, book: PriceBook | None) -> None:
        self.book = book

    def cost(self, call: Call) -> int | None:
        """Picodollars; None where the call is unpriced."""
        return charge(call, self.book).cost if self.book else None

    def cost_header(self, call: Call) -> list[tuple[bytes, bytes]]:
        """X-Callmeter-Cost-Usd as exact decimal text; nothing where the call is unpriced."""
        cost = self.cost(call)
        return [] if cost is None else [(b"x-callmeter-cost-usd", format_usd(cost).encode())]
