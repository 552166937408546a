"""What the lines of a file have in common: their groups, its days, and what [finance] says of the account."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from collector.core.money import format_usd
from collector.core.periods import Period, day_number
from collector.finance.columns import BY_COLUMNS, LINE_COLUMNS, REPORT_COLUMNS, Column
from collector.finance.lines import Line
from collector.finance.tally import CURRENCY
from collector.finance.terms import converted, rate_of
from collector.settings import Finance, Rate


class Layout(msgspec.Struct, frozen=True):
    """The columns of line items and what their values follow from."""

    by: tuple[str, ...]
    period: Period
    finance: Finance = Finance()

    @property
    def columns(self) -> list[Column]:
        report = REPORT_COLUMNS if self.finance.report_currency else {}
        return [*(BY_COLUMNS[name] for name in self.by), *LINE_COLUMNS.values(), *report.values()]

    @property
    def first_day(self) -> int:
        return day_number(self.period.start_us, self.period.zone)

    @property
    def end_day(self) -> int:
        return day_number(self.period.end_us, self.period.zone)

    @property
    def rate(self) -> Rate | None:
        """The rate of the report currency. Raises UsageError where none is dated early enough."""
        return rate_of(self.finance, self.end_day)


def line_cells(line: Line, rate: Rate | None) -> list[object]:
    """The values of a line after its groups; None for what is unpriced or not there."""
    money = [None if amount is None else format_usd(amount) for amount in (line.unit_price, line.cost)]
    return [line.unit, line.quantity, *money, CURRENCY, line.price_id or None, *report_cells(line.cost, rate)]


def total_cells(cost: int, rate: Rate | None) -> dict[str, object]:
    """The values of a TOTAL row: the cost, and in the report currency that cost rounded, no sum of rounded ones."""
    cells: dict[str, object] = {"cost_usd": format_usd(cost), "currency": CURRENCY}
    return cells | dict(zip(REPORT_COLUMNS, report_cells(cost, rate), strict=False))


def report_cells(cost: int | None, rate: Rate | None) -> Sequence[object]:
    """The values of REPORT_COLUMNS; none without a rate."""
    if rate is None:
        return ()
    rounded = None if cost is None else f"{converted(cost, rate):f}"
    return rounded, rate.currency, f"{Decimal(rate.per_usd):f}", rate.date.isoformat()
