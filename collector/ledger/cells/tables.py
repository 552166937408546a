"""The tables of cells, and how what was added up gets into them."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection
from sqlalchemy.schema import Table

from collector.core import histograms
from collector.core.money import MICRODOLLAR
from collector.ledger import schema
from collector.ledger.cells.health import Health, health_of
from collector.ledger.rows import Row

DAY_TABLES = (schema.usage_days, schema.user_days, schema.price_days, schema.day_totals, schema.user_spans)
USAGE_TABLES = (schema.usage_quarters, *DAY_TABLES)
TABLES = (*USAGE_TABLES, schema.health)
SUMS = tuple(column.name for column in schema.usage_days.columns if not column.primary_key)

HealthKey = tuple[int, int, int, int]  # grain, bucket, model, provider

_HEALTH_KEYS = ", ".join(schema.HEALTH_KEYS)
_HEALTH_MARKS = ", ".join("?" * len(schema.health.columns))
_KEYS_AT_ONCE = 5_000

# By column how a sum is added to what is there, where that is more than to add the two: of a cost in two parts.
_MICRODOLLAR, _ADDED = str(MICRODOLLAR), "picodollars + excluded.picodollars"
_WITH_CARRY = {
    "microdollars": f"microdollars + excluded.microdollars + ({_ADDED}) / {_MICRODOLLAR}",
    "picodollars": f"({_ADDED}) % {_MICRODOLLAR}",
}


def add_usage(connection: Connection, table: Table, name: str, sums: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Adds rows, a key and the sums of the columns `sums`, to a table like `table`; a key may come more than once.

    A key is in the order of the table, but for zone and day, which come first. The first sum is that of the calls: a
    cell whose last call is taken out is gone.
    """
    if not rows:
        return
    sql = _usage_sql(table, name, sums)
    connection.exec_driver_sql(sql.upsert, rows)
    calls = len(table.primary_key.columns)
    if lessened := [row[:calls] for row in rows if row[calls] <= 0]:
        connection.exec_driver_sql(sql.drop_empty, lessened)


class _UsageSql(NamedTuple):
    upsert: str
    drop_empty: str


@lru_cache(maxsize=128)
def _usage_sql(table: Table, name: str, sums: tuple[str, ...]) -> _UsageSql:
    """Only sums that are not 0 are handed over and added: most calls have few of the many meters."""
    names = [column.name for column in table.primary_key.columns]
    keys = [f'"{name}"' for name in sorted(names, key=lambda name: name not in ("zone", "day"))]
    zeros = [column.name for column in table.columns if not column.primary_key and column.name not in sums]
    values = ["?"] * (len(keys) + len(sums)) + ["0"] * len(zeros)
    added = ", ".join(f"{column} = {_WITH_CARRY.get(column, f'{column} + excluded.{column}')}" for column in sums)
    upsert = (
        f"INSERT INTO {name} ({', '.join([*keys, *sums, *zeros])}) VALUES ({', '.join(values)})"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {added}"
    )
    where = " AND ".join(f"{key} = ?" for key in keys)
    return _UsageSql(upsert, f"DELETE FROM {name} WHERE {where} AND calls = 0")


def add_health(connection: Connection, name: str, cells: dict[HealthKey, Health]) -> None:
    """Adds cells, which are changed by this, to a table like `health`; one that comes to nothing is gone."""
    for key, known in _health_known(connection, name, list(cells)):
        cells[key].add(known)
    kept: list[tuple[Any, ...]] = []
    gone: list[HealthKey] = []
    for key, cell in cells.items():
        hists = [histograms.to_bytes(each) for each in cell.histograms]
        if any(cell.counts) or any(hists):
            kept.append((*key, *cell.counts, *hists))
        else:
            gone.append(key)
    if kept:
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO {name} VALUES ({_HEALTH_MARKS})", kept)
    if gone:
        where = "grain = ? AND bucket = ? AND model = ? AND provider = ?"
        connection.exec_driver_sql(f"DELETE FROM {name} WHERE {where}", gone)


def _health_known(connection: Connection, name: str, keys: Sequence[HealthKey]) -> Iterator[tuple[HealthKey, Health]]:
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[at : at + _KEYS_AT_ONCE]
        marks = ", ".join(["(?, ?, ?, ?)"] * len(some))
        found: Iterable[Any] = connection.exec_driver_sql(
            f"SELECT * FROM {name} WHERE ({_HEALTH_KEYS}) IN (VALUES {marks})",
            tuple(part for key in some for part in key),
        )
        for row in found:
            yield (row[0], row[1], row[2], row[3]), health_of(row)
