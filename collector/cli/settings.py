"""`callmeter settings`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from collector.cli.context import pass_settings
from collector.settings import Choices, Finance, Limits, Settings, hide_secret

EXAMPLE = Path(__file__).with_name("example.toml")
EPILOG = """\b
Examples:
  callmeter --config /etc/callmeter.toml settings
  callmeter settings --example > callmeter.toml"""


@click.command(epilog=EPILOG)
@click.option("--example", is_flag=True, help="Print a settings file with all that can be set, and what it does.")
@pass_settings
def settings(settings: Settings, example: bool) -> None:
    """Print every setting, its limit and where it came from; never a secret."""
    if example:
        click.echo(EXAMPLE.read_text(), nl=False)
        return
    rows = list(describe(settings))
    widths = [max(len(row[n]) for row in rows) for n in range(2)]
    for name, value, origin in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}".rstrip())


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Name, value and origin of every setting, in the order of the documentation."""
    origin = settings.origins.get
    yield "data_dir", str(settings.data_dir), origin("data_dir", "default")
    yield "ledger_url", hide_secret(settings.ledger_url), origin("ledger_url", "default")
    yield "config_path", str(settings.config_path or "none"), origin("config_path", "default")
    for name in _names(Choices):
        if name != "limits":
            value = getattr(settings, name)
            yield name, _text("***" if name == "heartbeat_url" and value else value), origin(name, "default")
    for name in _names(Limits):
        yield f"limits.{name}", _text(getattr(settings.limits, name)), origin(f"limits.{name}", "default")
    yield from _tables(settings)


def _tables(settings: Settings) -> Iterator[tuple[str, str, str]]:
    built_in = settings.config_path is None
    for name, provider in (settings.built_in if built_in else settings.providers).items():
        stated = {**msgspec.structs.asdict(provider), "base_url": hide_secret(provider.base_url)}
        yield f"providers.{name}", _text(stated), "built in" if built_in else settings.origins.get("providers", "")
    for n, endpoint in enumerate(settings.endpoints):
        yield f"endpoints[{n}]", _text(msgspec.structs.asdict(endpoint)), settings.origins.get("endpoints", "")
    for n, budget in enumerate(settings.budgets):
        yield f"budgets[{n}]", _text(budget), settings.origins.get("budgets", "")
    for n, channel in enumerate(settings.channels):  # an address of a channel is itself a secret
        stated = {**msgspec.structs.asdict(channel), "url": channel.url and "***"}
        yield f"channels[{n}]", _text(stated), settings.origins.get("channels", "")
    for name, pull in settings.pulls.items():
        yield f"pulls.{name}", _text(msgspec.structs.asdict(pull)), settings.origins.get("pulls", "")
    for n, page in enumerate(settings.status_pages):
        yield f"status_pages[{n}]", _text(msgspec.structs.asdict(page)), settings.origins.get("status_pages", "")
    for table in ("probes", "alerts"):
        for name, value in msgspec.structs.asdict(getattr(settings, table)).items():
            yield f"{table}.{name}", _text(value), settings.origins.get(table, "default")
    backups = msgspec.structs.asdict(settings.backups) if settings.backups else None
    yield "backups", _text(backups), settings.origins.get("backups", "default")
    for name, value in msgspec.structs.asdict(settings.dashboard).items():
        shown = {who: user.role for who, user in value.items()} if name == "users" else value
        yield f"dashboard.{name}", _text(shown) or "none", settings.origins.get("dashboard", "default")
    yield from _finance(settings.finance, settings.origins.get("finance", "default"))


def _finance(finance: Finance, origin: str) -> Iterator[tuple[str, str, str]]:
    for name in _names(Finance):
        value = getattr(finance, name)
        listed = value if isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct) else ()
        for n, each in enumerate(listed):
            yield f"finance.{name}[{n}]", _text(msgspec.structs.asdict(each)), origin
        if not listed:
            yield f"finance.{name}", "none" if value == () else _text(value), origin


def _names(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_text(each)}" for key, each in value.items() if each is not None)
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
