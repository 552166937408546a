"""The hidden commands that `up` and `gateway` run as processes of their own."""

import click

from collector.cli.context import pass_settings
from collector.settings import Settings
from collector.signals import Stop
from collector.supervisor import say


@click.command(hidden=True)
@pass_settings
def ingest_loop(settings: Settings) -> None:
    """Store what is journalled, until SIGTERM."""
    from collector.ingest_loop import ingest_forever

    ingest_forever(settings, Stop(), lambda text: say(f"ingest: {text}"))


@click.command(hidden=True)
@pass_settings
def jobs_loop(settings: Settings) -> None:
    """Do every job when it is due, until SIGTERM."""
    from collector.jobs.loop import jobs_forever

    jobs_forever(settings, Stop(), lambda text: say(f"jobs: {text}"))
