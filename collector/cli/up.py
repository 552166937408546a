"""`callmeter up`."""

from functools import partial

import click

from collector.cli.context import pass_settings
from collector.cli.dashboard import dashboard_part
from collector.cli.gateway import GRACE_S, gateway_parts, host_option, ingest_part, port_option, workers_option
from collector.cli.running import address, announce, prepare_ledger
from collector.settings import Settings
from collector.supervisor import Part, callmeter, supervise, take_port

EPILOG = """\b
Examples:
  callmeter up
  OPENAI_BASE_URL=http://127.0.0.1:8484/v1 python my_app.py     (in another terminal)"""


@click.command(epilog=EPILOG)
@host_option
@port_option
@workers_option
@click.option("--dashboard-host", default="127.0.0.1", show_default=True, help="Address of the dashboard.")
@click.option("--dashboard-port", default=8501, show_default=True, type=click.IntRange(0, 65535), help="0: any free.")
@pass_settings
def up(settings: Settings, host: str, port: int, workers: int, dashboard_host: str, dashboard_port: int) -> None:
    """Run gateway, ingest, jobs and dashboard under one supervisor, until Ctrl-C.

    A part that dies is started again. An older ledger is copied and then brought up to date.
    The dashboard listens on 127.0.0.1 whatever --host says; elsewhere only where people have to sign in.
    """
    port, dashboard_port = take_port(host, port), take_port(dashboard_host, dashboard_port)
    prepare_ledger(settings)
    parts = (
        *gateway_parts(settings, host, port, workers),
        ingest_part(settings),
        Part("jobs", callmeter(settings, "jobs-loop")),
        dashboard_part(settings, dashboard_host, dashboard_port, address(host, port, "/v1")),
    )
    servers = [("gateway", host, port, "/v1"), ("dashboard", dashboard_host, dashboard_port, "")]
    raise SystemExit(supervise(parts, settings.limits.drain_s + GRACE_S, partial(announce, servers)))
