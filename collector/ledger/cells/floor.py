"""Health cells of five minutes are kept for some days: before the floor there are hours."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.ledger import schema
from collector.ledger.cells.health import FIVE_MINUTES, FIVE_US

FIVE_MINUTE_DAYS = 8
_DAY_FIVES = 288


def health_floor(connection: Connection) -> int:
    """The first bucket of five minutes that is kept."""
    found = connection.execute(sa.select(schema.meta.c.value).where(schema.meta.c.key == "health_floor")).scalar()
    return int(found) if found else 0


def raise_floor(connection: Connection, now_us: int) -> int:
    """Drops health cells of five minutes that are older than FIVE_MINUTE_DAYS; the floor never falls."""
    before = health_floor(connection)
    floor = max(before, now_us // FIVE_US - FIVE_MINUTE_DAYS * _DAY_FIVES)
    if floor > before:
        health = schema.health.c
        connection.execute(sa.delete(schema.health).where(health.grain == FIVE_MINUTES, health.bucket < floor))
        statement = "INSERT INTO meta VALUES ('health_floor', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        connection.exec_driver_sql(statement, (str(floor),))
    return floor
