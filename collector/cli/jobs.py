"""`callmeter jobs`."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from collector.cli.bars import bar
from collector.cli.collect import report
from collector.cli.context import pass_settings
from collector.clock import now_us
from collector.core.errors import UsageError
from collector.jobs import JOBS, Job, Run, Work, collect, job_named, last_runs, next_at
from collector.ledger.engines import open_ledger
from collector.settings import Settings

EPILOG = """\b
Examples:
  callmeter jobs
  callmeter jobs run check
  callmeter jobs run retention --dry-run"""
HEADINGS = ("job", "every", "last", "took", "rows", "next", "what it does")


@click.group(epilog=EPILOG, invoke_without_command=True)
@click.pass_context
def jobs(ctx: click.Context) -> None:
    """List the jobs with their last and next run, or run one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(listing)


@jobs.command("run", epilog="\b\nExample:\n  callmeter jobs run drain")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@pass_settings
def run(settings: Settings, name: str, dry_run: bool) -> None:
    """Run the job NAME now, whether it is due or not."""
    job = job_named(name)
    if dry_run:
        if job.plan is None:
            raise UsageError(f"the job {name} cannot say beforehand what it would do: leave --dry-run out")
        engine = open_ledger(settings.ledger_url, read_only=True)
        click.echo(job.plan(Work(settings, engine, now_us())))
        return
    with bar(name) as progress:
        failed = collect(settings, now_us, [job], progress)
    report(failed)


@click.command()
@pass_settings
def listing(settings: Settings) -> None:
    """One line for each job, and its error below when the last run failed."""
    engine = open_ledger(settings.ledger_url, read_only=True)
    last, zone = last_runs(engine), ZoneInfo(settings.zone)
    rows = [HEADINGS, *(_row(job, last.get(job.name), zone, job.is_set(settings)) for job in JOBS)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADINGS))]
    for row in rows:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    for each in last.values():
        if each.error:
            click.echo(f"{each.name} failed: {each.error}")


def _row(job: Job, last: Run | None, zone: ZoneInfo, is_set: bool) -> tuple[str, ...]:
    return (
        job.name,
        _span(job.period_s) if job.period_s else "when needed",
        _moment(last.started_at, zone) if last else "never",
        _took(last),
        "" if last is None or last.rows is None else str(last.rows),
        _next(job, last, zone) if is_set else f"not set: {job.setting}",
        job.summary,
    )


def _next(job: Job, last: Run | None, zone: ZoneInfo) -> str:
    due = next_at(job, last)
    if not job.period_s:
        return "when needed"
    return "now" if due is None or due <= now_us() else _moment(due, zone)


def _took(run: Run | None) -> str:
    if run is None:
        return ""
    return "not ended" if run.ended_at is None else f"{(run.ended_at - run.started_at) / 1e6:.1f} s"


def _moment(at_us: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _span(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{seconds // size} {unit}{'s' if seconds >= 2 * size else ''}"
    return f"{seconds} s"
