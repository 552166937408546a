"""`callmeter check`."""

import click

from collector.cli.bars import bar
from collector.cli.context import pass_settings
from collector.core.errors import CallmeterError
from collector.finance.books import booked_differences
from collector.ledger.check import check as differences_of
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import declared_zones
from collector.settings import Settings

EPILOG = """\b
Example:
  callmeter check && echo "the books are right" """


@click.command(epilog=EPILOG)
@pass_settings
def check(settings: Settings) -> None:
    """Prove that calls, sums, prices, closed months and the journal agree; 1 and a line for each difference if not."""
    engine = open_ledger(settings.ledger_url, read_only=True)
    with bar("check") as progress:
        differences = differences_of(engine, settings.journal_dir, progress)
    differences += booked_differences(engine, declared_zones(engine))
    for difference in differences:
        click.echo(difference)
    if differences:
        raise CallmeterError(f"the books differ in {len(differences)} places")
    click.echo("the books agree: calls, sums, prices, closed months and the journal")
