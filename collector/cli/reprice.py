"""`callmeter reprice`."""

from collections.abc import Iterator

import click

from collector.cli.acts import ingest_lock, os_user
from collector.cli.bars import bar
from collector.cli.context import pass_settings
from collector.cli.unpriced import whose
from collector.clock import now_us
from collector.core.money import format_usd
from collector.core.periods import check_zone, days_period, parse_day
from collector.finance.aligned import aligned
from collector.ingest_loop import LOOK_EVERY_S
from collector.ledger.book import load_book
from collector.ledger.engines import open_ledger
from collector.ledger.reprice import Author, Changed, Report, Which, reprice
from collector.locks import Turns
from collector.settings import Settings

SHOWN = 50
TURN_S = 1.0  # what is journalled meanwhile is to be in the ledger within two seconds
FREE_S = 2 * LOOK_EVERY_S  # the ingest asks for its lock that often
DEFAULT_REASON = "priced again by the price book"
_HEADINGS: tuple[str, ...] = ("MONTH", "MODEL", "CALLS", "WERE UNPRICED", "OLD USD", "NEW USD", "DIFFERENCE")
EPILOG = """\b
Examples:
  callmeter reprice --from 2026-10-01 --to 2026-11-01 --dry-run
  callmeter reprice --from 2026-10-01 --to 2026-11-01 --model acme/house-model --reason "contract of October"

Changed are calls that had no price and have one now, and calls whose past price was corrected. A call that came with
its own cost keeps it (--stated changes it too), and so does a call whose price is no longer in the book."""


@click.command("reprice", epilog=EPILOG)
@click.option("--from", "first_day", metavar="D", required=True, help="First day, such as 2026-10-01.")
@click.option("--to", "end_day", metavar="D", required=True, help="Day after the last one.")
@click.option("--zone", metavar="Z", help="Time zone that days and months are counted in. [setting zone]")
@click.option("--model", metavar="M", help="Only calls that asked for or were served by this model.")
@click.option("--stated", is_flag=True, help="Calls that came with a cost of their own, too.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--reason", metavar="T", default=DEFAULT_REASON, show_default=True, help="Why; kept with each call.")
@pass_settings
def reprice_command(
    settings: Settings,
    first_day: str,
    end_day: str,
    zone: str | None,
    model: str | None,
    stated: bool,
    dry_run: bool,
    reason: str,
) -> None:
    """Price the calls of the days FROM up to but not including TO by the prices of today's book.

    Each changed call keeps its first cost and an adjustment: who, when, why, from what to what. Sums change with it.
    New calls go on being stored meanwhile. A run that was broken off is simply run again; run twice, it finds nothing
    more to do.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty: write why, such as --reason 'contract of October'")
    period = days_period(parse_day(first_day), parse_day(end_day), check_zone(zone or settings.zone))
    which = Which(period, model, stated)
    author = None if dry_run else Author(os_user(), " ".join(reason.split())[:256])
    book = load_book(settings)
    engine = open_ledger(settings.ledger_url, read_only=dry_run)
    try:
        with Turns(lambda: ingest_lock(settings), TURN_S, FREE_S) as turns, bar("reprice") as progress:
            take_turn = turns.take if author else _no_turn
            report = reprice(engine, book, which, now_us(), author, progress, take_turn)
    finally:
        engine.dispose()
    for line in lines(report, dry_run):
        click.echo(line)


def _no_turn() -> None:
    """Who only looks needs no lock."""


def lines(report: Report, dry_run: bool) -> Iterator[str]:
    """The report as text; money as exact decimal USD."""
    total = report.total()
    if report.changed:
        changed: list[tuple[str, ...]] = [
            ("MONTH", "MODEL", "CALLS", "WERE UNPRICED", "OLD USD", "NEW USD", "DIFFERENCE")
        ]
        changed += [_cells(month, model or "(none)", each) for (month, model), each in sorted(report.changed.items())]
        yield from aligned([*changed, _cells("TOTAL", "", total)], left=frozenset({0, 1}))
        yield ""
    looked = f"{_calls(report.looked_at)} looked at"
    verb = "would change" if dry_run else "changed"
    yield f"{looked}, {total.calls:,} {verb}; their spend is {format_usd(report.old_spend)} USD" + (
        f" and {'would be' if dry_run else 'is now'} {format_usd(report.new_spend)} USD" if total.calls else ""
    )
    yield from _left(report)
    if report.kept:
        yield f"kept: {_calls(report.kept)} with a cost whose price is no longer in the book"
    if report.stated:
        yield f"kept: {_calls(report.stated)} with the cost they came with, though the book has another (--stated)"


def _left(report: Report) -> Iterator[str]:
    if not report.left:
        return
    yield ""
    yield f"unpriced stay {_calls(sum(each.calls for each in report.left.values()))}:"
    some = sorted(report.left.items(), key=lambda each: (-each[1].calls, each[0]))
    for (model, provider, reason), left in some[:SHOWN]:
        used = ", ".join(f"{quantity:,} {meter}" for meter, quantity in left.meters.items()) or "nothing stated"
        yield f"  {_calls(left.calls)}: {whose(reason, model, provider)} ({used})"
    if len(some) > SHOWN:
        yield f"  and {len(some) - SHOWN:,} more models or reasons"


def _cells(month: str, model: str, each: Changed) -> tuple[str, ...]:
    money = [format_usd(amount) for amount in (each.old, each.new, each.difference)]
    return month, model, f"{each.calls:,}", f"{each.unpriced:,}", *money


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"
