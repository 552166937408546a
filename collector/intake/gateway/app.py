"""The gateway as a raw ASGI application: it sends a request to its place, and tells every refusal in one shape."""

import asyncio
import contextlib
import logging
import time
from collections import Counter

import msgspec

from collector.core.calls import Call, new_call_id
from collector.intake.gateway import admission
from collector.intake.gateway.asked import Asked as Body
from collector.intake.gateway.asked import read_asked, without_models
from collector.intake.gateway.claims import limited_by
from collector.intake.gateway.errors import Problem, Refusal, body_of
from collector.intake.gateway.exchange import JSON_TYPE, Client, ClientGone, Receive, Scope, Send
from collector.intake.gateway.identity import App, KeyNames, app_of, key_of, session_of
from collector.intake.gateway.operations import BY_PATH, Operation, Surface, error_shape_of, status_told, surface_of
from collector.intake.gateway.pages.reading import Reading
from collector.intake.gateway.pages.served import Asked, Sources
from collector.intake.gateway.pages.table import PAGES
from collector.intake.gateway.pages.table import find as find_page
from collector.intake.gateway.record import NOBODY, Caller, opened, refused, unread
from collector.intake.gateway.relay import Relay, Services
from collector.intake.gateway.router import Planned
from collector.intake.gateway.shared.keys import PREFIX, Key
from collector.intake.gateway.trial import milliseconds

log = logging.getLogger("callmeter.gateway")
LAST_RECORDS_S = 3.0  # how long a stopping gateway waits for the records of calls that it has cut short
_READING = frozenset({"GET", "HEAD"})


