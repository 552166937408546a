"""`callmeter prices`."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from collector.cli.context import pass_settings
from collector.cli.unpriced import unpriced_lines
from collector.clock import now_us
from collector.core.errors import InputError, PriceError, UsageError
from collector.core.prices.checks import describe
from collector.core.prices.entries import FIELDS, instant_of
from collector.core.told import DECLINED, IN_FORCE, WAITING
from collector.finance.aligned import aligned
from collector.ledger.book.decide import decide
from collector.ledger.book.files import read_prices
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.load import OWN_FILE, load_book, names_of
from collector.ledger.book.own import add_entries
from collector.ledger.book.report import Found, card, check_book, differences, is_in_force, one_line, sold
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import rows
from collector.ledger.questions.pulled import entries, entry_of
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter prices show openai/gpt-4-turbo
  callmeter prices show claude-sonnet-4-5 --provider anthropic --at 2026-10-01
  callmeter prices add contract.toml"""
_HEADINGS = ("MODEL", "PROVIDER", "WHEN", "INPUT/M", "OUTPUT/M", "SOURCE", "STATED BY")
_LEFT = frozenset({0, 1, 2, 5, 6})


@click.group(epilog=EPILOG)
def prices() -> None:
    """List, show and check prices: DIR/prices.toml, those that are shipped, and the list of genai-prices."""


@prices.command("list", epilog="\b\nExample:\n  callmeter prices list --all --model gpt-4o")
@click.option("--model", metavar="TEXT", default="", help="Only models whose name holds this text.")
@click.option("--all", "every", is_flag=True, help="The models of the genai-prices list too.")
@pass_settings
def list_command(settings: Settings, model: str, every: bool) -> None:
    """One line for each price set, USD per million tokens, with a sentence on its source and age."""
    book = load_book(settings)
    sources = book.sources if every else [s for s in book.sources if not s.is_long]
    found = [Found(source.name, s) for source in sources for s in source.every() if model.lower() in s.model.lower()]
    today = datetime.now(UTC).date()
    for line in aligned([_HEADINGS, *(one_line(f, today) for f in found)], left=_LEFT):
        click.echo(line)


@prices.command(epilog="\b\nExample:\n  callmeter prices show openai/gpt-4-turbo --provider openai --at 2026-10-01")
@click.argument("model")
@click.option("--provider", metavar="P", help="Only what it costs there.")
@click.option("--at", metavar="D", help="Only what is in force then: 2026-10-01 or 2026-10-01T12:00:00Z.")
@pass_settings
def show(settings: Settings, model: str, provider: str | None, at: str | None) -> None:
    """What a model costs: its price sets, those charged first on top, each with unit prices, rules, source and age."""
    book, today, at_us = load_book(settings), datetime.now(UTC).date(), _instant(at)
    found = sold(book, model, provider)
    if at_us is not None:
        found = [f for f in found if is_in_force(f.price_set, at_us)]
    if not found:
        where = f" at {provider}" if provider else ""
        raise InputError(f"no price for {model}{where}: add a [[prices]] entry to {settings.data_dir / OWN_FILE}")
    for one in found:
        click.echo("\n".join(card(one.price_set, one.source, today)))


@prices.command(epilog="\b\nExample:\n  callmeter prices check && callmeter up")
@pass_settings
def check(settings: Settings) -> None:
    """Look for entries that overlap, leave a gap or are absurd beside their neighbours; 1 when there are any.

    Then the calls that have no price, by model, provider and reason, where there is a ledger.
    """
    verdict = check_book(settings, GenaiPrices(names_of(settings)), datetime.now(UTC).date())
    for source in verdict.sources:
        click.echo(f"source: {source}")
    for notice in verdict.notices:
        click.echo(f"notice: {notice}")
    for problem in verdict.wrong:
        click.echo(f"wrong: {problem}")
    click.echo(f"{verdict.entries} entries checked, {len(verdict.wrong)} wrong")
    for line in unpriced_lines(settings):
        click.echo(line)
    sys.exit(1 if verdict.wrong else 0)


@prices.command(epilog="\b\nExample:\n  callmeter prices diff contract.toml")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_settings
def diff(settings: Settings, file: Path | None) -> None:
    """How the entries of FILE (default: DIR/prices.toml) differ from what the book says without them."""
    path = file or settings.data_dir / OWN_FILE
    sets = read_prices(path, str(path))
    book = load_book(settings, own=() if file is None else None)
    for line in differences(sets, book, int(datetime.now(UTC).timestamp()) * 1_000_000):
        click.echo(line)
    click.echo(f"{len(sets)} entries compared")


_KEYS = """An entry of FILE begins with [[prices]] and names a model. Prices, in USD for a million tokens (_usd_per_m)
or a thousand of anything else (_usd_per_k): {fields}. Beside them: minimum_usd, the least that a call costs; images,
"per image" or "in tokens". When it holds: provider, key, tier (the one served), above_tokens (cached ones count),
hours = ["22:00-06:00"] and days = ["sat", "sun"] in UTC, from and until (a date is its UTC midnight; until is not part
of it). And source and checked, the day on which somebody read it there.

Tokens without a price take another's, and `callmeter explain` says whose: reasoning that of output, cached and picture
tokens that of input, but a one-hour cache write that of five-minute ones, and a cached picture that of pictures or of
cached input, where those are listed. Audio, video and drawn pictures without a price leave the call unpriced; other
units are counted and not charged.

\b
Example:
  callmeter prices add contract.toml"""


@prices.command(epilog=_KEYS.format(fields=", ".join(FIELDS)))
@click.argument("file", type=click.Path(path_type=Path))
@pass_settings
def add(settings: Settings, file: Path) -> None:
    """Add the [[prices]] entries of FILE to DIR/prices.toml. Calls that were priced before keep their price."""
    target = settings.data_dir / OWN_FILE
    new = add_entries(settings, file, target)
    for price_set in new:
        click.echo(describe(price_set))
    click.echo(f"{len(new)} entries added to {target}")


@prices.command(epilog="\b\nExamples:\n  callmeter prices accept\n  callmeter prices accept 3f2a9c0d11be")
@click.argument("entry", metavar="ID", required=False)
@click.option("--decline", is_flag=True, help="Keep the price before it; the same change is not asked about again.")
@pass_settings
def accept(settings: Settings, entry: str | None, decline: bool) -> None:
    """Take a pulled price that waits into the book, from when it was read; without ID, list those that wait."""
    engine = open_ledger(settings.ledger_url, read_only=entry is None)
    if entry is not None:
        told = decide(engine, entry, DECLINED if decline else IN_FORCE, now_us())
        click.echo(f"{told.model} at {told.provider}: {'declined' if decline else 'accepted'}")
        return
    waiting = [entry_of(row) for row in rows(engine, entries(WAITING))]
    for each in waiting:
        click.echo(f"{each.id}  {each.model} at {each.provider}: {each.why}")
        for line in each.changes:
            click.echo(f"    {line}")
    click.echo(f"{len(waiting)} pulled prices wait")


def _instant(text: str | None) -> int | None:
    try:
        return instant_of(text, "--at")
    except PriceError as error:
        raise UsageError(str(error)) from None
