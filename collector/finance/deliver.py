"""Files for finance without being asked: each day's and each month's, into a folder, with a log of what was delivered.

A file is delivered when its day or month is over, and again only when its bytes have changed since: a late import, or
the close of its month. Whoever takes files out of the folder is not given them twice.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from collector.core.errors import UsageError
from collector.core.periods import day_number, days_period, format_day
from collector.finance.columns import BOOKED_BY
from collector.finance.export import Request, booked_request, export, sha256_of
from collector.finance.formats import FORMATS
from collector.finance.manifest import Manifest
from collector.finance.months import month_named, month_of
from collector.ledger import engines
from collector.ledger.questions.booked import books, first_day
from collector.ledger.schema import delivered_files
from collector.settings import Finance

DAYS_BACK = 35  # days and open months are looked at again for so long
KEPT = 10_000  # lines of the log
_DAY_BY = tuple(name for name in BOOKED_BY if name not in ("booking_month", "corrects"))


class File(NamedTuple):
    """A file to deliver."""

    name: str
    request: Request


def deliver(engine: Engine, zones: Collection[str], finance: Finance, folder: Path, zone: str, now_us: int) -> int:
    """Delivers what is over and new; returns how many files that were. `zone` counts until a first close fixes one.

    Raises UsageError where the folder is a file, OSError where it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"finance.folder = {str(folder)!r} is not a folder: name another one")
    folder.mkdir(parents=True, exist_ok=True)
    known, done = _delivered(engine), 0
    for file in due(engine, finance, zone, now_us):
        if known.get(file.name) != sha256_of(engine, zones, file.request):
            _log(engine, folder, export(engine, zones, file.request, folder / file.name), file.name, now_us)
            done += 1
    return done


def due(engine: Engine, finance: Finance, zone: str, now_us: int) -> Iterator[File]:
    """The files of days and months that are over, oldest first, in every format that is set."""
    state = books(engine)
    zone = state.zone or zone
    today = day_number(now_us, zone)
    with engine.connect() as connection:
        first = max(first_day(connection, zone), today - DAYS_BACK)
    for day in range(first, today):
        request = Request(days_period(day, day + 1, zone), _DAY_BY, finance=finance)
        yield from _in_formats(f"callmeter-{format_day(day)}", request, finance)
    over = {month_of(day) for day in range(first, today)} - {month_of(today)}
    for name in sorted(over | {close.month for close in state.closed}):
        yield from _in_formats(f"callmeter-{name}", booked_request(month_named(name, zone), finance=finance), finance)


def log_lines(limit: int = 100) -> sa.Select[tuple[int, int, str, str, str, int, str, str]]:
    """The newest deliveries, newest first: the columns of the table."""
    return sa.select(delivered_files).order_by(delivered_files.c.id.desc()).limit(limit)


def _in_formats(stem: str, request: Request, finance: Finance) -> Iterator[File]:
    for name in finance.formats:
        asked = Request(request.period, request.by, format=name, booked=request.booked, finance=finance)
        yield File(f"{stem}{FORMATS[name].suffix}", asked)


def _delivered(engine: Engine) -> dict[str, str]:
    """The digest that each file had when it was last delivered."""
    newest = sa.select(sa.func.max(delivered_files.c.id)).group_by(delivered_files.c.file)
    query = sa.select(delivered_files.c.file, delivered_files.c.sha256).where(delivered_files.c.id.in_(newest))
    with engine.connect() as connection:
        return {row.file: row.sha256 for row in connection.execute(query)}


def _log(engine: Engine, folder: Path, manifest: Manifest, name: str, now_us: int) -> None:
    row = {
        "delivered_at": now_us,
        "file": name,
        "folder": str(folder),
        "sha256": manifest.sha256,
        "rows": manifest.rows,
        "usd": manifest.cost_usd,
        "state": manifest.booking.state if manifest.booking else "",
    }
    with engines.writing(engine).begin() as connection:
        added = connection.execute(sa.insert(delivered_files).values(row).returning(delivered_files.c.id)).scalar_one()
        connection.execute(sa.delete(delivered_files).where(delivered_files.c.id <= added - KEPT))
