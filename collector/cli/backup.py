"""`callmeter backup` and `callmeter restore`."""

from pathlib import Path

import click

from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.ledger.backup import backup, restore
from collector.settings import Settings


@click.command("backup", epilog="\b\nExample:\n  callmeter backup /backups/callmeter-2026-10-01.tar")
@click.argument("file", type=click.Path(path_type=Path))
@pass_settings
def backup_command(settings: Settings, file: Path) -> None:
    """Write ledger, state, journal and own prices, as they are at one moment, into FILE; callmeter may go on running.

    FILE holds the secret by which keys are named, so only its owner may read it. It needs twice its room meanwhile.
    """
    content = backup(settings, file, now_us())
    click.echo(f"{file}: {len(content.sha256)} files, the ledger at revision {content.revision}")


@click.command("restore", epilog="\b\nExample:\n  callmeter --data-dir ./restored restore callmeter-2026-10-01.tar")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@pass_settings
def restore_command(settings: Settings, file: Path) -> None:
    """Put what FILE holds into an empty data directory; nothing that is there is overwritten."""
    content = restore(settings, file)
    click.echo(f"{len(content.sha256)} files are in {settings.data_dir}: now `callmeter collect` and `callmeter check`")
