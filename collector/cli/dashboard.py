"""`callmeter dashboard`."""

import click

from collector.cli.context import flags_of, pass_settings
from collector.cli.running import silent
from collector.settings import GATEWAY_URL, Settings
from collector.supervisor import Part, callmeter, take_port

EPILOG = """\b
Example:
  callmeter dashboard --port 8600"""


@click.command(epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(0, 65535), help="0: any free.")
@pass_settings
@click.pass_context
def dashboard(ctx: click.Context, settings: Settings, host: str, port: int) -> None:
    """Show the charts in a browser."""
    from dashboard.serve import serve

    serve(settings, host, take_port(host, port), silent if flags_of(ctx).part else None)


def dashboard_part(settings: Settings, host: str, port: int, gateway_url: str) -> Part:
    """The dashboard as a process, beside a gateway at that address."""
    command = callmeter(settings, "dashboard", "--host", host, "--port", str(port))
    return Part("dashboard", command, {GATEWAY_URL: gateway_url})
