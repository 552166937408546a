"""`callmeter keys`."""

import contextlib
import sqlite3

import click

from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.core.budgets import EVERY, parse_every, parse_limit
from collector.core.errors import InputError, UsageError
from collector.core.money import format_usd
from collector.core.periods import day_bounds, day_number, format_day, parse_day
from collector.finance.aligned import aligned
from collector.intake.gateway.shared import budgets, rates
from collector.intake.gateway.shared.keys import MAX_RPM, Key, all_keys, create, disable
from collector.intake.gateway.shared.state import State
from collector.settings import Settings

DAY_US = 86_400_000_000
EPILOG = """\b
Examples:
  callmeter keys create --app web --limit-usd 20 --period month --rpm 120 --models openai/gpt-4-turbo,openai/gpt-4o
  callmeter keys list
  callmeter keys disable k-0123456789ab

Once a key exists, every call needs one, on this machine too. A running gateway knows of a change within 2 seconds."""


@click.group(epilog=EPILOG)
def keys() -> None:
    """Make, list and disable the keys that applications call the gateway with."""


@keys.command("create", epilog=EPILOG)
@click.option("--app", required=True, help="The application whose calls they are.")
@click.option("--limit-usd", metavar="N", help="What may be spent with it in each --period.")
@click.option("--period", type=click.Choice(EVERY), help="Of --limit-usd; weeks begin on Monday.  [month]")
@click.option("--rpm", type=click.IntRange(1, MAX_RPM), help="Calls a minute at most.")
@click.option("--models", metavar="M,..", help="The only models that may be asked for.")
@click.option("--expires", metavar="D", help="The first day, as 2026-12-31, on which it lets nobody in.")
@pass_settings
def create_key(
    settings: Settings,
    app: str,
    limit_usd: str | None,
    period: str | None,
    rpm: int | None,
    models: str | None,
    expires: str | None,
) -> None:
    """Make a key. It is printed once, to standard output; only its digest is kept."""
    if period and limit_usd is None:
        raise UsageError(f"--period {period} is of a limit: give --limit-usd too")
    key, text = create(
        State(settings.state_path),
        app,
        now_us(),
        expires_us=day_bounds(parse_day(expires), settings.zone)[0] if expires else None,
        models=tuple(name.strip() for name in models.split(",")) if models is not None else None,
        rpm=rpm,
        limit=None if limit_usd is None else _limit(limit_usd),
        period=None if limit_usd is None else parse_every(period or "month"),
    )
    click.echo(text)
    click.echo(f"{key.id} for {app}: shown this once; `callmeter keys disable {key.id}` takes it back", err=True)


def _limit(text: str) -> int:
    try:
        return parse_limit(text)
    except InputError as error:
        raise UsageError(f"--limit-usd: {error}") from None


@keys.command("list", epilog=EPILOG)
@pass_settings
def list_keys(settings: Settings) -> None:
    """List the keys, what was spent with each in its period, and what was turned away at the door in 24 hours."""
    state, now = State(settings.state_path), now_us()
    if not state.path.exists():
        click.echo("There are no keys: `callmeter keys create --app NAME` makes one.")
        return
    with contextlib.closing(state.connect()) as connection:
        found = all_keys(connection)
        rows = [_row(key, _spent(connection, key, settings.zone, now), settings.zone, now) for key in found]
        away = rates.turned_away(connection, now - DAY_US)
    for line in aligned([_HEAD, *rows], left=frozenset({0, 1, 2, 3, 4, 8})) if rows else ():
        click.echo(line)
    if not rows:
        click.echo("There are no keys: `callmeter keys create --app NAME` makes one.")
    for reason, requests in away.items():
        click.echo(f"turned away in 24 hours: {requests:,} {reason}", err=True)


@keys.command("disable", epilog=EPILOG)
@click.argument("key_id", metavar="ID")
@pass_settings
def disable_key(settings: Settings, key_id: str) -> None:
    """Let nobody in with a key any more; its calls stay in the ledger."""
    key = disable(State(settings.state_path), key_id, now_us())
    click.echo(f"{key.id} for {key.app} is disabled")


_HEAD = ("ID", "APP", "STATE", "CREATED", "EXPIRES", "LIMIT USD", "SPENT USD", "RPM", "MODELS")


def _row(key: Key, spent: int | None, zone: str, now: int) -> tuple[str, ...]:
    return (
        key.id,
        key.app,
        key.state(now),
        format_day(day_number(key.created_us, zone)),
        format_day(day_number(key.expires_us, zone)) if key.expires_us is not None else "-",
        f"{format_usd(key.limit)} a {key.period}" if key.limit is not None else "-",
        format_usd(spent) if spent is not None else "-",
        str(key.rpm or "-"),
        ", ".join(key.models) if key.models is not None else "any",
    )


def _spent(connection: sqlite3.Connection, key: Key, zone: str, now: int) -> int | None:
    return None if key.budget is None else budgets.standing(connection, key.budget, zone, now).spent
