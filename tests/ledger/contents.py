"""All that a ledger says, with names in place of ids, so that two ledgers can be compared."""

from typing import Any

import msgspec
from sqlalchemy import Engine

from collector.core.calls import Call

_NAMED = ("model", "provider", "app", "key", "user", "reason", "zone", "source", "session", "tags", "service_tier")
_CELLS = ("usage_quarters", "usage_days", "user_days", "price_days", "day_totals", "user_spans", "health")
_ZONE_GRAIN = 10  # smaller grains are no names


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """The rows of both views, of the witnesses, and of all cells, in an order that does not depend on ids."""
    with engine.connect() as connection:
        names = dict(connection.exec_driver_sql("SELECT id, name FROM names").all())
        prices = dict(connection.exec_driver_sql("SELECT id, digest FROM price_sets").all())

        def read(table: str) -> list[dict[str, Any]]:
            rows = [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}").mappings()]
            if table in (*_CELLS, "witnesses"):
                rows = [_named(row, names, prices) for row in rows]
            return sorted(rows, key=repr)

        return {table: read(table) for table in ("v_calls", "v_attempts", "witnesses", *_CELLS)}


def _named(row: dict[str, Any], names: dict[int, str], prices: dict[int, str]) -> dict[str, Any]:
    told = {key: names.get(value, value) if key in _NAMED else value for key, value in row.items()}
    if row.get("dimension"):
        told["value"] = names.get(row["value"], row["value"])
    if "record" in told:
        told["record"] = msgspec.json.decode(told["record"], type=Call)
    if "price" in told:
        told["price"] = prices.get(told["price"])
    if told.get("grain", 0) >= _ZONE_GRAIN:
        told["grain"] = names[told["grain"]]
    return told
