"""What every command is given: the settings, read when the command really runs, and its ledger named on stderr."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import click
import msgspec

from collector.settings import Settings, hide_secret, load_settings


class Flags(msgspec.Struct, frozen=True):
    """The global options, as they were typed."""

    data_dir: str | None = None
    ledger: str | None = None
    config: str | None = None
    part: bool = False  # run by a supervisor, which speaks for it


def pass_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Calls `command` with the Settings as first argument and names the ledger on stderr.

    Settings are read here and not by the group, so that `callmeter COMMAND --help` works with a broken settings file.
    """

    @click.pass_context
    def with_settings(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        settings = read_settings(ctx)
        if not flags_of(ctx).part:
            click.echo(f"ledger: {hide_secret(settings.ledger_url)}", err=True)
        return ctx.invoke(command, settings, *args, **kwargs)

    return update_wrapper(with_settings, command)


def read_settings(ctx: click.Context) -> Settings:
    """The settings that the global options of this command line ask for."""
    flags = flags_of(ctx)
    return load_settings(flags.data_dir, flags.ledger, flags.config)


def flags_of(ctx: click.Context) -> Flags:
    """The global options of this command line."""
    return ctx.find_object(Flags) or Flags()
