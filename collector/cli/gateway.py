"""`callmeter gateway`, with its ingest loop beside it or without."""

from functools import partial

import click

from collector.cli.context import flags_of, pass_settings
from collector.cli.running import announce, prepare_ledger, silent
from collector.settings import Settings
from collector.supervisor import Part, callmeter, supervise, take_port

GRACE_S = 5.0
EPILOG = """\b
Examples:
  callmeter gateway
  callmeter gateway --port 9000 --no-ingest     (cron's `callmeter collect` then stores the calls)"""

host_option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
port_option = click.option(
    "--port", default=8484, show_default=True, type=click.IntRange(0, 65535), help="0: any free."
)
workers_option = click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")


@click.command(epilog=EPILOG)
@host_option
@port_option
@workers_option
@click.option("--no-ingest", is_flag=True, help="Only write the journal; leave the ledger to `collect`.")
@pass_settings
@click.pass_context
def gateway(ctx: click.Context, settings: Settings, host: str, port: int, workers: int, no_ingest: bool) -> None:
    """Run the gateway that applications send their calls to; set OPENAI_BASE_URL to its address.

    Calls are in the ledger within 2 seconds.
    """
    port = take_port(host, port)
    if no_ingest:
        from collector.intake.gateway.server import serve

        serve(settings, host, port, workers, announce=silent if flags_of(ctx).part else None)
        return
    prepare_ledger(settings)
    parts = (gateway_part(settings, host, port, workers), ingest_part(settings))
    ready = partial(announce, [("gateway", host, port, "/v1")])
    raise SystemExit(supervise(parts, settings.limits.drain_s + GRACE_S, ready))


def gateway_part(settings: Settings, host: str, port: int, workers: int) -> Part:
    """The gateway as a process."""
    arguments = ("gateway", "--no-ingest", "--host", host, "--port", str(port), "--workers", str(workers))
    return Part("gateway", callmeter(settings, *arguments))


def ingest_part(settings: Settings) -> Part:
    """The ingest loop as a process."""
    return Part("ingest", callmeter(settings, "ingest-loop"))
