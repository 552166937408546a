"""A state.db that is damaged while gateways run: put aside, and a new one in its place, with all that is still known.

Each table that can still be read goes over as it is. Where one cannot, keys and reservations are those that this worker
knows, and what was spent is what the ledger says; health, sessions and the calls of this minute are learnt again.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import msgspec

from collector.core.budgets import Budget
from collector.intake.gateway.shared import budgets, keys
from collector.intake.gateway.shared.budgets import Claim
from collector.intake.gateway.shared.keys import Key
from collector.intake.gateway.shared.state import State
from collector.locks import hold

KEPT = ("keys", "spent", "leases", "rates", "turned_away", "waits")


class Known(msgspec.Struct, frozen=True):
    """What a worker knows without the file. `limits` are all budgets; `spent` asks the ledger, and may raise."""

    worker: str
    keys: Sequence[Key]
    claims: Mapping[str, Sequence[Claim]]  # by call
    limits: Sequence[Budget]
    spent: Callable[[Budget, int], int]
    zone: str
    now_us: int


def recover(state: State, folder: Path, known: Known) -> str | None:
    """Put a new file in place of a damaged one. What to tell of it; None where another worker has done it already.

    `folder` is the workers' own. Raises StateError, and OSError where the disk takes no new file.
    """
    with hold(folder / "recovery.lock", "recovery of state.db", wait_s=inf):
        if state.is_sound():
            return None
        rows = {table: found for table in KEPT if (found := _rows(state.path, table)) is not None}
        fresh = State(state.path.with_name(f"{state.path.name}.{os.getpid()}"))
        fresh.path.unlink(missing_ok=True)
        with fresh.once() as connection:
            missed = _fill(connection, rows, known)
        aside = _put_in_place(fresh.path, state.path, known.now_us)
    lost = [table for table in KEPT if table not in rows]
    return " ".join(
        [f"{state.path} was damaged: it is now {aside.name}, and a new one is in its place.", *_told(lost, missed)]
    )


def _told(lost: Sequence[str], missed: Sequence[Budget]) -> Iterator[str]:
    if not lost:
        yield "Keys, reservations and what was spent were taken over whole."
    if "keys" in lost:
        yield "Its keys are those that were known; see `callmeter keys list`."
    if "spent" in lost:
        yield "What was spent is now what the ledger says, so calls that were not in it yet are not counted."
    if missed:
        names = ", ".join(map(str, missed))
        yield f"The ledger could not be asked about {names}: they begin at 0 until it can."


def hold_again(connection: sqlite3.Connection, worker: str, claims: Mapping[str, Sequence[Claim]]) -> None:
    """Reserve again what the running calls of a worker hold."""
    rows = [
        (call_id, c.budget.scope, c.budget.period, worker, c.picousd) for call_id, all_ in claims.items() for c in all_
    ]
    connection.executemany("INSERT OR IGNORE INTO leases VALUES (?, ?, ?, ?, ?)", rows)


def _fill(connection: sqlite3.Connection, rows: Mapping[str, list[tuple[object, ...]]], known: Known) -> list[Budget]:
    """All that is known goes into a new file; the budgets of which it is not known what was spent."""
    for table, found in rows.items():
        if found:
            places = ", ".join("?" * len(found[0]))
            connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", found)
    if "keys" not in rows:
        keys.restore(connection, known.keys)
    if "leases" not in rows:
        hold_again(connection, known.worker, known.claims)
    missed = []
    for budget in known.limits if "spent" not in rows else ():
        try:
            picousd = known.spent(budget, known.now_us)
        except Exception:  # whatever ails the ledger, too
            missed.append(budget)
        else:
            budgets.begin(connection, budget, picousd, known.zone, known.now_us)
    return missed


def _rows(path: Path, table: str) -> list[tuple[object, ...]] | None:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(f"SELECT * FROM {table}").fetchall()
    except sqlite3.Error:
        return None


def _put_in_place(fresh: Path, path: Path, now_us: int) -> Path:
    """The log of the damaged file goes first, so that it is never taken for the new one's."""
    stamp = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    with contextlib.suppress(FileExistsError):
        os.link(path, aside)
    fresh.rename(path)
    return aside
