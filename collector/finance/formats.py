"""FORMATS: how line items and calls become the bytes of a file. Bytes come in pages, so that memory stays constant."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from collector.core.money import format_usd
from collector.finance import parquet
from collector.finance.columns import BY_COLUMNS, CALL_COLUMNS, LINE_COLUMNS, Column
from collector.finance.csvtext import Rows, safe_text
from collector.finance.lines import Line
from collector.finance.pages import pages
from collector.finance.records import documents, values
from collector.finance.tally import CURRENCY, Tally
from collector.ledger.questions.ask import AnyRow

TOTAL = "TOTAL"
_PAGE = 1_000


class Format(msgspec.Struct, frozen=True):
    """One file format: line items grouped by `by`, and calls."""

    line_items: Callable[[Sequence[str], Iterable[Line], Tally], Iterator[bytes]]
    calls: Callable[[Connection, Iterable[AnyRow], Tally], Iterator[bytes]]


def _csv_line_items(by: Sequence[str], lines: Iterable[Line], tally: Tally) -> Iterator[bytes]:
    rows, columns = Rows(), [BY_COLUMNS[name] for name in by]
    names = [*by, *LINE_COLUMNS]
    yield rows.text([names]).encode()
    for some in pages(tally.counted(lines), _PAGE):
        yield rows.text(_csv_line(columns, line) for line in some).encode()
    blank = dict.fromkeys(names, "") | {"cost_usd": format_usd(tally.cost), "currency": CURRENCY}
    yield rows.text([list((blank | {names[0]: TOTAL}).values())]).encode()


def _csv_line(columns: Sequence[Column], line: Line) -> list[object]:
    group = [
        safe_text(text) if column.kind == "text" else text for column, text in zip(columns, line.group, strict=True)
    ]
    return [*group, line.unit, line.quantity, _usd(line.unit_price), _usd(line.cost), CURRENCY, line.price_id]


def _jsonl_line_items(by: Sequence[str], lines: Iterable[Line], tally: Tally) -> Iterator[bytes]:
    for some in pages(tally.counted(lines), _PAGE):
        yield _json_lines(_json_line(by, line) for line in some)
    first = next(iter((*by, *LINE_COLUMNS)))
    yield _json_lines([{first: TOTAL, "cost_usd": format_usd(tally.cost), "currency": CURRENCY}])


def _json_line(by: Sequence[str], line: Line) -> dict[str, Any]:
    group = dict(zip(by, line.group, strict=True))
    cells = (line.unit, line.quantity, _usd(line.unit_price), _usd(line.cost), CURRENCY, line.price_id or None)
    return group | dict(zip(LINE_COLUMNS, cells, strict=True))


def _csv_calls(_: Connection, calls: Iterable[AnyRow], tally: Tally) -> Iterator[bytes]:
    rows, texts = Rows(), [n for n, column in enumerate(CALL_COLUMNS.values()) if column.kind == "text"]
    yield rows.text([list(CALL_COLUMNS)]).encode()
    for some in pages(tally.counted_calls(calls), _PAGE):
        yield rows.text(_safe(values(call), texts) for call in some).encode()


def _safe(cells: list[Any], texts: Sequence[int]) -> list[Any]:
    for n in texts:
        if cells[n]:
            cells[n] = safe_text(cells[n])
    return cells


def _jsonl_calls(connection: Connection, calls: Iterable[AnyRow], tally: Tally) -> Iterator[bytes]:
    for some in pages(documents(connection, tally.counted_calls(calls)), _PAGE):
        yield _json_lines(some)


def _json_lines(documents: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(document) + b"\n" for document in documents)


def _usd(picousd: int | None) -> str | None:
    return None if picousd is None else format_usd(picousd)


FORMATS: dict[str, Format] = {
    "csv": Format(_csv_line_items, _csv_calls),
    "jsonl": Format(_jsonl_line_items, _jsonl_calls),
    "parquet": Format(parquet.line_items, parquet.calls),
}
