"""`callmeter demo`."""

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from collector.cli.context import read_settings
from collector.cli.dashboard import dashboard_part
from collector.cli.gateway import GRACE_S, gateway_parts, ingest_part, port_option
from collector.cli.running import address, announce
from collector.clock import now_us
from collector.core.errors import CallmeterError
from collector.demo.past import CALLS, renew_past
from collector.demo.settings import demo_folder, demo_settings
from collector.locks import hold
from collector.supervisor import Part, callmeter, supervise, take_port

HOST = "127.0.0.1"
EPILOG = """\b
Example:
  callmeter demo"""


@click.command(epilog=EPILOG)
@port_option
@click.option("--dashboard-port", default=8501, show_default=True, type=click.IntRange(0, 65535), help="0: any free.")
@click.pass_context
def demo(ctx: click.Context, port: int, dashboard_port: int) -> None:
    """Show everything with simulated providers and traffic, until Ctrl-C.

    Two simulated providers (one flaky), calls through the gateway by the openai SDK, 90 days of invented earlier calls,
    and the dashboard. All of it is in DIR/demo/, apart from the real ledger.
    """
    if find_spec("openai") is None:
        raise CallmeterError("the demo makes its calls with the openai SDK: run `pip install openai` first")
    folder = demo_folder(read_settings(ctx).data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder / "demo.lock", "the demo"):
        raise SystemExit(run(folder, take_port(HOST, port), take_port(HOST, dashboard_port)))


def run(folder: Path, port: int, dashboard_port: int) -> int:
    """Runs the demo in a folder until a signal; its exit code."""
    steady_port, flaky_port = take_port(HOST, 0), take_port(HOST, 0)
    settings = demo_settings(folder, steady_port, flaky_port)
    click.echo(f"ledger: {settings.ledger_url} (demo data)", err=True)
    with click.progressbar(length=CALLS, label="90 days of earlier calls", file=sys.stderr) as bar:
        for written in renew_past(settings, now_us()):
            bar.update(written)
    parts = (
        module_part("providers", "collector.demo.providers", str(steady_port), str(flaky_port)),
        *gateway_parts(settings, HOST, port, workers=1),
        ingest_part(settings),
        dashboard_part(settings, HOST, dashboard_port, address(HOST, port, "/v1")),
        Part("jobs", callmeter(settings, "jobs-loop")),
        module_part("traffic", "collector.demo.traffic", address(HOST, port, "/v1")),
    )
    servers = [("gateway", HOST, port, "/v1"), ("dashboard", HOST, dashboard_port, "")]
    return supervise(parts, settings.limits.drain_s + GRACE_S, partial(announce, servers))


def module_part(name: str, module: str, *arguments: str) -> Part:
    """A module of the demo as a process."""
    return Part(name, (sys.executable, "-P", "-m", module, *arguments))
