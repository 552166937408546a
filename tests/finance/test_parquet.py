"""Parquet says what the CSV says, with types in place of text."""

import csv
import io
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from collector.core.money import format_usd
from collector.core.periods import format_day, parse_period
from collector.finance import parquet as written_as
from collector.finance.arrays import batch_of, schema_of
from collector.finance.columns import Column
from collector.finance.csvtext import plain_text
from collector.finance.export import Request, export
from collector.finance.records import instant
from tests.random_calls import END_DAY, FIRST_DAY, many
from tests.stored import NOW_US, ZONES, store
from tests.tables import calls

TABLE = """
    2026-10-01T12:00 openai m     1000/500 ok images_in=2 app==SUM(A1) streamed=1
    2026-10-01T13:00 openai other 7/8      ok
"""
PERIOD = parse_period("2026-10-01..2026-10-03", "UTC", NOW_US)


def written(engine, folder, request):
    out = Path(folder) / f"out.{request.format}"
    return export(engine, ZONES, request, out), out


def as_text(cell):
    """A typed cell as the CSV writes it."""
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(cell, Decimal):
        text = f"{cell:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return "" if cell is None else str(cell)


def test_line_items_have_types_and_no_total_row(tmp_path):
    engine = store(tmp_path, calls(TABLE))
    manifest, out = written(engine, tmp_path, Request(PERIOD, ("day", "app"), format="parquet"))
    table = parquet.read_table(out)
    assert table.schema.types == [
        pa.date32(), pa.string(), pa.string(), pa.int64(), pa.decimal128(38, 12), pa.decimal128(38, 12), pa.string(),
        pa.string(),
    ]  # fmt: skip
    first = table.to_pylist()[0]
    assert (first["day"], first["app"], first["unit"], first["quantity"]) == (
        date(2026, 10, 1), None, "input_tokens", 7,
    )  # fmt: skip
    assert (first["cost_usd"], first["price_id"]) == (None, None)
    assert table.column("app").to_pylist()[2] == "=SUM(A1)"  # no spreadsheet runs a typed cell
    assert table.num_rows == manifest.rows == 5
    assert sum(cost for cost in table.column("cost_usd").to_pylist() if cost is not None) == Decimal("0.0539")
    assert parquet.read_metadata(out).metadata[b"callmeter.total_cost_usd"] == b"0.0539"


def test_calls_have_types(tmp_path):
    engine = store(tmp_path, calls(TABLE))
    _, out = written(engine, tmp_path, Request(PERIOD, calls=True, format="parquet"))
    first, second = parquet.read_table(out).to_pylist()
    assert first["started_at"] == datetime(2026, 10, 1, 12, tzinfo=UTC)
    assert (first["streamed"], first["images_in"], first["cost_usd"]) == (1, 2, Decimal("0.0539"))
    assert (second["cost_usd"], second["cost_picousd"], second["app"]) == (None, None, None)


@pytest.mark.parametrize("single", [False, True])
def test_a_period_without_calls_is_a_file_without_rows(tmp_path, single):
    engine = store(tmp_path, [])
    _, out = written(engine, tmp_path, Request(PERIOD, calls=single, format="parquet"))
    assert parquet.read_table(out).num_rows == 0


def test_rows_stay_in_order_over_batches_and_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(written_as, "_BATCH", 2)
    monkeypatch.setattr(written_as, "_ROW_GROUP", 6)
    rows = "\n".join(f"2026-10-01T12:{minute:02} openai m {minute}/5 ok" for minute in range(15))
    _, out = written(store(tmp_path, calls(rows)), tmp_path, Request(PERIOD, calls=True, format="parquet"))
    assert parquet.read_metadata(out).num_row_groups == 3
    assert parquet.read_table(out).column("input_tokens").to_pylist() == list(range(15))


def test_writing_loads_no_pandas_and_takes_the_pool_that_gives_memory_back(tmp_path):
    store(tmp_path, calls(TABLE)).dispose()
    code = """
import sys
from pathlib import Path
from collector.core.periods import parse_period
from collector.finance.export import Request, export
from collector.ledger.engines import open_ledger
folder = Path(sys.argv[1])
request = Request(parse_period("2026-10-01..2026-10-03", "UTC", 0), calls=True, format="parquet")
export(open_ledger(f"sqlite:///{folder / 'callmeter.db'}", read_only=True), ("UTC",), request, folder / "out.parquet")
import pyarrow
print("pandas" in sys.modules, pyarrow.default_memory_pool().backend_name)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "False system\n"


CELLS = {
    "text": (st.text(st.characters(exclude_categories=["Cs"]), max_size=5), str),
    "integer": (st.integers(-(2**63), 2**63 - 1), int),
    "flag": (st.integers(0, 1), int),
    "decimal": (st.integers(-(10**37), 10**37).map(format_usd), Decimal),
    "instant": (st.integers(-(10**15), 10**16).map(instant), datetime.fromisoformat),
    "day": (st.integers(0, 80_000).map(format_day), date.fromisoformat),
}


@pytest.mark.parametrize("kind", CELLS)
@given(st.data())
def test_a_column_is_what_pyarrow_makes_of_its_values(kind, data):
    strategy, read = CELLS[kind]
    cells = data.draw(st.lists(st.none() | strategy, min_size=1, max_size=20))
    columns = [Column("some", kind, "", "call")]
    schema = schema_of(columns)
    batch = batch_of(columns, schema, [[cell] for cell in cells])
    batch.validate(full=True)
    assert batch.column(0).equals(pa.array([None if cell is None else read(cell) for cell in cells], schema.types[0]))


@settings(max_examples=10, deadline=None)
@given(many)
def test_every_cell_is_that_of_the_csv(some):
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), some)
        period = parse_period(f"{FIRST_DAY}..{END_DAY}", "Asia/Kathmandu", NOW_US)
        for request in (Request(period, ("day", "app", "user")), Request(period, calls=True)):
            manifest, out = written(engine, folder, request)
            typed, typed_out = written(
                engine, folder, Request(period, request.by, calls=request.calls, format="parquet")
            )
            rows = list(csv.reader(io.StringIO(out.read_text(), newline="")))[1:]
            lines = rows if request.calls else rows[:-1]
            found = [[as_text(cell) for cell in row.values()] for row in parquet.read_table(typed_out).to_pylist()]
            assert found == [[plain_text(cell) for cell in line] for line in lines]
            assert (typed.rows, typed.cost_usd, typed.unpriced) == (manifest.rows, manifest.cost_usd, manifest.unpriced)
        engine.dispose()
