"""`callmeter import`."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Engine

from collector.cli.context import pass_settings
from collector.core.calls import Call
from collector.core.errors import CallmeterError, LockHeld, UsageError
from collector.core.periods import check_zone
from collector.intake.files import READERS, reader_of
from collector.intake.files.lines import Lines
from collector.intake.files.load import Loaded, load
from collector.intake.files.reading import Options, Rejected
from collector.ledger.book import load_book
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.ledger.questions.ask import AnyRow, rows
from collector.ledger.questions.segments import counts_of
from collector.settings import Settings

MAX_SHOWN = 20
LOCK_WAIT_S = 30.0
EPILOG = """\b
Examples:
  callmeter import calls.jsonl.gz --format jsonl
  callmeter import trace.csv.gz --format azure --model openai/gpt-4-turbo --provider openai
  callmeter import usage.csv --format csv --provider openai --zone Europe/Berlin \\
      --columns started_at=time,prompt_tokens=prompt,completion_tokens=completion,reported_cost_usd=spend

Columns of csv, by name or by --columns: started_at (ISO 8601 or a number since 1970), model, provider, input_tokens
(without cached ones), output_tokens (without reasoning) and the other meters, or prompt_tokens and completion_tokens
(totals that hold them), images_in, status, outcome, latency_ms, first_token_ms, app, key, user, reported_cost_usd."""


@click.command("import", epilog=EPILOG)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "file_format", required=True, help=f"One of {', '.join(READERS)}.")
@click.option("--model", help="Model of rows that name none.")
@click.option("--provider", help="Provider of rows that name none.")
@click.option("--columns", default="", metavar="OURS=THEIRS,...", help="Names of columns in the file.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of times without one.")
@pass_settings
def import_command(
    settings: Settings,
    file: Path,
    file_format: str,
    model: str | None,
    provider: str | None,
    columns: str,
    zone: str,
) -> None:
    """Read the calls of FILE, plain or gzip, into the ledger.

    The same file twice, or grown, adds only what is new. Rows that cannot be read are listed with line and reason, and
    the rest is imported. Exit code 0 says that the calls are in the ledger.
    """
    options = Options(model, provider, _column_map(columns), check_zone(zone))
    reader = reader_of(file_format, options)
    since_us = time.time_ns() // 1000
    engine = open_ledger(settings.ledger_url, create=True)
    try:
        lines, loaded, rejects = Lines(file), Loaded(), _Rejects()
        into_ledger = _drainer(settings, engine)
        writer = Writer(settings.journal_dir, file_format, settings.limits, fsync="interval")
        try:
            with _progress(lines, reader(lines, options)) as found:
                load(found, writer, into_ledger, rejects.show, loaded)
        finally:
            writer.stop()
            into_ledger()
            rejects.end()
            for note in lines.notes:
                click.echo(note, err=True)
            _report(loaded, rows(engine, counts_of(file_format, os.getpid(), since_us))[0])
    finally:
        engine.dispose()


def _report(loaded: Loaded, counts: AnyRow) -> None:
    click.echo(
        f"accepted {loaded.rows}: stored {counts.stored}, merged {counts.merged} (already there),"
        f" rejected {counts.rejected + counts.missing}"
    )
    if counts.rejected > loaded.rejected:
        click.echo(f"{counts.rejected - loaded.rejected} of the rejected could not be stored: see `rejects`", err=True)
    if counts.stored + counts.merged + counts.rejected + counts.missing != loaded.rows:
        raise CallmeterError("not all of it is in the ledger yet: run `callmeter collect`")


def _column_map(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    for ours, sign, theirs in pairs:
        if not (sign and ours.strip() and theirs.strip()):
            raise UsageError(f"--columns {ours[:40]!r} maps nothing: write started_at=ts,input_tokens=prompt")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def _drainer(settings: Settings, engine: Engine) -> Callable[[], None]:
    """Drains the journal; another process that drains is waited for, and raises LockHeld when it does not end."""
    book = load_book(settings)

    def into_ledger() -> None:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                drain(
                    engine, settings.journal_dir, book, settings.limits, time.time_ns() // 1000, {"UTC", settings.zone}
                )
                return
            except LockHeld:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    return into_ledger


class _Rejects:
    """Shows the first rejected rows."""

    def __init__(self) -> None:
        self._count = 0

    def show(self, row: Rejected) -> None:
        self._count += 1
        if self._count <= MAX_SHOWN:
            click.echo(f"line {row.line}: {row.reason}", err=True)

    def end(self) -> None:
        if self._count > MAX_SHOWN:
            click.echo(f"and {self._count - MAX_SHOWN} more rejected rows: all are in the ledger's rejects", err=True)


@contextmanager
def _progress(lines: Lines, found: Iterator[Call | Rejected]) -> Iterator[Iterator[Call | Rejected]]:
    """The same calls, with a bar on stderr that follows them when it is a terminal."""
    if not sys.stderr.isatty():
        yield found
        return
    with click.progressbar(length=lines.size, label=lines.path.name, file=sys.stderr) as bar:

        def followed() -> Iterator[Call | Rejected]:
            for n, item in enumerate(found):
                if n % 1_000 == 0:
                    bar.update(lines.read_bytes - bar.pos)
                yield item
            bar.update(lines.size - bar.pos)

        yield followed()
