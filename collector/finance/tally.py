"""What went into a file: counted while it is written, for its last row and its manifest."""

from collections.abc import Iterable, Iterator

import msgspec

from collector.core.meters import COMMON_METERS, METERS
from collector.finance.lines import Line
from collector.ledger.questions.ask import AnyRow

CURRENCY = "USD"


class Tally:
    """Rows, cost (picodollars), calls, and what of them has no price."""

    def __init__(self) -> None:
        self.rows = 0
        self.cost = 0
        self.calls = 0
        self.unpriced_calls = 0
        self.unpriced: dict[str, int] = {}  # quantities by unit

    def counted(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The same lines, each counted when it is taken."""
        for line in lines:
            self.rows += 1
            self.cost += line.cost or 0
            if line.cost is None:
                self._add_unpriced(line.unit, line.quantity)
            yield line

    def counted_calls(self, calls: Iterable[AnyRow]) -> Iterator[AnyRow]:
        """The same calls of `questions.calls.in_order`, each counted when it is taken."""
        for call in calls:
            self.rows += 1
            self.calls += 1
            self.cost += call.cost_picousd or 0
            if call.cost_picousd is None:
                self.unpriced_calls += 1
                for unit, quantity in _used(call):
                    self._add_unpriced(unit, quantity)
            yield call

    def _add_unpriced(self, unit: str, quantity: int) -> None:
        self.unpriced[unit] = self.unpriced.get(unit, 0) + quantity


def _used(row: AnyRow) -> Iterator[tuple[str, int]]:
    """The quantities of a call above 0, by unit."""
    stated = {METERS[name].column: getattr(row, METERS[name].column) or 0 for name in COMMON_METERS}
    if row.sparse:
        stated |= {METERS[name].column: n for name, n in msgspec.json.decode(row.sparse).items()}
    return ((unit, quantity) for unit, quantity in stated.items() if quantity)
