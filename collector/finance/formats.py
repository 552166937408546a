"""FORMATS: how line items and calls become the bytes of a file. Bytes come in pages, so that memory stays constant."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from collector.finance import focus, parquet
from collector.finance.columns import BOOKED_BY, BY_COLUMNS, CALL_COLUMNS, FOCUS_BOOKED_BY, FOCUS_BY
from collector.finance.csvtext import Rows, safe_text
from collector.finance.layout import Layout, line_cells, total_cells
from collector.finance.lines import Line
from collector.finance.pages import pages
from collector.finance.records import documents, values
from collector.finance.tally import Tally
from collector.ledger.questions.ask import AnyRow

TOTAL = "TOTAL"
_PAGE = 1_000


class Format(msgspec.Struct, frozen=True):
    """One file format: line items, and calls where it has them. `by`: its own groups, where it has no free ones."""

    line_items: Callable[[Layout, Iterable[Line], Tally], Iterator[bytes]]
    calls: Callable[[Connection, Iterable[AnyRow], Tally], Iterator[bytes]] | None
    by: tuple[str, ...] | None = None
    booked_by: tuple[str, ...] = BOOKED_BY
    suffix: str = ".csv"


def _csv_line_items(layout: Layout, lines: Iterable[Line], tally: Tally) -> Iterator[bytes]:
    rows, rate, names = Rows(), layout.rate, [column.name for column in layout.columns]
    texts = [n for n, name in enumerate(layout.by) if BY_COLUMNS[name].kind == "text"]
    yield rows.text([names]).encode()
    for some in pages(tally.counted(lines), _PAGE):
        yield rows.text([*_safe(list(line.group), texts), *line_cells(line, rate)] for line in some).encode()
    last = dict.fromkeys(names) | total_cells(tally.cost, rate)
    yield rows.text([list((last | {names[0]: TOTAL}).values())]).encode()


def _jsonl_line_items(layout: Layout, lines: Iterable[Line], tally: Tally) -> Iterator[bytes]:
    rate, names = layout.rate, [column.name for column in layout.columns]
    for some in pages(tally.counted(lines), _PAGE):
        yield _json_lines(dict(zip(names, (*line.group, *line_cells(line, rate)), strict=True)) for line in some)
    yield _json_lines([{names[0]: TOTAL, **total_cells(tally.cost, rate)}])


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


FORMATS: dict[str, Format] = {
    "csv": Format(_csv_line_items, _csv_calls),
    "jsonl": Format(_jsonl_line_items, _jsonl_calls, suffix=".jsonl"),
    "parquet": Format(parquet.line_items, parquet.calls, suffix=".parquet"),
    "focus": Format(focus.line_items, None, FOCUS_BY, FOCUS_BOOKED_BY, suffix="-focus.csv"),
}
