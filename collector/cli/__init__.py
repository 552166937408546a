"""The command `callmeter`. Each group of commands is a module of its own, imported when it is asked for."""

import click

from collector.cli.context import Flags
from collector.cli.lazy import Entry, LazyGroup
from collector.parent import watch_parent

COMMANDS = {
    "up": Entry("collector.cli.up:up", "Run gateway, ingest, jobs and dashboard under one supervisor."),
    "gateway": Entry("collector.cli.gateway:gateway", "Run the gateway that applications send their calls to."),
    "dashboard": Entry("collector.cli.dashboard:dashboard", "Show the charts in a browser."),
    "demo": Entry("collector.cli.demo:demo", "Show everything with simulated providers and traffic."),
    "collect": Entry("collector.cli.collect:collect", "Do every job that is due; meant for cron."),
    "jobs": Entry("collector.cli.jobs:jobs", "List the jobs with their last and next run, or run one."),
    "alerts": Entry("collector.cli.alerts:alerts", "Show what fired, silence it, try the channels."),
    "schedule": Entry("collector.cli.schedule:schedule", "Print, install or remove the crontab line."),
    "settings": Entry("collector.cli.settings:settings", "Print every setting, its limit and where it came from."),
    "keys": Entry("collector.cli.keys:keys", "Make, list and disable keys of the gateway."),
    "password": Entry("collector.cli.password:password", "Print the hash of a password for the dashboard."),
    "import": Entry("collector.cli.imports:import_command", "Read calls from a file into the ledger."),
    "export": Entry("collector.cli.export:export_command", "Write a CSV for finance, or the calls themselves."),
    "prices": Entry("collector.cli.prices:prices", "List, show and check prices."),
    "reprice": Entry("collector.cli.reprice:reprice_command", "Price past calls by today's prices, after a look."),
    "explain": Entry("collector.cli.explain:explain_command", "Show how the cost of one call came about."),
    "close": Entry("collector.cli.close:close_command", "Close a month: keep its file, book later changes after it."),
    "reopen": Entry("collector.cli.close:reopen_command", "Open the last closed month again, saying why."),
    "reconcile": Entry("collector.cli.reconcile:reconcile_command", "Hold the books against providers and invoices."),
    "backup": Entry("collector.cli.backup:backup_command", "Write everything of one moment into one file."),
    "restore": Entry("collector.cli.backup:restore_command", "Put a backup into an empty data directory."),
    "check": Entry("collector.cli.check:check", "Prove that calls, sums, prices and the journal agree."),
    "ingest-loop": Entry("collector.cli.loops:ingest_loop", "Store what is journalled, forever.", hidden=True),
    "jobs-loop": Entry("collector.cli.loops:jobs_loop", "Do every job when it is due, forever.", hidden=True),
}

EPILOG = """\b
Examples:
  callmeter demo
  callmeter up
  callmeter export --from 2026-10-01 --to 2026-11-01 --by day,app --out october.csv

Exit codes: 0 done, 1 failed or differs, 2 wrong use or settings, 75 another process holds the lock."""


@click.group("callmeter", cls=LazyGroup, commands=COMMANDS, epilog=EPILOG, context_settings={"max_content_width": 100})
@click.option("--data-dir", metavar="DIR", help="Where everything is kept. [CALLMETER_DATA_DIR; ./data]")
@click.option("--ledger", metavar="URL", help="The ledger's address. [CALLMETER_LEDGER; sqlite:///DIR/callmeter.db]")
@click.option("--config", metavar="FILE", help="The settings file. [CALLMETER_CONFIG; ./callmeter.toml]")
@click.version_option(package_name="callmeter", prog_name="callmeter")
@click.pass_context
def main(ctx: click.Context, data_dir: str | None, ledger: str | None, config: str | None) -> None:
    """The books of your LLM API calls: every call recorded, priced exactly, and its provider's uptime measured."""
    ctx.obj = Flags(data_dir=data_dir, ledger=ledger, config=config, part=watch_parent())
