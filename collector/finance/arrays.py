"""Cells as Arrow arrays, laid out here: pyarrow looks at values of Python only after it has loaded pandas, some 45 MB.

Source: https://arrow.apache.org/docs/format/Columnar.html
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import Any

from collector.core.money import parse_usd
from collector.finance.columns import Column

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DECIMAL_BYTES = 16


def schema_of(columns: Sequence[Column]) -> Any:
    """The Arrow schema of columns: money is decimal128 with 12 places, and a rate of more is rounded to them."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "decimal": pa.decimal128(38, 12),
        "instant": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
        "flag": pa.int8(),
    }
    return pa.schema([pa.field(column.name, types[column.kind]) for column in columns])


def batch_of(columns: Sequence[Column], schema: Any, rows: Sequence[Sequence[Any]]) -> Any:
    """Rows of cells, None for what is not there, as a record batch."""
    import pyarrow as pa

    arrays = []
    for column, field, cells in zip(columns, schema, zip(*rows, strict=True), strict=True):
        if (missing := cells.count(None)) == len(cells):
            arrays.append(pa.nulls(len(cells), field.type))
            continue
        lay_out, absent = _LAYOUTS[column.kind]
        present = [absent if cell is None else cell for cell in cells] if missing else cells
        buffers = [_valid(cells) if missing else None, *map(pa.py_buffer, lay_out(present))]
        arrays.append(pa.Array.from_buffers(field.type, len(cells), buffers, missing))
    return pa.record_batch(arrays, schema=schema)


def _valid(cells: Sequence[Any]) -> Any:
    """A bit for each cell, the first one lowest: whether it is there."""
    import pyarrow as pa

    bits = "".join(["0" if cell is None else "1" for cell in reversed(cells)])
    return pa.py_buffer(int(bits, 2).to_bytes((len(cells) + 7) // 8, "little"))


def _texts(cells: Sequence[str]) -> list[bytes]:
    parts = [cell.encode() for cell in cells]
    return [*_packed("i", accumulate(map(len, parts), initial=0)), b"".join(parts)]


def _decimals(cells: Sequence[str]) -> list[bytes]:
    return [b"".join([parse_usd(cell).to_bytes(_DECIMAL_BYTES, "little", signed=True) for cell in cells])]


def _instants(cells: Sequence[str]) -> list[bytes]:
    return _packed("q", [(datetime.fromisoformat(cell) - _EPOCH) // _MICROSECOND for cell in cells])


def _days(cells: Sequence[str]) -> list[bytes]:
    return _packed("i", [date.fromisoformat(cell).toordinal() - _EPOCH.toordinal() for cell in cells])


def _packed(code: str, numbers: Iterable[int]) -> list[bytes]:
    return [array(code, numbers).tobytes()]


_LAYOUTS: dict[str, tuple[Callable[[Sequence[Any]], list[bytes]], Any]] = {  # and what stands where nothing is
    "text": (_texts, ""),
    "integer": (partial(_packed, "q"), 0),
    "flag": (partial(_packed, "b"), 0),
    "decimal": (_decimals, "0"),
    "instant": (_instants, "1970-01-01T00:00:00Z"),
    "day": (_days, "1970-01-01"),
}
