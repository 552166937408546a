"""Files for finance: line items or single calls of a range of days, exact, in constant memory, the same each time.

A file appears complete, under its name and with its manifest beside it, or not at all. The file of a closed month is
the one that its close stored.
"""

import hashlib
import os
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, func, select

from collector.core.errors import UsageError
from collector.core.money import format_usd
from collector.core.periods import Period, day_number, format_day
from collector.core.selection import DIMENSIONS, Selection
from collector.finance.columns import CALL_COLUMNS, FOCUS_COLUMNS, GROUP_COLUMNS
from collector.finance.formats import FORMATS
from collector.finance.layout import Layout, report_cells
from collector.finance.manifest import (
    BEFORE,
    CLOSED,
    FORMAT_VERSION,
    OPEN,
    Booking,
    FlatPlan,
    Manifest,
    Prepaid,
    Report,
    from_json,
    manifest_path,
    to_json,
    write_durably,
)
from collector.finance.months import Month, month_named
from collector.finance.paid import Balance, Notional, Under, paid
from collector.finance.records import instant
from collector.finance.sources import booked_lines, streamed, usage_lines
from collector.finance.tally import CURRENCY, Tally
from collector.ledger.engines import sorting_on_disk
from collector.ledger.migrate import revision_of
from collector.ledger.questions.ask import Kept
from collector.ledger.questions.booked import Books, books_of, stored_manifest, stored_pieces
from collector.ledger.questions.calls import in_order
from collector.ledger.questions.cells import refuse_pruned
from collector.ledger.questions.items import sums_by_price
from collector.ledger.schema import batches
from collector.settings import Finance

NO_TERMS = Finance()


class Request(msgspec.Struct, frozen=True):
    """What a file is asked for: the days of a period, as line items grouped by `by`, as single calls, or as the line
    items that a month books."""

    period: Period
    by: tuple[str, ...] = ("day", "model", "provider")
    calls: bool = False
    format: str = "csv"
    selection: Selection = Selection()
    booked: str = ""  # a month such as 2026-10, whose period is asked for
    finance: Finance = Finance()

    @property
    def layout(self) -> Layout:
        """What its line items have in common."""
        own = FORMATS[self.format]
        return Layout(own.booked_by if self.booked else own.by or self.by, self.period, self.finance)

    @property
    def columns(self) -> list[str]:
        """The names of the columns of its file."""
        if self.calls:
            return list(CALL_COLUMNS)
        return list(FOCUS_COLUMNS) if self.format == "focus" else [column.name for column in self.layout.columns]


def booked_request(month: Month, file_format: str = "csv", finance: Finance = NO_TERMS) -> Request:
    """The request for the file of a month."""
    return Request(month.period, format=file_format, booked=month.name, finance=finance)


def check(request: Request) -> None:
    """Raises UsageError, naming the value and what there is, for a format or a group that is none."""
    if request.format not in FORMATS:
        raise UsageError(f"--format {request.format[:20]!r} is not available: write one of {', '.join(FORMATS)}")
    if request.calls and FORMATS[request.format].calls is None:
        raise UsageError(f"--format {request.format} has no single calls: leave out --calls")
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
        text = _write(engine, zones, request, out.name, partial)
        write_durably(partial_manifest, text)
        partial.replace(out)
        partial_manifest.replace(manifest_path(out))
    finally:
        partial.unlink(missing_ok=True)
        partial_manifest.unlink(missing_ok=True)
    return from_json(text)


def sha256_of(engine: Engine, zones: Collection[str], request: Request) -> str:
    """The digest of the bytes that `export` would write for this request."""
    with engine.connect() as connection, sorting_on_disk(connection):
        if (close := _stored_close(connection, request)) is not None:
            return from_json(stored_manifest(connection, close, request.format) or b"").sha256
        made = Pages(connection, zones, request, "")
        for _ in made:
            pass
        return made.sha256


def pages(engine: Engine, zones: Collection[str], request: Request) -> Iterator[bytes]:
    """The bytes of the file that `export` writes for this request, a page at a time, from one snapshot.

    Raises UsageError for a request that cannot be, before the first page.
    """
    check(request)
    return _from_snapshot(engine, zones, request)


