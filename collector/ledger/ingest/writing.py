"""What a batch writes beside calls and cells: open calls, rejects, uncounted ones, the segment's account."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.core.calls import Call
from collector.ledger import schema
from collector.ledger.ingest.account import Account
from collector.ledger.ingest.sorting import Rejected, Sorted, miss
from collector.ledger.journal import Uncounted, opened

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Call).decode


def write_beside(connection: Connection, account: Account, found: Sorted) -> None:
    """Everything but the calls that are to be stored, and the account last."""
    _write_open_calls(connection, account, found)
    write_rejects(connection, account, found.rejects)
    _write_uncounted(connection, account, found.uncounted)
    counts: dict[str, Any] = msgspec.structs.asdict(account)
    segments = schema.segments
    connection.execute(sa.update(segments).where(segments.c.id == counts.pop("id")).values(**counts))


def write_rejects(connection: Connection, account: Account, rejects: Sequence[Rejected]) -> None:
    for at, line, reason, text in rejects:
        row = {"segment": account.id, "position": at, "line": line, "reason": reason, "text": text}
        connection.execute(sa.insert(schema.rejects).prefix_with("OR REPLACE"), row)


def open_ids(connection: Connection, account: Account) -> set[str]:
    """The calls of a segment that are open in the ledger."""
    opens = schema.open_calls.c
    query = sa.select(opens.call_id).where(opens.segment == account.id)
    return {call_id.hex() for call_id in connection.execute(query).scalars()}


def open_calls(connection: Connection, account: Account) -> list[Call]:
    """What the openings of a segment's open calls told."""
    opens = schema.open_calls.c
    query = sa.select(opens.record).where(opens.segment == account.id).order_by(opens.call_id)
    return [_decode(record) for record in connection.execute(query).scalars()]


def count_open(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.open_calls)).scalar_one()


def _write_open_calls(connection: Connection, account: Account, found: Sorted) -> None:
    rows = []
    for at, opening in found.opened.values():
        call = opened(opening)
        if isinstance(call, str):
            miss(account, found, at, opening, call)
        else:
            rows.append((bytes.fromhex(opening.call_id), account.id, _encode(call)))
    if rows:
        connection.exec_driver_sql("INSERT INTO open_calls (call_id, segment, record) VALUES (?, ?, ?)", rows)
    if found.closed:
        ids = [(bytes.fromhex(call_id),) for call_id in found.closed]
        connection.exec_driver_sql("DELETE FROM open_calls WHERE call_id = ?", ids)


def _write_uncounted(connection: Connection, account: Account, some: Sequence[tuple[int, Uncounted]]) -> None:
    for at, told in some:
        row = {"segment": account.id, "position": at, "calls": told.count, "since": told.since, "until": told.until}
        connection.execute(sa.insert(schema.uncounted), row)
