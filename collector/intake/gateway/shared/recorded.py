"""What is recorded elsewhere: what a budget's window has cost by the ledger, and how a dead worker's calls ended.

SQLAlchemy is imported where a budget exists, and not before: a gateway without budgets has no use for it.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec

from collector.core.budgets import Budget, window
from collector.core.calls import Call
from collector.core.errors import LedgerError
from collector.core.periods import day_number, format_day
from collector.core.prices import PriceBook, charge
from collector.core.selection import Selection
from collector.intake.gateway.tariff import cost_of
from collector.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Ended(msgspec.Struct, frozen=True):
    """What a call cost, as far as anybody knows, and where; `cost` is 0 for what was cut short or is unpriced."""

    cost: int
    started_us: int
    model: str | None
    provider: str | None


class Records:
    """Asks the ledger and the journal."""

    def __init__(self, settings: Settings, book: PriceBook | None) -> None:
        self._settings = settings
        self._book = book

    def spent(self, budget: Budget, now_us: int) -> int:
        """What a budget's running window has cost by the ledger, in picodollars; 0 where there is no ledger yet."""
        from collector.ledger.questions.ask import declared_zones, rows, total
        from collector.ledger.questions.spend import spend_per_day

        zone = self._settings.zone
        period = window(budget.period, zone, now_us)
        days = f"{_day(period.start_us, zone)}..{_day(period.end_us, zone)}"
        selection = Selection(days, zone)
        if budget.dimension:
            selection = msgspec.structs.replace(selection, **{f"{budget.dimension}s": (budget.name,)})
        engine = self._engine()
        if engine is None:
            return 0
        try:
            asked = spend_per_day(selection, period, declared_zones(engine), self._settings.limits)
            return total(rows(engine, asked), "cost_picousd")
        finally:
            engine.dispose()

    def ended(self, ids: Collection[str]) -> dict[str, Ended]:
        """How those of some calls ended that are recorded anywhere. Raises LedgerError where it cannot be read."""
        from collector.ledger.questions.ask import rows
        from collector.ledger.questions.calls import one
        from collector.ledger.questions.waiting import find_all_waiting

        engine = self._engine()
        try:
            found = {
                call.id: Ended(self._cost(call), call.started_at, call.model, call.provider)
                for call in find_all_waiting(engine, self._settings.journal_dir, set(ids)).values()
            }
            for call_id in ids:
                for row in rows(engine, one(call_id)) if engine is not None else ():
                    found[call_id] = Ended(row.cost_picousd or 0, row.started_at, row.model, row.provider)
            return found
        finally:
            if engine is not None:
                engine.dispose()

    def _cost(self, call: Call) -> int:
        return (cost_of(charge(call, self._book)) if self._book else None) or 0

    def _engine(self) -> "Engine | None":
        from collector.ledger.questions.ask import reading

        try:
            return reading(self._settings.ledger_url)
        except LedgerError:
            return None


def _day(us: int, zone: str) -> str:
    return format_day(day_number(us, zone))
