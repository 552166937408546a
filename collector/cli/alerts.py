"""`callmeter alerts`."""

import os
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from collector.alerts import ALERTS, silence
from collector.alerts.channels import Message, channel_names, send
from collector.alerts.state import end_silence
from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.core.errors import CallmeterError, SourceError, UsageError
from collector.ledger.engines import open_ledger
from collector.ledger.questions.alerts import silenced, since, undelivered
from collector.ledger.questions.ask import rows
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter alerts list
  callmeter alerts silence provider openai --for 2h
  callmeter alerts test"""
_UNITS_S = {"m": 60, "h": 3_600, "d": 86_400}
_SHOWN_DAYS = 7
LONGEST_S = 366 * 86_400


@click.group(epilog=EPILOG)
def alerts() -> None:
    """Show what fired, keep it quiet for a while, try the channels."""


@alerts.command("list", epilog="\b\nExample:\n  callmeter alerts list --rules")
@click.option("--rules", is_flag=True, help="The rules instead of what fired.")
@pass_settings
def list_command(settings: Settings, rules: bool) -> None:
    """What lasts, what ended in the last 7 days, what is silenced, and who could not be told."""
    if rules:
        for rule in ALERTS:
            click.echo(f"{rule.name:<16}{rule.summary}")
        return
    engine, now, zone = open_ledger(settings.ledger_url, read_only=True), now_us(), ZoneInfo(settings.zone)
    for row in rows(engine, since(now - _SHOWN_DAYS * 86_400 * 1_000_000)):
        ended = f", until {_moment(row.ended_at, zone)}" if row.ended_at else ""
        click.echo(f"{row.level:<9} {row.rule}: {row.text} (since {_moment(row.began_at, zone)}{ended})")
    for row in rows(engine, silenced(now)):
        what = f"{row.rule} {row.subject}".strip()
        click.echo(f"silenced  {what} until {_moment(row.until, zone)}{': ' if row.why else ''}{row.why}")
    for row in rows(engine, undelivered()):
        problem = row.error or "it waits for the job alerts"
        click.echo(f"not told  {row.channel}, {row.tries} tries: {problem}; {row.event}: {row.text}")


@alerts.command("silence", epilog="\b\nExample:\n  callmeter alerts silence budget --for 3d --why 'we know'")
@click.argument("rule")
@click.argument("subject", default="")
@click.option("--for", "span", metavar="T", help="How long: 30m, 2h, 3d.")
@click.option("--why", default="", metavar="TEXT", help="What is shown of it.")
@click.option("--end", is_flag=True, help="Tell it again from now on.")
@pass_settings
def silence_command(settings: Settings, rule: str, subject: str, span: str | None, why: str, end: bool) -> None:
    """Tell nothing of a RULE, or of one SUBJECT of it, for a while. What still lasts then is told."""
    if end == (span is not None):
        raise UsageError("say how long with --for 2h, or end a silence with --end")
    engine, now = open_ledger(settings.ledger_url), now_us()
    if end:
        click.echo(f"{end_silence(engine, rule, subject, now)} silences ended")
        return
    until = now + _seconds(span or "") * 1_000_000
    silence(engine, rule, subject, now, until, why[:200])
    click.echo(f"{rule} {subject}".strip() + f" is silenced until {_moment(until, ZoneInfo(settings.zone))}")


@alerts.command("test", epilog="\b\nExample:\n  callmeter alerts test")
@pass_settings
def test_command(settings: Settings) -> None:
    """Send a message through every channel; 1 when one does not take it."""
    if not settings.channels:
        raise UsageError("there is no channel: add [[channels]] to callmeter.toml")
    message = Message("test", "fired", "test", "all", "this is a test of the channel", "info", began_at=now_us())
    failed = 0
    for name, channel in zip(channel_names(settings.channels), settings.channels, strict=True):
        try:
            send(channel, message, now_us(), os.environ)
            click.echo(f"{name}: told")
        except SourceError as error:
            failed += 1
            click.echo(f"{name}: {error}")
    if failed:
        raise CallmeterError(f"{failed} of {len(settings.channels)} channels could not be told")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d{1,4})([mhd])", text, re.ASCII)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(f"{text[:20]!r} is not how long: write 30m, 2h or 3d, a year at most")
    return seconds


def _moment(at_us: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, zone).strftime("%Y-%m-%d %H:%M %Z")
