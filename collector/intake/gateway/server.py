"""The gateway as a process: its socket, its server, its start and its stop."""

import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping

import uvicorn

from collector.core.errors import LedgerError, PriceError, SettingsError
from collector.core.prices import PriceBook
from collector.intake.gateway.app import Gateway
from collector.intake.gateway.books import Books
from collector.intake.gateway.identity import KeyNames, load_secret
from collector.intake.gateway.protocol import Protocol
from collector.intake.gateway.record import SOURCE
from collector.intake.gateway.relay import Services
from collector.intake.gateway.router import router_of
from collector.intake.gateway.shared.desk import Shared
from collector.intake.gateway.shared.recorded import Records
from collector.intake.gateway.tariff import Tariff
from collector.intake.gateway.upstream import Upstream
from collector.ledger.book import load_book
from collector.ledger.journal import Writer
from collector.provider_keys import provider_key
from collector.settings import Settings

log = logging.getLogger("callmeter.gateway")
BACKLOG = 2048
KEEP_ALIVE_S = 75
# A call leaves no reference cycles behind, so looking for them more often only makes every call wait for it.
GC_THRESHOLDS = (10_000, 20, 50)

Announce = Callable[[str], None]


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8484,
    *,
    shares_port: bool = False,
    announce: Announce | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Serve until SIGTERM or SIGINT, then wait at most limits.drain_s for running calls.

    `port` 0 lets the system choose; with `shares_port` other workers serve it too. `announce` (default: a line on
    stderr) is told the address, such as `http://127.0.0.1:8484/v1`, once connections are accepted. Raises SettingsError
    for what cannot be served, StateError where state.db cannot be used.
    """
    keys = own_keys(settings, environ)
    secret = load_secret(settings.data_dir)
    with contextlib.ExitStack() as ending:
        bound = ending.enter_context(bind(host, port, shares_port))
        services = services_of(settings, keys, _book(settings), not is_loopback(host))
        ending.callback(services.books.stop)
        ending.callback(services.shared.close)
        now_us = time.time_ns() // 1000
        services.shared.open(now_us)
        check_bind(host, services.shared.has_key(now_us))
        server = _server(Gateway(services, KeyNames(secret)), settings)
        _spare_collector()
        with _stopping_signals(server):
            (announce or _announce)(_address(bound))
            server.run(sockets=[bound])


def services_of(
    settings: Settings, keys: dict[str, str], book: PriceBook | None = None, is_public: bool = False
) -> Services:
    """Everything that the calls of one process share. Nothing is opened yet but the journal."""
    tariff, router = Tariff(book), router_of(settings, book)
    writer = Writer(settings.journal_dir, SOURCE, settings.limits, settings.fsync)
    return Services(
        settings=settings,
        books=Books(writer, settings.on_journal_failure),
        upstream=Upstream(settings),
        own_keys=keys,
        tariff=tariff,
        router=router,
        shared=Shared(settings, router.fared, router.sessions, tariff.cost, Records(settings, book), is_public),
    )


def is_loopback(host: str) -> bool:
    """Whether an address is on this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(host: str, has_key: bool) -> None:
    """Raises SettingsError for an address beyond this machine where nobody has a key."""
    if not is_loopback(host) and not has_key:
        raise SettingsError(
            f"--host {host} is not a loopback address, and there is no key that lets anybody in:"
            " run `callmeter keys create --app NAME` first, or use --host 127.0.0.1"
        )


def own_keys(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The keys of the providers that have one. Raises SettingsError where one cannot be had."""
    found = {name: provider_key(name, each, environ) for name, each in settings.providers.items()}
    return {name: key for name, key in found.items() if key is not None}


def bind(host: str, port: int, shares_port: bool = False) -> socket.socket:
    """A listening-ready socket. Raises SettingsError where the address is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise SettingsError(f"{host}:{port} cannot be served: {error.strerror}; use another --port") from None
    return bound


def _server(app: Gateway, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=Protocol.within(settings.limits),
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.limits.drain_s)),
        backlog=BACKLOG,
    )
    return uvicorn.Server(config)


def _spare_collector() -> None:
    """What was loaded up to now stays: it is not looked through again for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _book(settings: Settings) -> PriceBook | None:
    """A price list that cannot be read stops the ledger, not the traffic."""
    try:
        book = load_book(settings)
        book.find("gpt-4o", "openai", 0)  # price lists are read at their first use: now, not in the first call
        return book
    except (PriceError, LedgerError) as error:
        log.error("%s; answers carry no cost until it is corrected and the gateway restarted", error)
        return None


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def _announce(address: str) -> None:
    print(f"gateway: {address}", file=sys.stderr, flush=True)


class _stopping_signals:
    """SIGTERM and SIGINT stop the server also before it listens to them itself.

    uvicorn raises a signal again after it has stopped for it; that changes nothing any more.
    """

    def __init__(self, server: uvicorn.Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        self._server.should_exit = True
