"""`callmeter reconcile`."""

from collections.abc import Iterator
from pathlib import Path

import click

from collector.cli.acts import ingest_lock
from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.core.money import format_usd
from collector.core.periods import days_period, format_day, parse_day
from collector.finance.aligned import aligned
from collector.finance.gaps import PARTS
from collector.finance.invoices import COLUMNS, enter
from collector.finance.reconcile import Compared, Reconciliation, reconcile
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import declared_zones
from collector.settings import Settings

_HEADINGS = ("DAYS", "PROVIDER", "MODEL", "METERED", "PROVIDER SAYS", "INVOICE", "GAP", "COVERAGE", "OF THE GAP")
_LEFT = frozenset({0, 1, 2, 8})
EPILOG = (
    """\b
Examples:
  callmeter reconcile --from 2026-10-01 --to 2026-11-01
  callmeter reconcile --from 2026-10-01 --to 2026-11-01 --invoice invoices.csv

\b
What the gap is split into:
"""
    + "\n".join(aligned([(f"  {name}", meaning) for name, meaning in PARTS.items()], left=frozenset({0, 1})))
    + "\n\n\b\nColumns of an invoice file, one line for each total; entered again, a line replaces what it said:\n"
    + "\n".join(aligned([(f"  {name}", meaning) for name, meaning in COLUMNS.items()], left=frozenset({0, 1})))
)


@click.command("reconcile", epilog=EPILOG)
@click.option("--from", "first_day", metavar="D", required=True, help="First day, such as 2026-10-01; UTC.")
@click.option("--to", "end_day", metavar="D", required=True, help="Day after the last one.")
@click.option(
    "--invoice",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV of invoice totals, to be entered first.",
)
@pass_settings
def reconcile_command(settings: Settings, first_day: str, end_day: str, invoice: Path | None) -> None:
    """Hold what was metered against what providers report and invoice, by UTC day, provider and model.

    Amounts in USD. The gap is what the invoice, else the provider, says less what was metered.
    """
    days = parse_day(first_day), parse_day(end_day)
    days_period(*days, "UTC")
    engine = open_ledger(settings.ledger_url, read_only=invoice is None)
    try:
        if invoice is not None:
            with ingest_lock(settings):
                entered = enter(engine, invoice, now_us())
            click.echo(f"{invoice.name}: {entered} invoice totals entered", err=True)
        found = reconcile(engine, settings, declared_zones(engine), *days)
    finally:
        engine.dispose()
    for line in lines(found):
        click.echo(line)


def lines(found: Reconciliation) -> Iterator[str]:
    """The comparison as text."""
    if not found.days and not found.invoices:
        yield "nothing was metered, reported or invoiced in these days"
        return
    if found.days:
        yield from aligned([_HEADINGS, *(tuple(_cells(row)) for row in found.days)], left=_LEFT)
    if found.invoices:
        yield from ("", "invoices:")
        yield from aligned([_HEADINGS, *(tuple(_cells(row)) for row in found.invoices)], left=_LEFT)
    if all(row.difference is None for row in found.days) and not found.invoices:
        yield "no provider says what it charged: set up a pull of its sums, or enter its invoice with --invoice FILE"


def _cells(row: Compared) -> Iterator[str]:
    first, last = format_day(row.first_day), format_day(row.end_day)
    yield first if row.end_day == row.first_day + 1 else f"{first}..{last}"
    yield row.provider or "(none)"
    yield row.model or ("(all)" if row.invoice is not None else "(not by model)")
    unpriced = f" +{row.metered.unpriced_calls} unpriced" if row.metered.unpriced_calls else ""
    yield f"{format_usd(row.metered.cost)}{unpriced}"
    yield from (_usd(row.told.cost), _usd(row.invoice), _usd(row.difference))
    yield f"{row.coverage[0]:,} of {row.coverage[1]:,}" if row.coverage else ""
    yield ", ".join(f"{name} {format_usd(amount)}" for name, amount in row.gap.items())


def _usd(amount: int | None) -> str:
    return "" if amount is None else format_usd(amount)
