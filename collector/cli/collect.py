"""`callmeter collect`."""

import click

from collector.cli.bars import bar
from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.core.errors import CallmeterError
from collector.jobs import collect as do_what_is_due
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter collect
  callmeter schedule --install     (cron then runs it every minute)"""


@click.command(epilog=EPILOG)
@pass_settings
def collect(settings: Settings) -> None:
    """Do every job that is due, once; 1 when one failed, 75 when another process is at it."""
    with bar("zone") as progress:
        failed = do_what_is_due(settings, now_us, progress=progress)
    report(failed)


def report(failed: list[str]) -> None:
    """Raises CallmeterError with one line for all jobs that failed."""
    if failed:
        raise CallmeterError("; ".join(failed))
