"""`callmeter explain`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import click
from sqlalchemy import Engine

from collector.cli.closing import closing_zone
from collector.cli.context import pass_settings
from collector.core.periods import check_zone, days_period, parse_day
from collector.core.selection import DIMENSIONS, Selection, from_query
from collector.finance.explain import explain
from collector.finance.explain_json import booking_to_plain, to_plain, total_to_plain
from collector.finance.explain_text import lines
from collector.finance.months import month_named, month_of_days
from collector.finance.why_booked import why_booked
from collector.finance.why_booked_text import lines as booked_lines
from collector.finance.why_total import why_total
from collector.finance.why_total_text import lines as total_lines
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import declared_zones
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter explain 0199a5c81c0070008f3a6b1d2c4e5f60
  callmeter explain 0199a5c81c0070008f3a6b1d2c4e5f60 --json
  callmeter explain --from 2026-10-01 --to 2026-11-01
  callmeter explain --from 2026-10-20 --to 2026-10-21 --model openai/gpt-4-turbo --app https://shop.example
  callmeter explain --from 2026-11-01 --to 2026-12-01 --booked

The id of a call is in the header x-callmeter-call-id of its answer, in v_calls and in `callmeter export --calls`."""


def _filters(command: click.decorators.FC) -> click.decorators.FC:
    for name in reversed(DIMENSIONS):
        say = f"Of a total: only this {name}; may be given again. '' is calls without one."
        command = click.option(f"--{name}", multiple=True, metavar=name[0].upper(), help=say)(command)
    return command


@click.command("explain", epilog=EPILOG)
@click.argument("call_id", required=False)
@click.option("--from", "first_day", metavar="D", help="First day of a total, such as 2026-10-01.")
@click.option("--to", "end_day", metavar="D", help="Day after its last one.")
@click.option("--zone", metavar="Z", help="Time zone that its days are counted in. [setting zone]")
@_filters
@click.option("--booked", is_flag=True, help="Of a month: as it is booked, and why it corrects what it corrects.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, amounts as exact decimal text.")
@pass_settings
def explain_command(
    settings: Settings,
    call_id: str | None,
    first_day: str | None,
    end_day: str | None,
    zone: str | None,
    booked: bool,
    as_json: bool,
    **filters: tuple[str, ...],
) -> None:
    """Show how the cost of a call came about: meters x unit prices = products, and their sum.

    With it: the attempts, the price with its dates and source, what the provider says it charged, who told of the call,
    and every adjustment since. With --from and --to in place of a call: the same for a total, as a chart, a card or a
    line of an export shows it, by price set; the parts add up to it exactly. A total is of usage days; with --booked it
    is what a month books, its corrections of closed months included.
    """
    asks_total = bool(first_day or end_day or zone or booked or any(filters.values()))
    if asks_total == bool(call_id):
        raise click.UsageError("name a call, or the days of a total with --from and --to")
    if asks_total and not (first_day and end_day):
        raise click.UsageError("a total has a first day and an end: write --from 2026-10-01 --to 2026-11-01")
    if booked and any(filters.values()):
        raise click.UsageError("--booked is of a whole month: leave out --" + next(filter(filters.get, DIMENSIONS)))
    chosen = [(name, value) for name in DIMENSIONS for value in filters[name]]
    selection = from_query([("zone", check_zone(zone or settings.zone)), *chosen])
    engine = open_ledger(settings.ledger_url, read_only=True)
    try:
        if call_id:
            found = _call(engine, settings, call_id, as_json)
        elif booked:
            name = month_of_days(parse_day(str(first_day)), parse_day(str(end_day)))
            found = _booked(engine, name, closing_zone(engine, zone, settings), as_json)
        else:
            found = _total(engine, selection, str(first_day), str(end_day), as_json)
        for line in found:
            click.echo(line)
    finally:
        engine.dispose()


def _call(engine: Engine, settings: Settings, call_id: str, as_json: bool) -> Iterator[str]:
    told = explain(engine, settings, call_id, datetime.now(UTC).date())
    return _document(to_plain(told)) if as_json else lines(told)


def _total(engine: Engine, selection: Selection, first_day: str, end_day: str, as_json: bool) -> Iterator[str]:
    period = days_period(parse_day(first_day), parse_day(end_day), selection.zone)
    told = why_total(engine, selection, period, declared_zones(engine), datetime.now(UTC).date())
    if not as_json:
        return total_lines(told, f"{first_day} up to {end_day} ({selection.zone})", selection)
    asked = {"from": first_day, "to": end_day, "zone": selection.zone}
    filters = {name: list(selection.names(name)) for name in DIMENSIONS if selection.names(name)}
    return _document(asked | {"selection": filters} | total_to_plain(told))


def _booked(engine: Engine, month: str, zone: str, as_json: bool) -> Iterator[str]:
    told = why_booked(engine, declared_zones(engine), month_named(month, zone))
    return _document(booking_to_plain(told)) if as_json else booked_lines(told)


def _document(plain: dict[str, object]) -> Iterator[str]:
    yield json.dumps(plain, indent=2, ensure_ascii=False)
