"""Whose fault it was: the outcome of a call or an attempt, decided once, on write, by one table of cases."""

from enum import StrEnum


class Outcome(StrEnum):
    """The eight outcomes. `code` is what tables store."""

    OK = "ok"
    PROVIDER_FAULT = "provider_fault"
    RATE_LIMITED = "rate_limited"
    CALLER_FAULT = "caller_fault"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"

    @property
    def code(self) -> int:
        """The small integer that stands for this outcome in the ledger; never renumbered."""
        return OUTCOME_CODES[self]


OUTCOME_CODES: dict[Outcome, int] = {outcome: n for n, outcome in enumerate(Outcome, start=1)}
OUTCOMES_BY_CODE: dict[int, Outcome] = {n: outcome for outcome, n in OUTCOME_CODES.items()}
