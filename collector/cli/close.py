"""`callmeter close` and `callmeter reopen`."""

from collections.abc import Iterator

import click

from collector.cli.acts import ingest_lock, os_user
from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.core.errors import UsageError
from collector.finance.aligned import aligned
from collector.finance.close import close, reopen
from collector.finance.manifest import from_json
from collector.finance.records import instant
from collector.jobs.books import run_drain
from collector.jobs.work import Work
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import AnyRow, declared_zones, rows
from collector.ledger.questions.booked import history
from collector.settings import Settings

_HEADINGS = ("MONTH", "ZONE", "CLOSED", "BY", "COST USD", "REOPENED", "BY", "WHY")
CLOSE_EPILOG = """\b
Examples:
  callmeter close 2026-10 --zone Europe/Berlin
  callmeter export --from 2026-10-01 --to 2026-11-01 --booked --out october.csv
  callmeter close

Without a month it lists every close there was. Months close in order, all in the zone of the first close; the running
month cannot be closed. The month's file is kept in the ledger: `export --booked` gives the same bytes for ever. What
arrives or is priced anew for it later becomes correction lines of the month that is open then."""
REOPEN_EPILOG = """\b
Example:
  callmeter reopen 2026-10 --reason "the import of 31 October was missing"

Only the last closed month can be opened; who did it, when and why is kept, and so is the file that was handed out."""


@click.command("close", epilog=CLOSE_EPILOG)
@click.argument("month", required=False, metavar="[YYYY-MM]")
@click.option("--zone", metavar="Z", help="Time zone of its days; fixed by the first close of a ledger.")
@pass_settings
def close_command(settings: Settings, month: str | None, zone: str | None) -> None:
    """Close a month: store its file, as it is now, and book what changes later in the months that follow."""
    if month is None:
        _list(settings)
        return
    engine = open_ledger(settings.ledger_url)
    try:
        run_drain(Work(settings, engine, now_us()))  # what is journalled by now belongs to its month
        with ingest_lock(settings):
            manifest = close(engine, declared_zones(engine), month, zone, os_user(), now_us(), settings.finance)
    finally:
        engine.dispose()
    click.echo(
        f"{month} is closed in {manifest.zone}: {manifest.rows} rows, {manifest.calls} calls, {manifest.cost_usd} USD"
    )
    if manifest.unpriced["calls"]:
        click.echo(
            f"{manifest.unpriced['calls']} of the calls have no price: a later one becomes a correction", err=True
        )
    click.echo(
        f"its file: callmeter export --from {manifest.first_day} --to {manifest.end_day} --booked --out {manifest.file}"
    )


@click.command("reopen", epilog=REOPEN_EPILOG)
@click.argument("month", metavar="YYYY-MM")
@click.option("--reason", metavar="T", required=True, help="Why; kept with the close.")
@pass_settings
def reopen_command(settings: Settings, month: str, reason: str) -> None:
    """Open the last closed month again, so that it can be closed anew."""
    engine = open_ledger(settings.ledger_url)
    try:
        with ingest_lock(settings):
            reopen(engine, month, reason, os_user(), now_us())
    finally:
        engine.dispose()
    click.echo(f"{month} is open again: `callmeter close {month}` closes it anew, with a new file")


def _list(settings: Settings) -> None:
    engine = open_ledger(settings.ledger_url, read_only=True)
    try:
        found = rows(engine, history())
    finally:
        engine.dispose()
    if not found:
        raise UsageError("no month was closed yet: write the month, such as `callmeter close 2026-10 --zone UTC`")
    for line in aligned([_HEADINGS, *(tuple(_cells(row)) for row in found)], left=frozenset({0, 1, 2, 3, 5, 6, 7})):
        click.echo(line)


def _cells(row: AnyRow) -> Iterator[str]:
    yield from (row.month, row.zone, _minute(row.closed_at), row.closed_by)
    yield from_json(row.manifest).cost_usd if row.manifest else ""
    yield from (_minute(row.reopened_at), row.reopened_by or "", row.reopened_why or "")


def _minute(us: int | None) -> str:
    return "" if us is None else f"{instant(us)[:16]}Z"
