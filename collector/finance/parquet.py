"""Parquet: the rows of the CSV with the types of COLUMNS, so that nothing has to be read out of text.

Money is decimal128 with 12 places, exact. There is no TOTAL row among typed cells: the total is in the file's metadata.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from collector.core.money import format_usd
from collector.finance.columns import CALL_COLUMNS, Column
from collector.finance.layout import Layout, line_cells
from collector.finance.lines import Line
from collector.finance.pages import pages
from collector.finance.records import values
from collector.finance.tally import Tally
from collector.ledger.questions.ask import AnyRow

TOTAL_KEY = "callmeter.total_cost_usd"
_ROW_GROUP = 3_000  # rows; held once as values and once as columns
_READ: dict[str, Callable[[str], Any]] = {
    "decimal": Decimal,
    "day": date.fromisoformat,
    "instant": datetime.fromisoformat,
}


def line_items(layout: Layout, lines: Iterable[Line], tally: Tally) -> Iterator[bytes]:
    """Line items; a group without a name is null."""
    rate = layout.rate
    rows = ([*(text or None for text in line.group), *line_cells(line, rate)] for line in tally.counted(lines))
    return _file(layout.columns, rows, tally)


def calls(_: Connection, rows: Iterable[AnyRow], tally: Tally) -> Iterator[bytes]:
    """Single calls with the columns of `v_calls`."""
    return _file(list(CALL_COLUMNS.values()), map(values, tally.counted_calls(rows)), tally)


class _Sink:
    """A file that only collects what is written, until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing: what is written is taken by `taken`."""

    def close(self) -> None:
        """Nothing: there is no file."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _file(columns: Sequence[Column], rows: Iterable[Sequence[Any]], tally: Tally) -> Iterator[bytes]:
    import pyarrow as pa  # some 30 MB that only this format needs
    from pyarrow import parquet

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "decimal": pa.decimal128(38, 12),
        "instant": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
        "flag": pa.int8(),
    }
    pa.set_memory_pool(pa.system_memory_pool())  # the others keep what they once had
    schema = pa.schema([pa.field(column.name, types[column.kind]) for column in columns])
    sink = _Sink()
    with parquet.ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer:
        for some in pages(rows, _ROW_GROUP):
            arrays = [
                pa.array(_typed(column, cells), field.type)
                for column, field, cells in zip(columns, schema, zip(*some, strict=True), strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            yield sink.taken()
        writer.add_key_value_metadata({TOTAL_KEY: format_usd(tally.cost)})
    yield sink.taken()


def _typed(column: Column, cells: Sequence[Any]) -> Sequence[Any]:
    read = _READ.get(column.kind)
    return cells if read is None else [None if cell is None else read(cell) for cell in cells]
