"""What a day may cost. Cells are sums of 64 bits: SQLite makes a fraction of more, and its last digits are lost."""

from collections.abc import Collection

from sqlalchemy.engine import Connection

from collector.core.errors import TooDear
from collector.core.money import PICODOLLARS, format_usd
from collector.core.periods import DAY_S, SECOND_US

MAX_DAY_COST = 9_200_000 * PICODOLLARS
TOO_DEAR = f"more than {format_usd(MAX_DAY_COST)} USD for the calls of one day"
_DAY_US = DAY_S * SECOND_US
_DEAR_DAYS = """
SELECT 1 FROM day_totals WHERE zone IN (SELECT id FROM names WHERE kind = 'zone') AND dimension = 0
AND day BETWEEN ? AND ? GROUP BY zone, day HAVING max(abs(total(cost)), total(reported_cost)) > ? LIMIT 1"""


def refuse_dear_days(connection: Connection, started: Collection[int]) -> None:
    """Raises TooDear where a day, in any declared zone, costs, or is reported to cost, more than can be added up;
    `started` is when calls began that were counted just now."""
    first, last = min(started) // _DAY_US - 1, max(started) // _DAY_US + 1
    if connection.exec_driver_sql(_DEAR_DAYS, (first, last, MAX_DAY_COST)).first():
        raise TooDear(TOO_DEAR)
