"""What the commands that keep running share: the ledger made ready, and the addresses printed once they answer."""

import click

from collector.ledger.migrate import migrate
from collector.settings import Settings
from collector.supervisor import answers, say

START_S = 60.0


def prepare_ledger(settings: Settings) -> None:
    """Makes the data directory and the ledger, or brings the ledger to this code's revision after a copy."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.ledger_url)


async def announce(servers: list[tuple[str, str, int, str]]) -> None:
    """Prints the address of each server (name, host, port, path) as soon as it answers."""
    for name, host, port, path in servers:
        if await answers(host, port, START_S):
            click.echo(f"{name:<10} {address(host, port, path)}")
        else:
            say(f"{name} does not answer on {address(host, port, path)} yet")
    click.echo("Ctrl-C ends all", err=True)


def address(host: str, port: int, path: str = "") -> str:
    """The address that a browser or a client on this machine uses."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}{path}"


def silent(address: str) -> None:
    """Says nothing: the supervisor prints the address of its parts."""
