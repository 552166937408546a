"""`callmeter explain`."""

import json
from datetime import UTC, datetime

import click

from collector.cli.context import pass_settings
from collector.finance.explain import explain
from collector.finance.explain_json import to_plain
from collector.finance.explain_text import lines
from collector.ledger.engines import open_ledger
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter explain 0199a5c81c0070008f3a6b1d2c4e5f60
  callmeter explain 0199a5c81c0070008f3a6b1d2c4e5f60 --json

The id of a call is in the header x-callmeter-call-id of its answer, in v_calls and in `callmeter export --calls`."""


@click.command("explain", epilog=EPILOG)
@click.argument("call_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, amounts as exact decimal text.")
@pass_settings
def explain_command(settings: Settings, call_id: str, as_json: bool) -> None:
    """Show how the cost of a call came about: meters x unit prices = products, and their sum.

    With it: the attempts, the price with its dates and source, what the provider says it charged, who told of the call,
    and every adjustment since.
    """
    engine = open_ledger(settings.ledger_url, read_only=True)
    try:
        told = explain(engine, settings, call_id, datetime.now(UTC).date())
    finally:
        engine.dispose()
    if as_json:
        click.echo(json.dumps(to_plain(told), indent=2, ensure_ascii=False))
        return
    for line in lines(told):
        click.echo(line)
