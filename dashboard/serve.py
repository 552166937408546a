"""Serves the dashboard: Streamlit's ASGI app with own routes, on a socket that is bound before anything else."""

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path

from collector.core.errors import UsageError
from collector.settings import CONFIG, DATA_DIR, LEDGER, Dashboard, Settings
from dashboard.access import Gate, check_host, host_names

SCRIPT = Path(__file__).resolve().parent / "app.py"


def serve(
    settings: Settings, host: str = "127.0.0.1", port: int = 8501, ready: Callable[[str], None] | None = None
) -> None:
    """Shows the ledger of `settings` at http://HOST:PORT until SIGINT or SIGTERM; never creates or writes a ledger.

    `port` 0 takes a free one. `ready` is called with the address once it answers; by default it is printed.
    Raises SettingsError for a host that is not loopback where nobody has to sign in, and UsageError for a port that
    cannot be taken.
    """
    listener = listen(check_host(host, settings.dashboard), port)
    address = _address(listener)
    _tell_app(settings)
    try:
        asyncio.run(_serve(listener, settings.dashboard, lambda: (ready or _announce)(address)))
    except KeyboardInterrupt:
        return
    finally:
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UsageError when the port is taken or not allowed.

    Its protocol is named, as asyncio sends at once (TCP_NODELAY) only where it reads that the socket is one of TCP.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use" if taken else f"cannot be used ({error})"
        raise UsageError(f"port {port} at {host} {why}: choose another one with --port") from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(address: str) -> None:
    print(f"dashboard  {address}", flush=True)


def _tell_app(settings: Settings) -> None:
    """The script finds the ledger by the environment, whatever the working directory is."""
    os.environ[DATA_DIR] = str(settings.data_dir)
    os.environ[LEDGER] = settings.ledger_url
    if settings.config_path:
        os.environ[CONFIG] = str(settings.config_path)


async def _serve(listener: socket.socket, its: Dashboard, ready: Callable[[], None]) -> None:
    import uvicorn

    config = uvicorn.Config(
        asgi_app(its),
        access_log=False,
        log_level="warning",
        ws="websockets-sansio",
        proxy_headers=False,  # who really asks is what decides whether a proxy is trusted
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.02)
    if server.started:
        _warm()
        ready()
    await running


def _warm() -> None:
    """Loads what every page needs before anybody asks, and keeps it out of all later garbage collections.

    The caches of a view need Streamlit's runtime, so this is after its start.
    """
    import plotly.graph_objects as go

    import dashboard.views.overview_sections  # noqa: F401

    go.Figure(go.Bar(x=[1])).to_json()
    gc.collect()
    gc.freeze()


def asgi_app(its: Dashboard) -> Gate:
    """The whole dashboard as one ASGI app, with Streamlit's options set to ours."""
    import streamlit as st
    from streamlit.web import bootstrap

    from dashboard.assets import Assets
    from dashboard.routes import ROUTES
    from dashboard.theme import streamlit_config

    options = {**streamlit_config(), "server.allowedHosts": list(host_names(its))}
    bootstrap.load_config_options(options)
    return Gate(Assets(st.App(SCRIPT, routes=ROUTES)), its)
