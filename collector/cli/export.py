"""`callmeter export`."""

from pathlib import Path

import click

from collector.cli.closing import closing_zone
from collector.cli.context import pass_settings
from collector.core.periods import check_zone, days_period, parse_day
from collector.finance.columns import GROUP_COLUMNS, describe
from collector.finance.export import Request, booked_request, check, export
from collector.finance.formats import FORMATS
from collector.finance.manifest import manifest_path
from collector.finance.months import month_named, month_of_days
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import declared_zones
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter export --from 2026-10-01 --to 2026-11-01 --by day,app,model --out october.csv
  callmeter export --from 2026-10-01 --to 2026-11-01 --zone Europe/Berlin --by key --out october.csv
  callmeter export --from 2026-10-01 --to 2026-11-01 --booked --out october.csv
  callmeter export --from 2026-10-01 --to 2026-11-01 --calls --format jsonl --out calls.jsonl"""


def _show_columns(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        for line in describe():
            click.echo(line)
        ctx.exit()


@click.command("export", epilog=EPILOG)
@click.option("--from", "first_day", metavar="D", required=True, help="First day, such as 2026-10-01.")
@click.option("--to", "end_day", metavar="D", required=True, help="Day after the last one.")
@click.option("--zone", metavar="Z", help="Time zone that days are counted in. [setting zone]")
@click.option("--by", metavar="COLUMNS", help=f"Some of {','.join(GROUP_COLUMNS)}. [day,model,provider]")
@click.option("--calls", is_flag=True, help="Single calls instead of line items.")
@click.option("--booked", is_flag=True, help="A month as it is booked, with its corrections; once closed, its file.")
@click.option("--format", "file_format", default="csv", show_default=True, help=f"One of {', '.join(FORMATS)}.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option(
    "--columns", is_flag=True, is_eager=True, expose_value=False, callback=_show_columns, help="Explain every column."
)
@pass_settings
def export_command(
    settings: Settings,
    first_day: str,
    end_day: str,
    zone: str | None,
    by: str | None,
    calls: bool,
    booked: bool,
    file_format: str,
    out: Path,
) -> None:
    """Write what was spent, as line items or as single calls, for the days FROM up to but not including TO.

    On every line quantity x unit_price_usd = cost_usd, exactly; lines without a price have neither. The last line is
    the TOTAL. FILE.manifest.json, written beside the file, states rows, cost, unpriced quantities and a checksum.
    """
    if by is not None and (calls or booked):
        raise click.UsageError(f"--by groups line items: leave it out with {'--calls' if calls else '--booked'}")
    if by is not None and file_format == "focus":
        raise click.UsageError("--by groups line items: FOCUS has groups of its own, leave it out")
    if calls and booked:
        raise click.UsageError("--booked is of line items: leave out --calls")
    days = parse_day(first_day), parse_day(end_day)
    period = days_period(*days, check_zone(zone or settings.zone))
    request = Request(
        period, _columns(by) if by is not None else Request(period).by, calls, file_format, finance=settings.finance
    )
    check(request)
    month = month_of_days(*days) if booked else None
    engine = open_ledger(settings.ledger_url, read_only=True)
    try:
        if month:
            request = booked_request(
                month_named(month, closing_zone(engine, zone, settings)), file_format, settings.finance
            )
        manifest = export(engine, declared_zones(engine), request, out)
    finally:
        engine.dispose()
    unpriced = f", {manifest.unpriced['calls']} calls unpriced" if manifest.unpriced["calls"] else ""
    click.echo(f"{out}: {manifest.rows} rows, {manifest.calls} calls, {manifest.cost_usd} USD{unpriced}")
    for plan in manifest.plans:
        click.echo(f"notional: {plan.notional_usd} USD of it came under {plan.name}, {plan.provider}")
    for credit in manifest.prepaid:
        click.echo(f"prepaid at {credit.provider}: {credit.bought_usd} USD bought, {credit.used_usd} USD used")
    click.echo(f"manifest: {manifest_path(out)}", err=True)


def _columns(by: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in by.split(",") if name.strip())
