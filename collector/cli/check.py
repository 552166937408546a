"""`callmeter check`."""

import sys

import click

from collector.cli.context import pass_settings
from collector.ledger.check import check as differences_of
from collector.ledger.engines import open_ledger
from collector.settings import Settings

EPILOG = """\b
Example:
  callmeter check && echo "the books are right" """
SHOWN = 50


@click.command(epilog=EPILOG)
@pass_settings
def check(settings: Settings) -> None:
    """Prove that the cells equal the sums of the calls; 1 and one line for each difference when they do not."""
    differences = differences_of(open_ledger(settings.ledger_url, read_only=True), settings.journal_dir)
    for difference in differences[:SHOWN]:
        click.echo(str(difference))
    if differences:
        click.echo(f"callmeter: {len(differences)} differences", err=True)
        sys.exit(1)
    click.echo("rows, pruned rows and cells agree")
