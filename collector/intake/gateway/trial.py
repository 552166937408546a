"""One attempt of a call: sent to one endpoint and held until its answer is known to have begun well."""

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache

from collector.core.calls import Attempt, Call
from collector.core.outcomes import Facts, Outcome, decide
from collector.intake.gateway.answer import Fault, Seen, is_json_object, read_fault
from collector.intake.gateway.asked import Asked, upstream_body
from collector.intake.gateway.completing import Completing, Given
from collector.intake.gateway.exchange import Ending
from collector.intake.gateway.failures import cleaned, error_type_of, secrets_of
from collector.intake.gateway.headers import to_upstream
from collector.intake.gateway.operations import Operation, Surface
from collector.intake.gateway.record import metered, shape_of
from collector.intake.gateway.routing import Route
from collector.intake.gateway.shared.fared import Ended
from collector.intake.gateway.stream import Passage
from collector.intake.gateway.tariff import Spent, Tariff
from collector.intake.gateway.upstream import Answer, Upstream, UpstreamFailed
from collector.settings import Settings

MAX_ERROR_BYTES = 256 * 1024
MAX_WAIT_S = 3600  # what asks for a longer wait is asked again after this
_RETRY_AFTER_CHARS = 64
_NO_FACTS = Facts(None)
_decide = lru_cache(maxsize=1024)(decide)  # the same few endings come again and again


class TrialFailed(Exception):
    """The attempt is over, and nothing of it has gone to the client."""


