"""A call and its attempts, as they travel from every way in through the journal to the ledger.

Instants are whole microseconds since 1970-01-01 UTC, durations whole milliseconds, money whole picodollars.
None means "not stated", never zero.
"""

import os
from typing import Any

import msgspec

from collector.core.outcomes import Outcome

MAX_NAME_CHARS = 256


class Quality:
    """How well the usage of a call is known, best first."""

    EXACT = "exact"
    PARTIAL = "partial"
    ESTIMATED = "estimated"
    NONE = "none"


QUALITIES = (Quality.EXACT, Quality.PARTIAL, Quality.ESTIMATED, Quality.NONE)


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One try of a call at one provider."""

    provider: str
    model: str  # the name asked of this provider
    started_at: int
    outcome: Outcome
    http_status: int | None = None
    error_type: str | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None


class Call(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a client asked for once, with all that is recorded of it. Holds no prompt and no completion text.

    `meters` maps names of METERS to counts >= 0 and holds stated ones only; they are disjoint.
    `cost`, `original_cost`, `price` and `unpriced_reason` are set only by a source that was priced before
    (callmeter's own export); everything else is priced at ingest.
    """

    id: str  # 32 hex digits of a UUID, version 7 for new calls
    source: str  # "gateway", "jsonl", "csv", "azure", ...
    started_at: int
    outcome: Outcome
    operation: str = "chat"
    model: str | None = None  # as asked, without routing suffix
    served_model: str | None = None  # as the provider named it in its answer
    provider: str | None = None  # of the last attempt
    origin_id: str | None = None  # the provider's response id
    app: str | None = None  # identity: origin of HTTP-Referer, else X-Title
    app_title: str | None = None
    key: str | None = None
    user: str | None = None
    session: str | None = None
    tags: dict[str, str] = {}
    streamed: bool = False
    http_status: int | None = None
    error_type: str | None = None
    finish_reason: str | None = None  # stop, length, tool_calls, content_filter, error
    native_finish_reason: str | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None
    meters: dict[str, int] = {}
    quality: str = Quality.NONE
    usage_problem: str | None = None
    service_tier: str | None = None
    reported_cost: int | None = None
    own_key_cost: int | None = None  # of the reported cost, what an own key paid upstream; None: no own key
    attempts: tuple[Attempt, ...] = ()
    plan: str | None = None  # canonical JSON: how the gateway chose, in words that recur, see intake.gateway.planning
    cost: int | None = None
    original_cost: int | None = None
    price: dict[str, Any] | None = None  # a PriceSet in its plain form, see core.prices
    unpriced_reason: str | None = None


def new_call_id(now_us: int) -> str:
    """A fresh UUIDv7 (RFC 9562) as 32 hex digits; ids sort by microsecond."""
    return call_id_at(now_us, _seed())


_SEEDS_AT_ONCE = 256
_seeds: list[bytes] = []


def _seed() -> bytes:
    """8 bytes of the system's randomness, asked for many times at once; `pop` gives each to one thread only."""
    while True:
        try:
            return _seeds.pop()
        except IndexError:
            fresh = os.urandom(8 * _SEEDS_AT_ONCE)
            _seeds.extend(fresh[at : at + 8] for at in range(0, len(fresh), 8))


os.register_at_fork(after_in_child=_seeds.clear)


def call_id_at(started_at_us: int, seed: bytes) -> str:
    """The UUIDv7 of an instant and at least 8 seed bytes: the same arguments give the same id.

    48 bits of milliseconds, 12 bits of the microsecond within it scaled by 4, 62 bits of seed
    (RFC 9562, section 6.2, method 3).
    """
    millis, micros = divmod(max(started_at_us, 0), 1000)
    tail = int.from_bytes(seed[:8], "big") & (2**62 - 1) | 1 << 63
    return f"{millis & (2**48 - 1):012x}7{micros * 4:03x}{tail:016x}"


def clip(text: str | None) -> str | None:
    """A name from outside, at most MAX_NAME_CHARS long, without control characters; None when nothing is left."""
    if not text:
        return None
    if len(text) <= MAX_NAME_CHARS and text.isprintable():
        return text.strip() or None
    printable = "".join(c for c in text[: 4 * MAX_NAME_CHARS] if c.isprintable()).strip()
    return printable[:MAX_NAME_CHARS] or None
