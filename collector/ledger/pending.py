"""Zones that are new: their days are counted from the latest on, and answer no question until all of them are."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.ledger.schema import meta

COUNTED_FROM = "counted_from:"  # meta, and a zone: the instant from which on it is counted; absent once all is


def counted_from(connection: Connection) -> dict[str, int]:
    """The zones that are being counted, each with the instant from which on it is, microseconds."""
    found = connection.execute(sa.select(meta).where(meta.c.key.startswith(COUNTED_FROM, autoescape=True)))
    return {row.key.removeprefix(COUNTED_FROM): int(row.value) for row in found}


def set_counted_from(connection: Connection, zone: str, at_us: int) -> None:
    """A zone is counted from this instant on; from 0 on, that is all."""
    statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    connection.exec_driver_sql(statement, (COUNTED_FROM + zone, str(at_us)))
    connection.execute(sa.delete(meta).where(meta.c.key == COUNTED_FROM + zone, meta.c.value == "0"))