class Trial:
    """An attempt while it runs. After `open` it holds either a whole `body` or a `passage` with its first events.

    `facts`, `seen` and `fault` say how it went, once it is over.
    """

    def __init__(
        self,
        route: Route,
        asked: Asked,
        operation: Operation,
        surface: Surface,
        settings: Settings,
        call: Call,
        tariff: Tariff,
    ) -> None:
        self.route = route
        self.asked = asked
        self.operation = operation
        self.shape = shape_of(route, operation)
        self.settings = settings
        self.surface = surface
        self.call = call
        self.tariff = tariff
        self.started_at = time.time_ns() // 1000
        self.began = time.monotonic()
        self.first_at: float | None = None
        self.over_at = self.began
        self.answer: Answer | None = None
        self.body = b""
        self.passage: Passage | None = None
        self.head = b""
        self.seen = Seen()
        self.fault: Fault | None = None
        self.headers: dict[str, str] = {}
        self.facts = _NO_FACTS
        self.outcome = Outcome.UNKNOWN

    async def open(self, upstream: Upstream, headers: dict[str, str], adds_usage: bool, ending: Ending) -> None:
        """Send, and hold what comes. Raises TrialFailed, with `facts` and `outcome` set."""
        self.headers = headers
        loop = asyncio.get_running_loop()
        slow = loop.call_later(self.settings.first_byte_timeout_s, ending.end, "slow")
        try:
            await self._send(upstream, adds_usage)
            if self.asked.stream and "json" not in self.content_type:
                await self._hold_stream()
            else:
                slow.cancel()
                await self._hold_plain()
        except UpstreamFailed as failed:
            self.fail(failure=failed.failure, error_type=failed.error_type)
        except asyncio.CancelledError:
            if ending.reason != "slow":
                raise
            ending.taken()
            self.fail(failure="timeout", error_type="first_byte_timeout")
        finally:
            slow.cancel()

    @property
    def completing(self) -> Completing | None:
        """What adds to the answer that OpenRouter's schema requires; None where the provider's own bytes go on."""
        if not self.surface.is_openrouter or self.route.kind == "openrouter":
            return None
        given = Given(self.call.id, self.started_at // 1_000_000, self.asked.model, self.route.provider)
        return Completing(self.operation.name, given, self._spent)

    def _spent(self) -> Spent | None:
        """What the call costs by what the answer has told up to now; None where that is not known."""
        seen = self.passage.seen if self.passage else self.seen
        return self.tariff.spent(metered(self.call, self.route, seen, self.shape)) if seen.usage else None

    @property
    def status(self) -> int | None:
        return self.answer.status if self.answer else None

    @property
    def content_type(self) -> str:
        return self.answer.header("content-type").lower() if self.answer else ""

    @property
    def retry_after(self) -> str | None:
        """The provider's Retry-After, when it is one."""
        stated = self.answer.header("retry-after") if self.answer else ""
        return stated if stated.isascii() and stated.isprintable() and 0 < len(stated) < _RETRY_AFTER_CHARS else None

    def facts_of(self, error_type: str | None, **known: object) -> Facts:
        """The facts of this attempt, with what is `known` of its end."""
        return Facts(
            status=self.status,
            error_type=error_type,
            key_holder=self.route.key_holder,  # type: ignore[arg-type]
            streamed=self.asked.stream,
            **known,  # type: ignore[arg-type]
        )

    def end(self, facts: Facts) -> Outcome:
        """The attempt is over."""
        self.facts = facts
        self.outcome = _decide(facts)
        return self.outcome

    def fail(self, error_type: str | None, **known: object) -> None:
        """The attempt is over and failed. Always raises TrialFailed."""
        self.end(self.facts_of(error_type, **known))
        self.let_go()
        raise TrialFailed

    def blame(self, fault: Fault | None) -> None:
        """The provider has told an error: what is told and recorded of it has no key and no address."""
        self.fault = cleaned(fault, secrets_of(self.route, self.headers)) if fault else None

    def attempt(self) -> Attempt:
        """The record of this attempt, which is over now."""
        first, self.over_at = self.first_at, time.monotonic()
        return Attempt(
            provider=self.route.provider,
            model=(self.route.upstream_model or self.route.model)[:256],
            started_at=self.started_at,
            outcome=self.outcome,
            http_status=self.status,
            error_type=self.facts.error_type,
            latency_ms=milliseconds(self.over_at - self.began),
            first_token_ms=milliseconds(first - self.began) if first is not None else None,
        )

    def fared(self, meters: Mapping[str, int]) -> Ended:
        """What this attempt says of its endpoint, once it is recorded. `meters` as far as they are known."""
        took_s = self.over_at - self.began
        ended_at = self.started_at + int(took_s * 1_000_000)
        wait_s = wait_of(self.retry_after, ended_at) if self.outcome is not Outcome.OK else 0
        return Ended(
            endpoint=self.route.id,
            outcome=self.outcome,
            at_us=ended_at,
            latency_ms=milliseconds((self.first_at or self.over_at) - self.began),
            streamed=self.first_at is not None,
            generation_ms=milliseconds(took_s),
            tokens_out=meters.get("output", 0) + meters.get("reasoning", 0),
            wait_until_us=ended_at + wait_s * 1_000_000 if wait_s else 0,
            is_callers_key=self.route.key_holder == "caller",
        )

    def let_go(self) -> None:
        """The connection goes back to the pool when the answer was read to its end, and is closed otherwise."""
        if self.answer is not None:
            self.answer.release()

    @property
    def _url(self) -> str:
        query = f"?{self.asked.query}" if self.asked.query else ""
        return self.route.base_url + self.operation.path + query

    async def _send(self, upstream: Upstream, adds_usage: bool) -> None:
        route = self.route
        body = upstream_body(self.asked, route, adds_usage)
        self.answer = await upstream.post(self._url, self.headers, body, at_once=self.asked.stream)
        if not 200 <= self.answer.status < 300:
            self.blame(await self._read_fault(self.answer))
            self.fail(error_type_of(self.fault) if self.fault else None)

    async def _read_fault(self, answer: Answer) -> Fault:
        """What an error's body says; the status stands where the body is none, too large or cut off."""
        try:
            return read_fault(await answer.whole(MAX_ERROR_BYTES)) or Fault()
        except UpstreamFailed:
            return Fault()

    async def _hold_plain(self) -> None:
        assert self.answer is not None
        self.body = await self.answer.whole(self.settings.limits.max_answer_bytes)
        self.seen = seen = self.operation.dialect.read_plain(self.body, self.shape)
        if seen.malformed:
            self.fail("malformed_answer", failure="malformed")
        self._judge(seen)

    async def _hold_stream(self) -> None:
        assert self.answer is not None
        drops = self.operation.dialect.usage_on_demand and not (self.surface.keeps_usage or self.asked.wants_usage)
        self.passage = passage = Passage(self.operation, self.shape, self.settings.limits, drops, self.completing)
        while passage.first is None and not passage.ended:
            chunk = await self.answer.chunk()
            self.head += passage.feed(chunk) if chunk else passage.finish()
            if not chunk:
                break
            if passage.first is None and len(self.head) > self.settings.limits.max_header_bytes:
                self.fail("malformed_answer", failure="malformed")  # comments without end
        if passage.first is not None:
            self.first_at = time.monotonic()
        if passage.faulty:
            self.seen = passage.seen
            self._judge(self.seen)
        if passage.broken and not passage.terminal:
            self.fail("event_too_large", failure="malformed")
        if passage.first is None or not is_json_object(passage.first):
            self.fail("empty_stream" if passage.first is None else "malformed_answer", failure="malformed")

    def _judge(self, seen: Seen) -> None:
        """An answer that began with a 2xx may still say that it failed."""
        self.blame(seen.fault)
        told = error_type_of(self.fault) or "error_in_answer" if self.fault else None
        known = {"error_inside": seen.fault is not None, "finish_reason": seen.finish_reason}
        if self.end(self.facts_of(told, **known)) is not Outcome.OK:
            self.fail(told or "error_in_answer", **known)


def request_headers(sent: list[tuple[bytes, bytes]], route: Route, key: str | None, asked: Asked) -> dict[str, str]:
    """The headers of the request to this route's provider, with the key that it takes."""
    return to_upstream(sent, route.kind, key, asked.stream, as_sent=route.key_holder == "caller")


def wait_of(retry_after: str | None, now_us: int) -> int:
    """Whole seconds that a Retry-After asks for, at most MAX_WAIT_S; 0 where it asks for none (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return 0
    if retry_after.strip().isdigit():
        return min(int(retry_after), MAX_WAIT_S)
    try:
        until_us = int(parsedate_to_datetime(retry_after).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return 0
    return max(0, min(-(-(until_us - now_us) // 1_000_000), MAX_WAIT_S))


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, at least 0."""
    return max(0, round(seconds * 1000))
