"""One call's life: opened in the journal, tried, relayed, and closed in the journal however it ends."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from collector.core.calls import Attempt, Call
from collector.core.outcomes import Outcome
from collector.intake.gateway.answer import Seen
from collector.intake.gateway.asked import Asked
from collector.intake.gateway.books import Books
from collector.intake.gateway.error_events import Broken
from collector.intake.gateway.errors import Problem, body_of
from collector.intake.gateway.exchange import JSON_TYPE, Client, ClientGone, Ending, HeaderList
from collector.intake.gateway.failures import error_type_of, problem_of, unterminated
from collector.intake.gateway.flow import Flow
from collector.intake.gateway.headers import to_client
from collector.intake.gateway.operations import Operation, Surface, error_shape_of, status_told
from collector.intake.gateway.record import closed
from collector.intake.gateway.router import Planned, Router
from collector.intake.gateway.routing import Route
from collector.intake.gateway.shared.desk import Shared
from collector.intake.gateway.tariff import Tariff
from collector.intake.gateway.trial import Trial, TrialFailed, milliseconds, request_headers
from collector.intake.gateway.upstream import Upstream, UpstreamFailed
from collector.settings import Settings

log = logging.getLogger("callmeter.gateway")

FALLS_BACK = frozenset({Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED})
WATCH_AFTER_S = 0.02  # a shorter call is over before its client's leaving would matter
END_OF_BODY_S = 1.0  # how long the end of a finished answer is waited for, to keep its connection
LAST_WORDS_S = 2.0  # how long a client that may not read is waited for, to tell it that its call was cut short
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
NO_METERS: Mapping[str, int] = {}
NO_CACHE = (b"cache-control", b"no-cache")


class Services(msgspec.Struct):
    """What all calls share. `takes_usage` remembers which providers take `stream_options` and which refuse it."""

    settings: Settings
    books: Books
    upstream: Upstream
    own_keys: dict[str, str]
    tariff: Tariff
    router: Router
    shared: Shared
    takes_usage: dict[str, bool] = {}


class Relay:
    """Runs one call that has a plan. Whatever happens, its record is closed once."""

    def __init__(
        self,
        services: Services,
        client: Client,
        call: Call,
        asked: Asked,
        operation: Operation,
        surface: Surface,
        key: str | None,
        began: float,
        planned: Planned,
    ) -> None:
        self._services = services
        self._client = client
        self._call = call
        self._asked = asked
        self._operation = operation
        self._surface = surface
        self._key = key  # the caller's own
        self._began = began
        self._planned = planned
        self._attempts: list[Attempt] = []
        self._trial: Trial | None = None
        self._flow: Flow | None = None
        self._over: tuple[Trial, Call] | None = None
        self._is_closed = False

    async def run(self) -> None:
        """Open, try, relay, close. Raises Refusal where the journal takes no call."""
        services = self._services
        self._ticket = services.books.open(self._call)
        self._ending = ending = Ending()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(WATCH_AFTER_S, services.settings.total_timeout_s), self._watch)
        try:
            await self._run()
        finally:
            ending.sealed = True
            self._timer.cancel()
            self._client.unwatch()
            self._drop_unfinished()
            loop.call_soon(self._learn)

    def _watch(self) -> None:
        """The call is no short one: see that it ends when its client leaves, and by its deadline."""
        self._client.watch(self._ending)
        left_s = self._began + self._services.settings.total_timeout_s - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(left_s, self._overdue)

    def _overdue(self) -> None:
        """The whole time is over. A client that does not take the end of its answer is not waited for either."""
        if self._is_closed:
            self._ending.abandon()
        else:
            self._ending.end("timeout")

    async def _run(self) -> None:
        try:
            await self._try_each()
        except asyncio.CancelledError:
            await self._cut_short(self._ending.taken())
        except ClientGone:
            await self._cut_short("left")

    async def _try_each(self) -> None:
        """The routes in order, until one answers or an attempt fails in a way that another would not mend."""
        pending = list(self._planned.plan.routes)
        without_usage: Route | None = None
        while pending:
            route = pending.pop(0)
            adds_usage = self._adds_usage(route) and route is not without_usage
            settings, tariff = self._services.settings, self._services.tariff
            self._trial = trial = Trial(
                route, self._asked, self._operation, self._surface, settings, self._call, tariff
            )
            try:
                await trial.open(self._services.upstream, self._headers(route), adds_usage, self._ending)
            except TrialFailed:
                self._note(trial)
                has_room = len(self._attempts) < self._services.settings.limits.max_attempts
                if has_room and adds_usage and self._may_refuse_usage(trial):
                    pending.insert(0, route)
                    without_usage = route
                    continue
                pending = self._left_to_try(pending, trial) if has_room else []
                if pending:
                    continue
                return await self._tell(trial)
            if self._could_add_usage:
                self._services.takes_usage.setdefault(route.provider, adds_usage)
            return await (self._relay_stream(trial) if trial.passage else self._relay_plain(trial))

    def _left_to_try(self, pending: list[Route], failed: Trial) -> list[Route]:
        """What another attempt may mend: the next endpoint; for an error in what was asked, the next model alone."""
        if failed.outcome in FALLS_BACK:
            return pending
        return [route for route in pending if route.model != failed.route.model]

    def _note(self, trial: Trial) -> None:
        """A failed attempt is over: it is part of the record, and of what is known of its endpoint."""
        self._attempts.append(trial.attempt())
        self._services.router.ended(trial.fared(NO_METERS))

    def _headers(self, route: Route) -> dict[str, str]:
        return request_headers(self._client.sent_headers, route, self._key_for(route), self._asked)

    def _key_for(self, route: Route) -> str | None:
        """A key goes to the provider it is meant for only."""
        return self._key if route.key_holder == "caller" else self._services.own_keys.get(route.provider)

    @property
    def _could_add_usage(self) -> bool:
        return self._operation.dialect.usage_on_demand and self._asked.stream and not self._asked.wants_usage

    def _adds_usage(self, route: Route) -> bool:
        return self._could_add_usage and self._services.takes_usage.get(route.provider, True)

    def _may_refuse_usage(self, trial: Trial) -> bool:
        """Whether a 400 may be due to the `stream_options` that the gateway added: not where they were taken before."""
        return trial.status == 400 and trial.route.provider not in self._services.takes_usage

    async def _relay_plain(self, trial: Trial) -> None:
        assert trial.answer is not None
        trial.let_go()
        status = trial.answer.status
        call = await self._close(trial, trial.seen, status)
        cost = self._services.tariff.cost_header(call)
        completing = trial.completing
        body = completing.whole(trial.body) if completing else trial.body
        await self._client.answer(
            status, [*self._identified(trial.route), *cost, *to_client(trial.answer.raw_headers)], body
        )

    async def _relay_stream(self, trial: Trial) -> None:
        assert trial.answer is not None
        assert trial.passage is not None
        client, answer = self._client, trial.answer
        passed = [pair for pair in to_client(answer.raw_headers) if pair[0] != b"content-type"]
        headers = [*self._identified(trial.route), EVENT_STREAM, NO_CACHE, *passed]
        await client.start(answer.status, headers, trial.head)
        self._flow = flow = Flow(answer, trial.passage, client.outlet())
        failed = await flow.run()
        await self._end_stream(trial, flow, failed)

    async def _end_stream(self, trial: Trial, flow: Flow, failed: UpstreamFailed | None) -> None:
        """Everything but the last event, and the rest before it, has gone out: write the record, then send them."""
        assert trial.answer is not None
        assert trial.passage is not None
        passage = trial.passage
        trial.seen = seen = passage.seen
        trial.blame(seen.fault)
        if passage.broken and failed is None:
            failed = UpstreamFailed("malformed", "event_too_large")
        elif seen.malformed and failed is None:
            failed = UpstreamFailed("malformed", "malformed_event")
        trial.end(_facts_of_stream(trial, seen, failed))
        try:
            with flow.keeping_rest():
                await self._close(trial, seen, self._client.status)
            await self._send_last((not failed and passage.terminal) or self._error_event(trial))
            await self._read_to_end(trial)
        except BaseException:
            trial.answer.drop()
            raise

    async def _send_last(self, event: bytes) -> None:
        await self._client.last(self._flow.rest + event if self._flow else event)

    async def _read_to_end(self, trial: Trial) -> None:
        """A connection is kept only when its answer was read to the end, which mostly follows the terminal event."""
        assert trial.answer is not None
        if trial.passage is not None and trial.passage.terminal and not trial.answer.ended:
            try:
                async with asyncio.timeout(END_OF_BODY_S):
                    await trial.answer.chunk()
            except (TimeoutError, UpstreamFailed):
                trial.answer.drop()
        trial.let_go()

    async def _cut_short(self, reason: str) -> None:
        """The client left, the deadline passed, or the gateway stops."""
        trial = self._trial
        if self._is_closed or trial is None:
            return
        self._ending.sealed = True
        finished = reason == "left" and await self._wait_for_usage(trial)
        if trial.passage is not None:
            trial.seen = trial.passage.seen
        known: dict[str, Any] = {"terminal": finished or not self._asked.stream}
        if reason == "left":
            known["client"] = "left_after_finish" if finished else "left"
        elif reason == "timeout":
            known["failure"] = "timeout"
        else:
            known["interrupted"] = True
        error_type = {"left": None, "timeout": "total_timeout"}.get(reason, "gateway_stopped")
        trial.end(trial.facts_of(error_type, finish_reason=trial.seen.finish_reason, **known))
        if trial.answer is not None:
            trial.answer.drop()
        await self._close(trial, trial.seen, self._client.status or _STATUS_WHEN_CUT.get(reason))
        if reason != "left":
            await self._say_cut_short(trial, reason)

    async def _say_cut_short(self, trial: Trial, reason: str) -> None:
        problem = self._problem(trial) if reason == "timeout" else _STOPPING
        with contextlib.suppress(ClientGone, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                if self._client.status is None:
                    await self._answer(problem, trial.route)
                else:
                    await self._send_last(self._event_of(problem, trial))

    async def _wait_for_usage(self, trial: Trial) -> bool:
        """After a finish reason a stream is read on for its usage. Whether there was a finish reason."""
        passage, answer = trial.passage, trial.answer
        if passage is None or answer is None or passage.seen.finish_reason is None:
            return False
        try:
            async with asyncio.timeout(self._services.settings.limits.usage_wait_s):
                while not passage.ended and (chunk := await answer.chunk()):
                    passage.feed(chunk)
        except (TimeoutError, UpstreamFailed, asyncio.CancelledError):
            pass  # what has come is what is known
        return True

    async def _tell(self, trial: Trial) -> None:
        """The last attempt has failed: close the record, then tell the client."""
        problem = self._problem(trial)
        await self._close(trial, trial.seen, problem.status, in_attempts=True)
        with contextlib.suppress(ClientGone):
            await self._answer(problem, trial.route)

    async def _close(self, trial: Trial, seen: Seen, status: int | None, in_attempts: bool = False) -> Call:
        """Write the record of the call's end and wait until it is as durable as the settings ask."""
        self._ending.sealed = True
        self._is_closed = True
        if not in_attempts:
            self._attempts.append(trial.attempt())
        call = closed(
            self._call,
            route=trial.route,
            facts=trial.facts,
            seen=seen,
            attempts=tuple(self._attempts),
            http_status=status,
            latency_ms=milliseconds(time.monotonic() - self._began),
            first_token_ms=milliseconds(trial.first_at - self._began) if trial.first_at is not None else None,
            shape=trial.shape,
        )
        self._services.books.close(self._ticket, call)
        self._services.shared.settle(call)
        if call.outcome is Outcome.OK and self._planned.session is not None:
            self._services.router.served(self._planned.session, self._asked.model, trial.route, time.time_ns() // 1000)
        self._over = None if in_attempts else (trial, call)
        await self._services.books.settled()
        return call

    def _learn(self) -> None:
        """What the last attempt says of its endpoint: a later call needs it, the answer to this one does not."""
        if self._over is not None:
            trial, call = self._over
            self._services.router.ended(trial.fared(call.meters))

    def _drop_unfinished(self) -> None:
        """Only an error of our own gets here with an open record: it is closed as interrupted."""
        if self._is_closed:
            return
        self._is_closed = True
        log.error("call %s ended without a record; it is closed as interrupted", self._call.id)
        self._services.books.close(self._ticket, self._call)
        self._services.shared.settle(self._call)
        if self._trial is not None and self._trial.answer is not None:
            self._trial.answer.drop()

    def _problem(self, trial: Trial) -> Problem:
        if trial.facts.failure is None and not trial.facts.terminal and trial.fault is None:
            return unterminated(trial.route)
        problem = problem_of(trial.route, trial.facts, trial.outcome, trial.fault, self._operation.name)
        status = status_told(self._surface, self._operation, problem.status)
        return msgspec.structs.replace(problem, status=status, retry_after=trial.retry_after, previous=self._previous())

    def _previous(self) -> tuple[dict[str, Any], ...]:
        """The attempts before the last one, as OpenRouter lists them."""
        return tuple(
            {"provider": each.provider, "code": each.error_type or str(each.outcome), "status": each.http_status}
            for each in self._attempts[:-1]
        )

    async def _answer(self, problem: Problem, route: Route) -> None:
        headers = [*self._identified(route), JSON_TYPE, *problem.headers]
        await self._client.answer(
            problem.status, headers, body_of(problem, error_shape_of(self._surface, self._operation), route.provider)
        )

    def _identified(self, route: Route) -> HeaderList:
        provider = route.provider.encode("ascii", "replace")
        return [(b"x-callmeter-call-id", self._call.id.encode()), (b"x-callmeter-provider", provider)]

    def _error_event(self, trial: Trial) -> bytes:
        return self._event_of(self._problem(trial), trial)

    def _event_of(self, problem: Problem, trial: Trial) -> bytes:
        stream = Broken(
            id=trial.seen.origin_id or self._call.id,
            created=self._call.started_at // 1_000_000,
            model=trial.seen.served_model or self._asked.model,
            provider=trial.route.provider,
            events=trial.seen.parts,
            error_shape=self._surface.error_shape,
        )
        return self._operation.dialect.error_event(problem, stream)


_STOPPING = Problem(503, "gateway_stopping", "the gateway is being stopped: send the call again", retry_after="5")
_STATUS_WHEN_CUT = {"timeout": 504, "stop": 503}


def _facts_of_stream(trial: Trial, seen: Seen, failed: UpstreamFailed | None) -> Any:
    passage = trial.passage
    assert passage is not None
    error_type = None
    if failed is not None:
        error_type = failed.error_type
    elif trial.fault is not None:
        error_type = error_type_of(trial.fault) or "error_in_stream"
    elif not passage.terminal:
        error_type = "stream_truncated"
    return trial.facts_of(
        error_type,
        failure=failed.failure if failed else None,
        terminal=bool(passage.terminal),
        error_inside=seen.fault is not None,
        finish_reason=seen.finish_reason,
    )
