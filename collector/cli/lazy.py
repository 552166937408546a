"""A group that imports a command only when it is asked for; the one place that turns errors into exit codes."""

import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

import click
import msgspec

from collector.core.errors import CallmeterError

T = TypeVar("T")
DEBUG = "CALLMETER_DEBUG"


class Entry(msgspec.Struct, frozen=True):
    """Where a command is (`module:name`) and the line that the overview says of it."""

    place: str
    summary: str
    hidden: bool = False

    def load(self) -> click.Command:
        module, _, name = self.place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


class Failure(click.ClickException):
    """One clear line on stderr and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it on the class, and reads it here

    def show(self, file: Any = None) -> None:
        click.echo(f"callmeter: {self.message}", err=True)


class LazyGroup(click.Group):
    """The top group; `commands` is a table of Entry."""

    def __init__(self, *args: Any, commands: dict[str, Entry], **options: Any) -> None:
        super().__init__(*args, **options)
        self.entries = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in self.entries.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        return entry.load() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.entries and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            advice = f"did you mean `{near[0]}`?" if near else "`callmeter --help` lists the commands"
            raise Failure(f"there is no command `{args[0]}`: {advice}", 2)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.entries[name].summary) for name in self.list_commands(ctx)])

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        return _with_exit_codes(super().make_context, *args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        return _with_exit_codes(super().invoke, ctx)


def _with_exit_codes(step: Callable[..., T], *args: Any, **options: Any) -> T:
    try:
        return step(*args, **options)
    except Exception as error:
        failure = None if os.environ.get(DEBUG) else as_failure(error)
        if failure is None:
            raise
        raise failure from error


def as_failure(error: Exception) -> Failure | None:
    """The one line and exit code of an error; None for what click itself reports."""
    if isinstance(error, CallmeterError):
        return Failure(str(error), error.exit_code)
    if isinstance(error, click.UsageError) and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        path = error.ctx.command_path if error.ctx else "callmeter"
        return Failure(f"{error.format_message()} (`{path} --help` shows how it is used)", 2)
    if isinstance(error, BrokenPipeError | click.ClickException | click.exceptions.Exit | click.Abort):
        return None
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{error.strerror or error}", 1)
    if _is_database_error(error):
        return Failure(f"the ledger answered: {getattr(error, 'orig', error)}", 1)
    return Failure(f"unexpected {type(error).__name__}: {error} (set {DEBUG}=1 to see where)", 1)


def _is_database_error(error: Exception) -> bool:
    exc = sys.modules.get("sqlalchemy.exc")
    return exc is not None and isinstance(error, exc.DBAPIError)