class Gateway:
    """One process's gateway; `refusals` counts, by reason, what was turned away without being a call."""

    def __init__(self, services: Services, keys: KeyNames) -> None:
        self._services = services
        self._keys = keys
        self._shared = services.shared
        self._limits = services.settings.limits
        self._origins = frozenset(origin.encode() for origin in services.settings.allowed_origins)
        self._running = 0
        self._stopping = False
        self.refusals: Counter[str] = Counter()
        shared = services.shared
        self._reading = Reading(Sources(services.settings, services.tariff.book, shared.turned_away, shared.standing))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(
                Client(scope, receive, send), scope["method"], scope["path"], scope.get("query_string", b"")
            )
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, client: Client, method: str, path: str, query: bytes) -> None:
        place = BY_PATH.get(path)
        now_us = time.time_ns() // 1000
        try:
            admission.check_head(client.sent_headers, self._limits)
            admission.check_once(client.sent_headers, client.headers)
            admission.check_source(client.headers, self._shared.is_public, self._origins)
            client.also = admission.to_page(client.headers, method == "OPTIONS")
            if client.also and method == "OPTIONS":
                return await client.answer(204, [], b"")
            gate = None if path in _OPEN else self._shared.admit(key_of(client.headers), now_us)
            if place is not None and method == "POST":
                admission.check_body_kind(client.headers)
                await self._call(client, *place, gate)
            else:
                await self._page(client, method, path, query, gate)
        except Refusal as refusal:
            self.refusals[refusal.problem.code] += 1
            self._shared.turn_away(refusal.problem.code, now_us)
            surface, operation = place or (surface_of(path), None)
            await _tell(client, _under(surface, operation, refusal.problem), error_shape_of(surface, operation))
        except ClientGone:
            pass

    async def _call(self, client: Client, surface: Surface, operation: Operation, gate: Key | None) -> None:
        """One call, from its body to its record. `gate` is the gateway key that it came with."""
        started_at, began = time.time_ns() // 1000, time.monotonic()
        call = unread(new_call_id(started_at), started_at, operation)
        asked: Body | None = None
        caller = NOBODY
        self._running += 1
        try:
            if self._running > self._limits.max_concurrent_calls:
                raise _busy(self._limits.max_concurrent_calls)
            admission.check_length(client.headers, self._limits)
            body = await client.body(self._limits, self._services.settings.total_timeout_s)
            asked = read_asked(body, operation, client.query)
            key = None if gate else _callers_own(key_of(client.headers))
            caller = _caller(client, asked, gate)
            if gate is not None:
                self._shared.count(gate, started_at)
            budgets = self._shared.budgets_of(gate, caller.app.identity, asked.user)
            planned = self._services.router.plan(
                asked,
                surface,
                operation,
                caller.session,
                started_at,
                self._limits.max_routing_names,
                limited_by(budgets),
                gate.models if gate else None,
            )
            call = opened(call, asked, caller, planned.text, self._passed_on(key, planned))
            if planned.refusal:
                raise planned.refusal
            if budgets:
                planned = self._shared.reserve(call, planned, budgets, started_at)
                call = opened(call, asked, caller, planned.text, self._passed_on(key, planned))
            if "models" in asked.members and (budgets or (gate and gate.models)):
                asked = without_models(asked, {route.model for route in planned.plan.routes})
            await Relay(self._services, client, call, asked, operation, surface, key, began, planned).run()
        except Refusal as refusal:
            self._shared.settle(call)
            if asked is not None and call.plan is None:
                call = opened(call, asked, caller)
            problem = _under(surface, operation, refusal.problem)
            shape = error_shape_of(surface, operation)
            await self._refuse(client, shape, call, problem, milliseconds(time.monotonic() - began))
        finally:
            self._running -= 1

    def _passed_on(self, key: str | None, planned: Planned) -> str | None:
        """A key of the caller's own is recorded, as its digest, where it is passed on."""
        is_passed = key is not None and any(step.route.key_holder == "caller" for step in planned.plan.steps)
        return self._keys.name(key) if key is not None and is_passed else None

    async def _refuse(self, client: Client, shape: str, call: Call, problem: Problem, latency_ms: int) -> None:
        """A call that is turned away is a call all the same, unless the journal is what turns it away."""
        if problem.code != "journal_full":
            self._services.books.refused(refused(call, problem.status, problem.code, latency_ms))
            await self._services.books.settled()
        await _tell(client, problem, shape, call.id)

    async def _page(self, client: Client, method: str, path: str, query: bytes, gate: Key | None) -> None:
        """What is read, not called: health, readiness, and PAGES."""
        state, found = _STATES.get(path), find_page(path)
        is_known = state is not None or found is not None
        if path in BY_PATH or (is_known and method not in _READING):
            allowed = "POST" if path in BY_PATH else "GET"
            raise Refusal(405, "method_not_allowed", f"{method} {path[:200]} is not served: use {allowed}")
        if state is not None:
            status, body = state(self)
            await client.answer(status, [JSON_TYPE], msgspec.json.encode(body))
        elif found is not None:
            page, parts = found
            host = client.headers.get(b"host", b"").decode("latin-1")
            asked = Asked(page.surface, parts, query, time.time_ns() // 1000, host, gate)
            await self._reading.answer(client, page, asked)
        else:
            served = ", ".join([*BY_PATH, *_STATES, *(page.path for page in PAGES)])
            raise Refusal(404, "unknown_path", f"{method} {path[:200]!r} is not served here: served are {served}")

    def health(self) -> tuple[int, object]:
        """The process answers."""
        return 200, {"status": "ok"}

    def readiness(self) -> tuple[int, object]:
        """Whether new calls are taken, and what the journal could not take."""
        books = self._services.books
        state = {
            "ready": not self._stopping,
            "running_calls": self._running,
            "uncounted_calls": books.uncounted,
            "journal_failures": books.failures,
        }
        return 503 if self._stopping else 200, state

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._services.upstream.__aenter__()
                self._shared.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _stop(self) -> None:
        """Wait for the records of the calls that were cut short, then let go of the providers."""
        self._stopping = True
        end = time.monotonic() + LAST_RECORDS_S
        while self._running and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await self._shared.stop()
        self._reading.close()
        await self._services.upstream.__aexit__(None, None, None)


_STATES = {"/healthz": Gateway.health, "/readyz": Gateway.readiness}


_OPEN = frozenset({*_STATES, "/docs", "/openapi.json"})  # to who has no key, too


def _caller(client: Client, asked: Body, gate: Key | None) -> Caller:
    """A gateway key says whose call it is; without one the headers do."""
    session = session_of(client.headers, asked.session)
    return Caller(App(gate.app), gate.id, session) if gate else Caller(app_of(client.headers), None, session)


def _callers_own(key: str | None) -> str | None:
    """The caller's own key at a provider; a gateway key is none, also where this gateway does not know it."""
    return None if key is not None and key.startswith(PREFIX) else key


def _busy(limit: int) -> Refusal:
    return Refusal(
        503, "too_many_calls", f"{limit} calls are running (max_concurrent_calls): try again", retry_after="1"
    )


def _under(surface: Surface, operation: Operation | None, problem: Problem) -> Problem:
    status = status_told(surface, operation, problem.status)
    return problem if status == problem.status else msgspec.structs.replace(problem, status=status)


async def _tell(client: Client, problem: Problem, shape: str, call_id: str | None = None) -> None:
    headers = [JSON_TYPE, *problem.headers]
    if call_id:
        headers.append((b"x-callmeter-call-id", call_id.encode()))
    body = body_of(problem, shape)
    with contextlib.suppress(ClientGone):
        if problem.code in _CLOSING:
            await client.answer_early(problem.status, headers, body)
        else:
            await client.answer(problem.status, headers, body)


_CLOSING = frozenset({"timeout", "payload_too_large", "headers_too_large"})
