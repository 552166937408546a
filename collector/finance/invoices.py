"""Invoice totals, entered by CSV: what a provider charged for some days, in all or for a model."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from collector.core.calls import clip
from collector.core.errors import CallmeterError, InputError
from collector.core.money import format_usd, parse_usd
from collector.core.periods import parse_day
from collector.finance.csvtext import plain_text
from collector.finance.months import month_named
from collector.ledger import engines
from collector.ledger.schema import invoices

COLUMNS = {
    "provider": "who charges, as the ledger names it",
    "month": "such as 2026-10; or from and to",
    "from": "first day, such as 2026-10-01",
    "to": "day after the last one",
    "model": "empty: all of the provider's",
    "kind": "usage (where empty), fee, tax or credit",
    "usd": "the amount; a credit is below 0",
    "currency": "USD, where it is stated",
    "invoice_id": "the invoice's number",
}
KINDS = ("usage", "fee", "tax", "credit")
MAX_LINES = 100_000
MAX_COST = 10**24  # a trillion dollars


class Key(NamedTuple):
    """What an invoice line is known by: entered again, it replaces what was there."""

    provider: str
    first_day: int
    end_day: int
    model: str
    kind: str
    invoice_id: str


def enter(engine: Engine, path: Path, now_us: int) -> int:
    """Puts the lines of a file into the ledger, all or none; returns how many there are.

    Raises InputError naming the line and what is wrong with it.
    """
    amounts: dict[Key, int] = {}
    for key, cost in read(path):
        amounts[key] = amounts.get(key, 0) + cost
    with engines.writing(engine).begin() as connection:
        for key, cost in amounts.items():
            same = [invoices.c[name] == value for name, value in key._asdict().items()]
            connection.execute(sa.delete(invoices).where(*same))
            connection.execute(sa.insert(invoices).values(**key._asdict(), usd=format_usd(cost), entered_at=now_us))
    return len(amounts)


def read(path: Path) -> Iterator[tuple[Key, int]]:
    """The lines of a file with their amounts in picodollars. Raises InputError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _check_header(path, list(reader.fieldnames or ()))
            for row in reader:
                if reader.line_num > MAX_LINES:
                    raise InputError(f"{path.name} has more than {MAX_LINES:,} lines: enter it in parts")
                try:
                    yield _line({name: plain_text((row.get(name) or "").strip()) for name in COLUMNS})
                except CallmeterError as error:
                    raise InputError(f"{path.name}, line {reader.line_num}: {error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} is no CSV in UTF-8: {error}") from None


def _check_header(path: Path, header: list[str]) -> None:
    if unknown := [name for name in header if name not in COLUMNS]:
        raise InputError(f"{path.name}: {unknown[0][:40]!r} is not a column of invoices: use {', '.join(COLUMNS)}")
    for needed in (("provider",), ("usd",), ("month", "from")):
        if not set(needed) & set(header):
            raise InputError(f"{path.name} has no column {' or '.join(needed)}: write {', '.join(COLUMNS)}")


def _line(row: dict[str, str]) -> tuple[Key, int]:
    provider, kind = clip(row["provider"]), row["kind"] or "usage"
    if not provider:
        raise InputError("provider is empty: name who charges")
    if kind not in KINDS:
        raise InputError(f"kind {kind[:20]!r} is none: write {', '.join(KINDS)}")
    if row["currency"] not in ("", "USD"):
        raise InputError(f"currency {row['currency'][:10]!r}: enter the amount in USD")
    cost = parse_usd(row["usd"])
    if abs(cost) > MAX_COST:
        raise InputError(f"usd {row['usd'][:40]} is beyond what an invoice can be")
    first, end = _days(row)
    return Key(provider, first, end, clip(row["model"]) or "", kind, clip(row["invoice_id"]) or ""), cost


def _days(row: dict[str, str]) -> tuple[int, int]:
    if row["month"]:
        month = month_named(row["month"], "UTC")
        return month.first_day, month.end_day
    first = parse_day(row["from"])
    end = parse_day(row["to"]) if row["to"] else first + 1
    if end <= first:
        raise InputError(f"from {row['from']} to {row['to']} is no day: `to` is the day after the last one")
    return first, end
