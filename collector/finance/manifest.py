"""The manifest beside every file: what a program ties the file out by."""

import os
from pathlib import Path

import msgspec

FORMAT_VERSION = 1
OPEN, CLOSED, BEFORE = STATES = ("open", "closed", "before the first close")


class Booking(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of the file of a month: the month, and whether it may still change."""

    month: str
    state: str  # one of STATES
    closed_at: str | None = None


class Report(msgspec.Struct, frozen=True):
    """The cost in the report currency, rounded, by a rate of a day. It does not tie out."""

    currency: str
    cost_rounded: str
    per_usd: str
    rate_date: str
    rate_source: str


class FlatPlan(msgspec.Struct, frozen=True):
    """A plan of [[finance.plans]]: its fees in the days of the file, and of the file's cost what came under it."""

    name: str
    provider: str
    fees_usd: str
    notional_usd: str  # metered, and billed to nobody


class Prepaid(msgspec.Struct, frozen=True):
    """A provider's [[finance.credits]] at the end of the file, by all of its usage; below 0: more used than entered."""

    provider: str
    bought_usd: str
    used_usd: str
    left_usd: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file holds. Money is exact decimal text; instants are UTC; `rows` counts neither header nor TOTAL."""

    format_version: int
    file: str
    content: str  # "line items" or "calls"
    format: str
    columns: list[str]
    zone: str
    first_day: str
    end_day: str  # not part of the file
    selection: dict[str, list[str]]
    rows: int
    calls: int
    cost_usd: str
    currency: str
    unpriced: dict[str, int]  # calls, and the quantity of every unit without a price
    ledger_revision: str
    ledger_batch: int  # the newest batch of calls that was in the ledger
    bytes: int
    sha256: str
    booking: Booking | None = None
    report: Report | None = None
    plans: list[FlatPlan] = []
    prepaid: list[Prepaid] = []


def manifest_path(file: Path) -> Path:
    """Where the manifest of a file is."""
    return file.with_name(f"{file.name}.manifest.json")


def to_json(manifest: Manifest) -> bytes:
    """The manifest's text, always the same for the same values."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def from_json(text: bytes) -> Manifest:
    """The manifest of a text. Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Manifest)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a new file and has it on the disk before it returns."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
