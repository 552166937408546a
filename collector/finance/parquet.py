"""Parquet: the rows of the CSV with the types of COLUMNS, so that nothing has to be read out of text.

Money is decimal128 with 12 places, exact. There is no TOTAL row among typed cells: the total is in the file's metadata.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from collector.core.money import format_usd
from collector.finance.arrays import batch_of, schema_of
from collector.finance.columns import CALL_COLUMNS, Column
from collector.finance.layout import Layout, line_cells
from collector.finance.lines import Line
from collector.finance.pages import pages
from collector.finance.records import values
from collector.finance.tally import Tally
from collector.ledger.questions.ask import AnyRow

TOTAL_KEY = "callmeter.total_cost_usd"
_BATCH = 1_000  # rows that are held as values of Python
_ROW_GROUP = 20_000  # rows that are held as columns; each row group leaves some 70 kB in memory until the end


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
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # the others keep what they once had
    import pyarrow as pa  # some 40 MB that only this format needs
    from pyarrow import parquet

    schema = schema_of(columns)
    sink = _Sink()

    def row_group(batches: Sequence[Any]) -> bytes:
        writer.write_table(pa.Table.from_batches(batches, schema))
        return sink.taken()

    with parquet.ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer:
        batches = (batch_of(columns, schema, some) for some in pages(rows, _BATCH))
        yield from map(row_group, pages(batches, _ROW_GROUP // _BATCH))
        writer.add_key_value_metadata({TOTAL_KEY: format_usd(tally.cost)})
    yield sink.taken()
