"""How endpoints fared, saved: every worker adds what it saw to the slots of all, and reads what the others added."""

import sqlite3
from collections.abc import Mapping

import msgspec

from collector.core.periods import SECOND_US
from collector.intake.gateway.health import WINDOW_S
from collector.intake.gateway.shared.fared import SLOT_S, Saved, Slot

RECENT_SLOTS = 2  # that other workers may still add to, and the one before
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Slot).decode


def save(connection: sqlite3.Connection, seen: Saved, waits: Mapping[str, int], now_us: int) -> None:
    """Add what one worker saw, and forget what no window holds any more."""
    for (endpoint, number), slot in seen.items():
        known = connection.execute("SELECT counts FROM health WHERE endpoint = ? AND slot = ?", (endpoint, number))
        if row := known.fetchone():
            total = _decode(row[0])
            total.merge(slot)
            slot = total
        connection.execute("INSERT OR REPLACE INTO health VALUES (?, ?, ?)", (endpoint, number, _encode(slot)))
    connection.executemany(
        "INSERT INTO waits VALUES (?, ?) ON CONFLICT DO UPDATE SET until_us = max(until_us, excluded.until_us)",
        [(endpoint, until_us) for endpoint, until_us in waits.items() if until_us > now_us],
    )
    oldest = now_us // (SLOT_S * SECOND_US) - WINDOW_S // SLOT_S
    connection.execute("DELETE FROM health WHERE slot <= ?", (oldest,))
    connection.execute("DELETE FROM waits WHERE until_us <= ?", (now_us,))


def load(connection: sqlite3.Connection, since_slot: int) -> tuple[Saved, dict[str, int]]:
    """What all workers have saved of the slots from this one on, and who asked to wait until when."""
    rows = connection.execute("SELECT endpoint, slot, counts FROM health WHERE slot >= ?", (since_slot,))
    seen = {(endpoint, number): _decode(counts) for endpoint, number, counts in rows}
    return seen, dict(connection.execute("SELECT endpoint, until_us FROM waits").fetchall())
