"""Calls as rows of a file: the values of `v_calls`, and for JSONL everything that brings the calls back."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from collector.core.money import format_usd
from collector.finance.columns import CALL_COLUMNS
from collector.finance.pages import pages
from collector.ledger.questions.ask import AnyRow
from collector.ledger.questions.calls import EXTRA, attempts_of_all
from collector.ledger.questions.prices import bodies_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 500
_COST_USD = list(CALL_COLUMNS).index("cost_usd")
_ID, _STARTED_AT, _COST = 0, 1, _COST_USD - 1
_ATTEMPT_FIELDS = (
    "provider",
    "model",
    "started_at",
    "outcome",
    "http_status",
    "error_type",
    "latency_ms",
    "first_token_ms",
)


def instant(us: int) -> str:
    """Text of microseconds since 1970, such as 2026-10-01T12:00:00.000001Z."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")[:26] + "Z"


def values(row: AnyRow) -> list[Any]:
    """The values of CALL_COLUMNS of a row of `questions.calls.in_order`."""
    cells = list(row[: len(CALL_COLUMNS) - 1])
    cells[_ID] = row[_ID].hex()
    cells[_STARTED_AT] = instant(row[_STARTED_AT])
    cost = row[_COST]
    cells.insert(_COST_USD, None if cost is None else format_usd(cost))
    return cells


def documents(connection: Connection, rows: Iterable[AnyRow]) -> Iterator[dict[str, Any]]:
    """One document per call of `questions.calls.in_order` with EXTRA, each price set before the first that uses it.

    Beside the columns, where stated: meters (the sparse ones), session, tags, service_tier, native_finish_reason,
    usage_problem, own_key_cost_picousd, app_title, attempt_list (where it says more than the call). A price set has
    price_id and price_set.
    """
    told: set[str] = set()
    for some in pages(rows, _PAGE):
        stored = _attempts(connection, some)
        new = sorted({row.price_id for row in some if row.price_id} - told)
        told.update(new)
        bodies = bodies_of(connection, new)
        yield from ({"price_id": digest, "price_set": msgspec.json.decode(bodies[digest])} for digest in new)
        yield from (_document(row, stored.get(row.id, [])) for row in some)


def _document(row: AnyRow, attempts: list[dict[str, Any]]) -> dict[str, Any]:
    document = dict(zip(CALL_COLUMNS, values(row), strict=True))
    extra = {name: getattr(row, name) for name in EXTRA}
    for name in ("sparse", "tags"):
        extra[name] = msgspec.json.decode(extra[name]) if extra[name] else None
    extra = {"meters": extra.pop("sparse"), **extra, "attempt_list": attempts or None}
    return document | {name: value for name, value in extra.items() if value is not None}


def _attempts(connection: Connection, rows: Iterable[AnyRow]) -> dict[bytes, list[dict[str, Any]]]:
    found: dict[bytes, list[dict[str, Any]]] = {}
    for row in connection.execute(attempts_of_all([row.id for row in rows if row.attempts])):
        attempt = {name: getattr(row, name) for name in _ATTEMPT_FIELDS} | {"started_at": instant(row.started_at)}
        stated = {name: value for name, value in attempt.items() if value is not None}
        found.setdefault(row.call_id, []).append(stated)
    return found
