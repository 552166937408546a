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
    is_part = flags_of(ctx).part
    if is_part or (no_ingest and workers == 1):
        from collector.intake.gateway.server import serve

        shares_port = workers > 1  # its siblings listen there already
        if not shares_port:
            port = take_port(host, port)
        serve(settings, host, port, shares_port=shares_port, announce=silent if is_part else None)
        return
    port = take_port(host, port)
    parts = gateway_parts(settings, host, port, workers)
    if not no_ingest:
        prepare_ledger(settings)
        parts += (ingest_part(settings),)
    ready = partial(announce, [("gateway", host, port, "/v1")])
    raise SystemExit(supervise(parts, settings.limits.drain_s + GRACE_S, ready))


def gateway_parts(settings: Settings, host: str, port: int, workers: int) -> tuple[Part, ...]:
    """The gateway's workers, each a process with a journal segment of its own."""
    arguments = ("gateway", "--no-ingest", "--host", host, "--port", str(port), "--workers", str(workers))
    command = callmeter(settings, *arguments)
    return tuple(Part(f"gateway {n}" if workers > 1 else "gateway", command) for n in range(1, workers + 1))


def ingest_part(settings: Settings) -> Part:
    """The ingest loop as a process."""
    return Part("ingest", callmeter(settings, "ingest-loop"))
