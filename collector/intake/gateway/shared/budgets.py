"""What was spent in each budget's window and what is reserved of it: reserved before a call, settled when it has ended.

A window's sum begins at 0 when the window does, and at what the ledger says when a budget is first met in the middle
of one. From then on every call that ends is added here at once, so that no limit waits for the ledger.
"""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from collector.core.budgets import Budget, window


class Claim(msgspec.Struct, frozen=True):
    """What a call may cost at most, to be kept free of a budget."""

    budget: Budget
    picousd: int


class Standing(msgspec.Struct, frozen=True):
    """A budget in its running window: all in picodollars; `ends_us` is when the next window begins."""

    budget: Budget
    spent: int
    reserved: int
    start_us: int
    ends_us: int

    @property
    def left(self) -> int:
        """What may still be reserved, 0 or more."""
        return max(0, self.budget.limit - self.spent - self.reserved)


def standing(connection: sqlite3.Connection, budget: Budget, zone: str, now_us: int) -> Standing:
    """How a budget stands now."""
    period = window(budget.period, zone, now_us)
    place = budget.scope, budget.period
    row = connection.execute("SELECT start_us, picousd FROM spent WHERE scope = ? AND period = ?", place).fetchone()
    spent = row[1] if row and row[0] >= period.start_us else 0  # a clock that was set back frees nothing
    reserved = connection.execute(
        "SELECT coalesce(sum(picousd), 0) FROM leases WHERE scope = ? AND period = ?", place
    ).fetchone()[0]
    return Standing(budget, spent, reserved, period.start_us, period.end_us)


def reserve(
    connection: sqlite3.Connection, call_id: str, worker: str, claims: Sequence[Claim], zone: str, now_us: int
) -> Standing | None:
    """Reserve all claims of a call or none: then how the first budget stands that has no room. In a transaction."""
    for claim in claims:
        found = standing(connection, claim.budget, zone, now_us)
        if claim.picousd > found.left:
            return found
    connection.executemany(
        "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
        [(call_id, c.budget.scope, c.budget.period, worker, c.picousd) for c in claims],
    )
    return None


def settle(
    connection: sqlite3.Connection, call_id: str, cost: int, budgets: Iterable[Budget], zone: str, started_us: int
) -> None:
    """A call has ended: its reservations go, and its cost is spent of those of `budgets` that it had reserved.

    It belongs to the window in which it began, as in the ledger.
    """
    rows = connection.execute("DELETE FROM leases WHERE call_id = ? RETURNING scope, period", (call_id,)).fetchall()
    leased = set(rows)
    for budget in budgets:
        if cost and (budget.scope, budget.period) in leased:
            spend(connection, budget, cost, zone, started_us)


def spend(connection: sqlite3.Connection, budget: Budget, picousd: int, zone: str, at_us: int) -> None:
    """Add to what was spent in the window of an instant; a later window begins anew, an earlier one is over."""
    connection.execute(
        "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " picousd = CASE WHEN start_us = excluded.start_us THEN picousd + excluded.picousd ELSE excluded.picousd END,"
        " start_us = excluded.start_us WHERE start_us <= excluded.start_us",
        (budget.scope, budget.period, window(budget.period, zone, at_us).start_us, picousd),
    )


def begin(connection: sqlite3.Connection, budget: Budget, picousd: int, zone: str, now_us: int) -> None:
    """What was spent in the running window of a budget that nothing is known of here yet."""
    start_us = window(budget.period, zone, now_us).start_us
    connection.execute(
        "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET start_us = excluded.start_us, picousd = excluded.picousd WHERE start_us < excluded.start_us",
        (budget.scope, budget.period, start_us, picousd),
    )


def is_begun(connection: sqlite3.Connection, budget: Budget, zone: str, now_us: int) -> bool:
    """Whether the running window of a budget is known here."""
    row = connection.execute(
        "SELECT start_us FROM spent WHERE scope = ? AND period = ?", (budget.scope, budget.period)
    ).fetchone()
    return row is not None and row[0] >= window(budget.period, zone, now_us).start_us


def leased_by(connection: sqlite3.Connection, call_id: str) -> list[Budget]:
    """The budgets that a call holds reservations of; their limits are not known here."""
    rows = connection.execute("SELECT scope, period FROM leases WHERE call_id = ?", (call_id,))
    return [Budget(scope, period, 0) for scope, period in rows.fetchall()]


def leases_by_worker(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The calls that hold reservations, by worker."""
    found: dict[str, list[str]] = {}
    for worker, call_id in connection.execute("SELECT DISTINCT worker, call_id FROM leases"):
        found.setdefault(worker, []).append(call_id)
    return found