class Pages:
    """A file in the making out of what the ledger holds: its pages, and once they are all taken its manifest."""

    def __init__(self, connection: Connection, zones: Collection[str], request: Request, name: str) -> None:
        self._connection, self._zones, self._request, self._name = connection, zones, request, name
        self._batch = connection.execute(select(func.max(batches.c.id))).scalar()  # begins the snapshot
        self._books = books_of(connection)
        self._tally, self._under, self._digest, self._size = Tally(), Under(), hashlib.sha256(), 0
        self._pages = _made(connection, zones, request, self._books, self._tally, self._under)

    def __iter__(self) -> Iterator[bytes]:
        for page in self._pages:
            self._digest.update(page)
            self._size += len(page)
            yield page

    @property
    def sha256(self) -> str:
        """The digest of the pages that were taken."""
        return self._digest.hexdigest()

    def manifest(self) -> Manifest:
        """What was written."""
        request, tally, period = self._request, self._tally, self._request.period
        counted = self._under.all() if request.booked else None
        terms = paid(self._connection, self._zones, request.finance, request.selection, period, counted)
        return Manifest(
            format_version=FORMAT_VERSION,
            file=self._name,
            content="calls" if request.calls else "line items",
            format=request.format,
            columns=request.columns,
            zone=period.zone,
            first_day=format_day(day_number(period.start_us, period.zone)),
            end_day=format_day(day_number(period.end_us, period.zone)),
            selection={name: list(chosen) for name in DIMENSIONS if (chosen := request.selection.names(name))},
            rows=tally.rows,
            calls=tally.calls,
            cost_usd=format_usd(tally.cost),
            currency=CURRENCY,
            unpriced={"calls": tally.unpriced_calls, **dict(sorted(tally.unpriced.items()))},
            ledger_revision=str(revision_of(self._connection)),
            ledger_batch=self._batch or 0,
            bytes=self._size,
            sha256=self.sha256,
            booking=_booking(self._books, request) if request.booked else None,
            report=_report(request, tally.cost),
            plans=list(map(_flat_plan, terms.notional)),
            prepaid=list(map(_prepaid, terms.balances)),
        )


def _from_snapshot(engine: Engine, zones: Collection[str], request: Request) -> Iterator[bytes]:
    with engine.connect() as connection, sorting_on_disk(connection):
        if (close := _stored_close(connection, request)) is not None:
            yield from _stored(connection, close, request.format)
        else:
            yield from Pages(connection, zones, request, "")


def _write(engine: Engine, zones: Collection[str], request: Request, name: str, path: Path) -> bytes:
    with engine.connect() as connection, path.open("wb") as file:
        if (close := _stored_close(connection, request)) is not None:
            file.writelines(_stored(connection, close, request.format))
            text = stored_manifest(connection, close, request.format) or b""
        else:
            made = Pages(connection, zones, request, name)
            with sorting_on_disk(connection):
                file.writelines(made)
            text = to_json(made.manifest())
        file.flush()
        os.fsync(file.fileno())
    return text


def _made(
    connection: Connection, zones: Collection[str], request: Request, books: Books, tally: Tally, under: Under
) -> Iterator[bytes]:
    chosen_format, layout = FORMATS[request.format], request.layout
    if request.calls and chosen_format.calls:
        refuse_pruned(request.period, zones.rows_from_us if isinstance(zones, Kept) else 0)
        return chosen_format.calls(connection, streamed(connection, in_order(request.selection, request.period)), tally)
    if request.booked:
        month = month_named(request.booked, request.period.zone)
        lines = booked_lines(connection, zones, books, month, layout.by, tally)
        if request.finance.plans:
            lines = under.counted(lines, layout.by)
        return chosen_format.line_items(layout, lines, tally)
    question = sums_by_price(request.selection, request.period, zones, layout.by)
    return chosen_format.line_items(layout, usage_lines(connection, question, layout.by, tally), tally)


def _stored_close(connection: Connection, request: Request) -> int | None:
    """The close that stored the file that is asked for."""
    close = books_of(connection).close_of(request.booked) if request.booked else None
    return close.id if close and stored_manifest(connection, close.id, request.format) else None


def _stored(connection: Connection, close: int, file_format: str) -> Iterator[bytes]:
    return map(zlib.decompress, stored_pieces(connection, close, file_format))


def _booking(books: Books, request: Request) -> Booking:
    close = books.close_of(request.booked)
    if close is not None:
        return Booking(request.booked, CLOSED, instant(close.closed_at))
    is_before = bool(books.closed) and request.booked < books.closed[0].month
    return Booking(request.booked, BEFORE if is_before else OPEN)


def _report(request: Request, cost: int) -> Report | None:
    rate = None if request.calls else request.layout.rate
    if rate is None:
        return None
    rounded, currency, per_usd, day = map(str, report_cells(cost, rate))
    return Report(currency, rounded, per_usd, day, rate.source)


def _flat_plan(plan: Notional) -> FlatPlan:
    return FlatPlan(plan.plan, plan.provider, format_usd(plan.fees), format_usd(plan.cost))


def _prepaid(credit: Balance) -> Prepaid:
    return Prepaid(credit.provider, *map(format_usd, (credit.bought, credit.used, credit.left)))
