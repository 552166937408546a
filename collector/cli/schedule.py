"""`callmeter schedule`."""

from pathlib import Path

import click

from collector.cli.context import pass_settings
from collector.schedule import crontab_line, read_crontab, with_line, without_line, write_crontab
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter schedule
  callmeter --data-dir /srv/callmeter schedule --install"""


@click.command(epilog=EPILOG)
@click.option("--install", "action", flag_value="install", help="Write the line into your crontab, once.")
@click.option("--remove", "action", flag_value="remove", help="Take the line out of your crontab.")
@pass_settings
def schedule(settings: Settings, action: str | None) -> None:
    """Print, install or remove the crontab line that runs `callmeter collect` every minute.

    The line has absolute paths, so cron's bare environment is enough for it.
    """
    line = crontab_line(settings, Path.cwd())
    if action is None:
        click.echo(line)
        return
    crontab = read_crontab()
    changed = (
        with_line(crontab, line, settings.data_dir) if action == "install" else without_line(crontab, settings.data_dir)
    )
    if changed == crontab:
        click.echo("the crontab is already so", err=True)
        return
    write_crontab(changed)
    click.echo(f"{'installed' if action == 'install' else 'removed'}: {line}")
