"""Files for finance: line items or single calls of a range of days, exact, in constant memory, the same each time.

A file appears complete, under its name and with its manifest beside it, or not at all.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, func, select

from collector.core.errors import UsageError
from collector.core.money import format_usd
from collector.core.periods import Period, day_number, format_day
from collector.core.prices import PriceSet
from collector.core.selection import DIMENSIONS, Selection
from collector.finance.columns import CALL_COLUMNS, GROUP_COLUMNS, LINE_COLUMNS
from collector.finance.formats import FORMATS
from collector.finance.lines import Line, lines_of, sums_of
from collector.finance.manifest import FORMAT_VERSION, Manifest, manifest_path, to_json, write_durably
from collector.finance.tally import CURRENCY, Tally
from collector.ledger.engines import sorting_on_disk
from collector.ledger.migrate import revision
from collector.ledger.questions.ask import AnyRow, Question
from collector.ledger.questions.calls import in_order
from collector.ledger.questions.items import sums_by_price
from collector.ledger.questions.prices import bodies_of
from collector.ledger.schema import batches

_ROWS_AT_ONCE = 1_000


class Request(msgspec.Struct, frozen=True):
    """What a file is asked for: the days of a period, as line items grouped by `by` or as single calls."""

    period: Period
    by: tuple[str, ...] = ("day", "model", "provider")
    calls: bool = False
    format: str = "csv"
    selection: Selection = Selection()


def check(request: Request) -> None:
    """Raises UsageError, naming the value and what there is, for a format or a group that is none."""
    if request.format not in FORMATS:
        raise UsageError(f"--format {request.format[:20]!r} is not available: write one of {', '.join(FORMATS)}")
    for n, name in enumerate(request.by):
        if name not in GROUP_COLUMNS:
            raise UsageError(f"--by {name[:20]!r} is not a column to group by: write some of {','.join(GROUP_COLUMNS)}")
        if name in request.by[:n]:
            raise UsageError(f"--by names {name!r} twice: name each column once")


def export(engine: Engine, zones: Collection[str], request: Request, out: Path) -> Manifest:
    """Writes a file and its manifest and returns the manifest. `zones` are those that the ledger keeps day cells for.

    Raises UsageError for a request that cannot be, OSError where the file cannot be written.
    """
    check(request)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial_manifest = manifest_path(partial)
    try:
        manifest = _write(engine, zones, request, out.name, partial)
        write_durably(partial_manifest, to_json(manifest))
        partial.replace(out)
        partial_manifest.replace(manifest_path(out))
    finally:
        partial.unlink(missing_ok=True)
        partial_manifest.unlink(missing_ok=True)
    return manifest


def pages(engine: Engine, zones: Collection[str], request: Request) -> Iterator[bytes]:
    """The bytes of the file that `export` writes for this request, a page at a time, from one snapshot.

    Raises UsageError for a request that cannot be, before the first page.
    """
    check(request)
    return _from_snapshot(engine, zones, request)


def _from_snapshot(engine: Engine, zones: Collection[str], request: Request) -> Iterator[bytes]:
    with engine.connect() as connection, sorting_on_disk(connection):
        yield from _pages(connection, zones, request, Tally())


def _write(engine: Engine, zones: Collection[str], request: Request, name: str, path: Path) -> Manifest:
    tally, digest, size = Tally(), hashlib.sha256(), 0
    with engine.connect() as connection, path.open("wb") as file:
        batch = connection.execute(select(func.max(batches.c.id))).scalar()  # begins the snapshot that all is read from
        with sorting_on_disk(connection):
            for page in _pages(connection, zones, request, tally):
                file.write(page)
                digest.update(page)
                size += len(page)
        file.flush()
        os.fsync(file.fileno())
    return _manifest(
        request,
        tally,
        file=name,
        ledger_revision=str(revision(engine)),
        ledger_batch=batch or 0,
        bytes=size,
        sha256=digest.hexdigest(),
    )


def _pages(connection: Connection, zones: Collection[str], request: Request, tally: Tally) -> Iterator[bytes]:
    chosen_format = FORMATS[request.format]
    if request.calls:
        return chosen_format.calls(
            connection, _streamed(connection, in_order(request.selection, request.period)), tally
        )
    question = sums_by_price(request.selection, request.period, zones, request.by)
    return chosen_format.line_items(request.by, _lines(connection, question, request.by, tally), tally)


def _lines(connection: Connection, question: Question, by: Sequence[str], tally: Tally) -> Iterator[Line]:
    @lru_cache(maxsize=10_000)
    def price_set_of(digest: str) -> PriceSet:
        return PriceSet.from_plain(msgspec.json.decode(bodies_of(connection, [digest])[digest]))

    for sums in sums_of(_streamed(connection, question), by):
        tally.calls += sums.calls
        tally.unpriced_calls += sums.calls if sums.is_unpriced else 0
        yield from lines_of(sums, price_set_of)


def _streamed(connection: Connection, question: Question) -> Iterable[AnyRow]:
    return connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(question)


def _manifest(request: Request, tally: Tally, **of_file: Any) -> Manifest:
    period = request.period
    return Manifest(
        format_version=FORMAT_VERSION,
        content="calls" if request.calls else "line items",
        format=request.format,
        columns=list(CALL_COLUMNS) if request.calls else [*request.by, *LINE_COLUMNS],
        zone=period.zone,
        first_day=format_day(day_number(period.start_us, period.zone)),
        end_day=format_day(day_number(period.end_us, period.zone)),
        selection={name: list(chosen) for name in DIMENSIONS if (chosen := request.selection.names(name))},
        rows=tally.rows,
        calls=tally.calls,
        cost_usd=format_usd(tally.cost),
        currency=CURRENCY,
        unpriced={"calls": tally.unpriced_calls, **dict(sorted(tally.unpriced.items()))},
        **of_file,
    )
