"""Proves that what is booked adds up to what was used, month by month, from the bytes that were handed out."""

import csv
import hashlib
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from sqlalchemy import Connection, Engine

from collector.core.errors import CallmeterError
from collector.core.meters import METERS
from collector.core.money import format_usd, parse_usd
from collector.core.periods import Period, day_bounds, parse_day
from collector.finance.columns import BOOKED_BY
from collector.finance.manifest import from_json
from collector.finance.months import month_named, month_of
from collector.finance.sources import booked_lines, streamed
from collector.finance.tally import Tally
from collector.ledger.engines import sorting_on_disk
from collector.ledger.questions.booked import (
    BEFORE,
    Books,
    Closed,
    booked_in,
    books_of,
    first_day,
    last_used_us,
    stored_manifest,
    stored_pieces,
    used,
)
from collector.ledger.questions.cells import Source
from collector.ledger.questions.items import sums_of_source

COST = "cost"
Amounts = dict[str, Counter[str]]  # by month of usage: picodollars under COST, and the quantity of each unit


def booked_differences(engine: Engine, zones: Collection[str]) -> list[str]:
    """Where closed files are not what their manifests say, and months whose bookings are not their usage.

    One sentence each; none where no month was ever closed. All is read from one state of the ledger.
    """
    with engine.connect() as connection, sorting_on_disk(connection):
        books = books_of(connection)
        if books.zone is None or not books.closed:
            return []
        files, told = {}, []
        for close in books.closed:
            files[close.id], problem = _read(connection, close)
            told += [problem] if problem else []
        if told:
            return told
        was_used = _used(connection, books)
        return list(_differences(was_used, _booked(connection, zones, books, files, was_used)))


def _read(connection: Connection, close: Closed) -> tuple[Amounts, str | None]:
    """What the stored file of a close books, by month of usage, and what is wrong with it."""
    text = stored_manifest(connection, close.id, "csv")
    if text is None:
        return {}, f"{close.month} is closed, and its file is not in the ledger"
    manifest, digest = from_json(text), hashlib.sha256()
    try:
        amounts = _of_lines(_lines(connection, close, digest))
    except (ValueError, KeyError, CallmeterError, zlib.error):
        amounts = {}
    if digest.hexdigest() != manifest.sha256:
        return {}, f"{close.month}: its stored file is not the one of its manifest ({manifest.sha256[:12]}...)"
    cost = sum(each[COST] for each in amounts.values())
    if format_usd(cost) == manifest.cost_usd:
        return amounts, None
    return {}, f"{close.month}: the lines of its file add up to {format_usd(cost)} USD, it states {manifest.cost_usd}"


def _lines(connection: Connection, close: Closed, digest: "hashlib._Hash") -> Iterator[str]:
    """The lines of a stored file, as `csv` takes them; their bytes are digested on the way."""
    rest = b""
    for piece in map(zlib.decompress, stored_pieces(connection, close.id, "csv")):
        digest.update(piece)
        *whole, rest = (rest + piece).split(b"\n")
        yield from (f"{line.decode()}\n" for line in whole)
    if rest:
        yield rest.decode()


def _of_lines(lines: Iterable[str]) -> Amounts:
    found: Amounts = {}
    for line in csv.DictReader(lines):
        if line["unit"]:  # not the TOTAL
            amounts = found.setdefault(month_of(parse_day(line["day"])), Counter())
            amounts[COST] += parse_usd(line["cost_usd"]) if line["cost_usd"] else 0
            amounts[line["unit"]] += int(line["quantity"])
    return found


def _booked(
    connection: Connection,
    zones: Collection[str],
    books: Books,
    files: Mapping[int, Amounts],
    months: Iterable[str],
) -> Amounts:
    """What all months book: closed ones by their files, the time before them by what stands there, open ones now.

    `months` are those with usage: none of the others that are open books anything but the first.
    """
    found: Amounts = {}
    for amounts_of_file in files.values():
        _add(found, amounts_of_file)
    first, zone = books.closed[0].first_day, str(books.zone)
    _add(found, _of_sums(connection, booked_in(min(first_day(connection, zone), first), first, BEFORE)))
    first_open = month_of(books.open_day or 0)
    for name in [first_open, *sorted(name for name in months if name > first_open)]:
        lines = booked_lines(connection, zones, books, month_named(name, zone), BOOKED_BY, Tally())
        for line in lines:
            amounts = found.setdefault(month_of(parse_day(line.group[0])), Counter())
            amounts[COST] += line.cost or 0
            amounts[line.unit] += line.quantity
    return found


def _used(connection: Connection, books: Books) -> Amounts:
    zone = str(books.zone)
    first, last_us = first_day(connection, zone), last_used_us(connection)
    return _of_sums(connection, used(Period(day_bounds(first, zone)[0], last_us + 1, zone), ()))


def _of_sums(connection: Connection, source: Source) -> Amounts:
    found: Amounts = {}
    for row in streamed(connection, sums_of_source(source, ("day",))):
        amounts = found.setdefault(month_of(row.day), Counter())
        amounts[COST] += row.cost
        amounts.update({meter.column: getattr(row, meter.column) for meter in METERS.values()})
    return found


def _add(found: Amounts, more: Amounts) -> None:
    for month, amounts in more.items():
        found.setdefault(month, Counter()).update(amounts)


def _differences(used_amounts: Amounts, booked_amounts: Amounts) -> Iterable[str]:
    for month in sorted(used_amounts.keys() | booked_amounts.keys()):
        was_used, is_booked = used_amounts.get(month, Counter()), booked_amounts.get(month, Counter())
        for name in (COST, *(meter.column for meter in METERS.values())):
            if was_used[name] != is_booked[name]:
                yield f"{month}: {name} used {was_used[name]}, booked {is_booked[name]} by all months together"
