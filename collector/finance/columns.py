"""COLUMNS: every column of every file for finance, in order, with its kind and meaning."""

from collections.abc import Iterator

import msgspec

from collector.core.meters import COMMON_METERS, METERS
from collector.finance.aligned import aligned


class Column(msgspec.Struct, frozen=True):
    """One column. `kind` is text, integer, decimal, instant, day or flag; only text is made safe for spreadsheets."""

    name: str
    kind: str
    meaning: str
    table: str  # "group": may be asked for in line items; "booked": of months; "line": of both; "call": of one call


def _meter_columns() -> list[Column]:
    return [
        Column(METERS[name].column, "integer", f"{METERS[name].unit}s, disjoint; empty: not stated", "call")
        for name in COMMON_METERS
    ]


COLUMNS: tuple[Column, ...] = (
    Column("day", "day", "local date of the call's start, in the manifest's zone", "group"),
    Column("model", "text", "model as asked for", "group"),
    Column("provider", "text", "provider of the last attempt", "group"),
    Column("app", "text", "application, by HTTP-Referer or X-Title", "group"),
    Column("key", "text", "gateway key", "group"),
    Column("user", "text", "the `user` field of the request", "group"),
    Column("booking_month", "text", "month that books the line; day is the day of usage", "booked"),
    Column("corrects", "text", "closed month that the line corrects; empty: usage of the booking month", "booked"),
    Column("unit", "text", "meter that was charged, or `adjustment`: stated cost beyond price x quantity", "line"),
    Column("quantity", "integer", "how many units", "line"),
    Column("unit_price_usd", "decimal", "price of one unit; empty: unpriced", "line"),
    Column("cost_usd", "decimal", "quantity x unit_price_usd, exactly; empty: unpriced", "line"),
    Column("currency", "text", "always USD", "line"),
    Column("price_id", "text", "price set that was used; empty: none was", "line"),
    Column("id", "text", "call, 32 hex digits, ordered by time", "call"),
    Column("started_at", "instant", "UTC, to the microsecond", "call"),
    Column("source", "text", "who told of the call", "call"),
    Column("origin_id", "text", "the provider's response id", "call"),
    Column("operation", "text", "chat, embeddings, ...", "call"),
    Column("model", "text", "model as asked for", "call"),
    Column("served_model", "text", "model as the provider named it", "call"),
    Column("provider", "text", "provider of the last attempt", "call"),
    Column("app", "text", "application, by HTTP-Referer or X-Title", "call"),
    Column("key", "text", "gateway key", "call"),
    Column("user", "text", "the `user` field of the request", "call"),
    Column("streamed", "flag", "1: the answer came as a stream", "call"),
    Column("outcome", "text", "whose fault it was", "call"),
    Column("http_status", "integer", "of the last attempt", "call"),
    Column("error_type", "text", "of the last attempt", "call"),
    Column("finish_reason", "text", "stop, length, tool_calls, content_filter, error", "call"),
    Column("attempts", "integer", "how many providers were tried", "call"),
    Column("latency_ms", "integer", "the whole call", "call"),
    Column("first_token_ms", "integer", "streams only", "call"),
    *_meter_columns(),
    Column("usage_quality", "text", "exact, partial, estimated, none", "call"),
    Column("cost_picousd", "integer", "10^-12 USD; empty: unpriced", "call"),
    Column("cost_usd", "decimal", "the same, exactly", "call"),
    Column("original_cost_picousd", "integer", "before corrections", "call"),
    Column("unpriced_reason", "text", "why there is no cost", "call"),
    Column("reported_cost_picousd", "integer", "what the provider said it charged; never part of the cost", "call"),
    Column("price_id", "text", "price set that was used", "call"),
)
GROUP_COLUMNS = {column.name: column for column in COLUMNS if column.table == "group"}
BOOKED_BY = ("day", "booking_month", "corrects", "model", "provider", "app", "key")  # of every file of a month
BY_COLUMNS = {column.name: column for column in COLUMNS if column.table in ("group", "booked")}
LINE_COLUMNS = {column.name: column for column in COLUMNS if column.table == "line"}
CALL_COLUMNS = {column.name: column for column in COLUMNS if column.table == "call"}
_TITLES = {
    "group": "Line items, as asked for by --by:",
    "booked": "Files of months (--booked), after the day:",
    "line": "Line items and files of months, always:",
    "call": "Single calls (--calls):",
}


def describe() -> Iterator[str]:
    """The documentation of COLUMNS: a line for each, under the title of its table."""
    for table, title in _TITLES.items():
        yield title
        rows = [(c.name, c.kind, c.meaning) for c in COLUMNS if c.table == table]
        yield from aligned(rows, left=frozenset({0, 1, 2}), indent="  ")
